//! Cases as their files say them. An operation is read only as far as every kind of operation has it in common; what
//! each one means is its own business.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use meshward_policy::duration::Duration as GoDuration;
use serde_json::Value;

use crate::manifest::Manifest;

/// A case.
#[derive(Debug)]
pub(super) struct Test {
    pub(super) name: String,
    pub(super) skip: bool,
    /// The namespace that its objects get; one of its own when empty.
    pub(super) namespace: String,
    /// `bindings`, not evaluated.
    pub(super) bindings: Vec<Value>,
    /// Whether `(…)` in objects is evaluated.
    pub(super) template: bool,
    pub(super) steps: Vec<Step>,
}

/// A step of a case, or of a template that a step uses.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) bindings: Vec<Value>,
    pub(super) template: Option<bool>,
    /// What has to succeed.
    pub(super) operations: Vec<Operation>,
    /// What is done in any case.
    pub(super) at_last: Vec<Operation>,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    /// `apply` and so on.
    pub(super) verb: String,
    /// What stands under the verb.
    pub(super) content: Value,
}

impl Test {
    /// Reads the file of a case.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let document = one_document(path, "Test")?;
        let spec = &document["spec"];
        let folder = path.parent().context("a file is in a folder")?;
        let steps = list(&spec["steps"]);
        Ok(Self {
            name: text(&document["metadata"]["name"]),
            skip: spec["skip"].as_bool().unwrap_or_default(),
            namespace: text(&spec["namespace"]),
            bindings: list(&spec["bindings"]),
            template: spec["template"].as_bool().unwrap_or_default(),
            steps: steps
                .iter()
                .enumerate()
                .map(|(index, step)| {
                    Step::read(step, folder)
                        .with_context(|| format!("{}: spec.steps[{index}]", path.display()))
                })
                .collect::<Result<_>>()?,
        })
    }
}

impl Step {
    fn read(step: &Value, folder: &Path) -> Result<Self> {
        let name = text(&step["name"]);
        let used = text(&step["use"]["template"]);
        if used.is_empty() {
            return Self::of(step, name, list(&step["bindings"]));
        }
        let path = folder.join(used);
        let template = one_document(&path, "StepTemplate")?;
        // What the caller binds comes last, so that it wins over the template's defaults.
        let bindings = [&step["bindings"], &template["spec"]["bindings"], &step["use"]["with"]["bindings"]];
        let bindings = bindings.into_iter().flat_map(list).collect();
        Self::of(&template["spec"], name, bindings).with_context(|| path.display().to_string())
    }

    fn of(step: &Value, name: String, bindings: Vec<Value>) -> Result<Self> {
        let read = |field: &str| -> Result<Vec<Operation>> {
            let operations = list(&step[field]);
            operations.iter().map(|one| Operation::read(one).context(field.to_owned())).collect()
        };
        let mut at_last = read("finally")?;
        at_last.extend(read("cleanup")?);
        let template = step["template"].as_bool();
        Ok(Self { name, bindings, template, operations: read("try")?, at_last })
    }
}

impl Operation {
    /// `{verb: content}`, with a `description` beside it at most.
    fn read(operation: &Value) -> Result<Self> {
        let fields = operation.as_object().context("an operation is an object")?;
        let verbs: Vec<_> = fields.iter().filter(|(name, _)| *name != "description").collect();
        let [(verb, content)] = verbs[..] else {
            let names: Vec<&String> = fields.keys().collect();
            bail!("an operation has one verb, found {names:?}");
        };
        Ok(Self { verb: verb.clone(), content: content.clone() })
    }

    /// How long it may take: what it says itself, or `usual`.
    pub(super) fn timeout(&self, usual: Duration) -> Result<Duration> {
        match self.content["timeout"].as_str() {
            None => Ok(usual),
            Some(text) => seconds(text),
        }
    }
}

/// A duration as Go writes them.
pub(super) fn seconds(text: &str) -> Result<Duration> {
    let found = GoDuration::parse(text).with_context(|| format!("timeout {text:?}"))?;
    Duration::try_from_secs_f64(found.seconds()).with_context(|| format!("timeout {text:?}"))
}

fn one_document(path: &Path, kind: &str) -> Result<Value> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest = Manifest::parse(&text).with_context(|| path.display().to_string())?;
    let [document] = manifest.objects() else { bail!("{}: more than one document", path.display()) };
    let found = (document["apiVersion"].as_str(), document["kind"].as_str());
    ensure!(
        found == (Some("chainsaw.kyverno.io/v1alpha1"), Some(kind)),
        "{}: found {found:?}, accepted: a {kind} of chainsaw.kyverno.io/v1alpha1",
        path.display()
    );
    Ok(document.clone())
}

/// A list; nothing at all is an empty one.
pub(super) fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// A text; nothing at all is an empty one.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
