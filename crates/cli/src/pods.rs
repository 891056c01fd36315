//! From a file to its pods' rules: reads the manifest and the namespace beside it, asks the mesh crate, and turns every
//! problem into a message that points at the line. All or nothing: one invalid pod fails the whole file.

use std::fmt::Display;

use meshward_manifest::{Object, Place};
use meshward_mesh::{Plan, PlanError, PodTemplate, Problem, Reason, Wanted, Warning};
use meshward_redirect::RuleSet;
use meshward_redirect::dialect::{self, Effect, InvalidOption, Origin, Surroundings};
use meshward_redirect::net::visible;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::input::Input;
use crate::source::PodSource;

/// A pod of a file with its verdict.
pub(crate) struct Judged {
    /// `Deployment shop/web`
    pub(crate) title: String,
    /// Its rules, or why it gets none.
    pub(crate) rules: Result<(Box<Plan>, RuleSet), Reason>,
}

impl Judged {
    /// Everything known about the pod: mesh, options with their origins, rules.
    pub(crate) fn to_json(&self) -> Value {
        match &self.rules {
            Err(reason) => json!({
                "object": self.title,
                "redirect": false,
                "reason": reason.name(),
                "message": reason.to_string(),
            }),
            Ok((plan, rules)) => {
                let warnings: Vec<String> = plan.warnings.iter().map(ToString::to_string).collect();
                json!({
                    "object": self.title,
                    "redirect": true,
                    "mesh": plan.mesh,
                    "source": plan.source,
                    "setup": plan.setup,
                    "proxies": plan.proxies,
                    "options": options(plan),
                    "warnings": warnings,
                    "rules": rules,
                })
            }
        }
    }
}

/// Options that change rules, each with its origin. The others may hold anything (Consul's has a token), and say
/// nothing about the rules.
fn options(plan: &Plan) -> Vec<Value> {
    let effective = plan.settings.flags().iter().zip(plan.settings.all());
    effective
        .filter(|(flag, _)| flag.effect == Effect::Rules)
        .map(|(_, setting)| {
            let from = setting.origin.to_string();
            json!({ "option": setting.option, "value": setting.value, "origin": setting.origin, "from": from })
        })
        .collect()
}

/// Reads the pods of `source`. At least one.
pub(crate) fn judge(source: &PodSource, surroundings: Surroundings) -> Result<Vec<Judged>, Failure> {
    let input = Input::read(&source.file)?;
    let namespaces = Namespaces::read(source)?;
    let mut judged = Vec::new();
    let mut errors = Vec::new();
    for object in input.documents.iter().flat_map(|document| document.objects()) {
        let templates = meshward_mesh::pods(&object.value);
        for pod in &templates {
            let namespace = namespaces.of(&input, pod.namespace());
            let at = Context { input: &input, object: &object, pod };
            match at.judge(namespace.as_ref(), surroundings) {
                Ok(one) => judged.push(one),
                Err(mut found) => errors.append(&mut found),
            }
        }
    }
    if !errors.is_empty() {
        return Err(Failure::Reported(errors.join("\n")));
    }
    if judged.is_empty() {
        return Err(no_pod(&input));
    }
    Ok(judged)
}

fn no_pod(input: &Input) -> Failure {
    let kinds: Vec<String> = input
        .documents
        .iter()
        .flat_map(|document| document.objects())
        .take(5)
        .map(|object| {
            object.value.get("kind").and_then(Value::as_str).map_or("no kind".into(), visible).into_owned()
        })
        .collect();
    Failure::input(format!(
        "{}: no pod in it: found {}, accepted: Pod, PodTemplate, Deployment, ReplicaSet, ReplicationController, \
         StatefulSet, DaemonSet, Job, CronJob, DeploymentConfig, Rollout, or a List of them",
        input.name,
        if kinds.is_empty() { "an empty list".to_string() } else { kinds.join(", ") }
    ))
}

fn is_namespace(object: &Value) -> bool {
    object.get("kind").and_then(Value::as_str) == Some("Namespace")
}

/// Where the namespace objects of pods come from.
pub(crate) struct Namespaces {
    /// The one of a file of its own counts for every pod.
    given: Option<Value>,
}

impl Namespaces {
    pub(crate) fn read(source: &PodSource) -> Result<Self, Failure> {
        let Some(file) = source.namespace.as_deref() else { return Ok(Self { given: None }) };
        let input = Input::read(file)?;
        let mut objects = input.documents.iter().flat_map(|document| document.objects());
        match objects.find(|object| is_namespace(&object.value)) {
            Some(object) => Ok(Self { given: Some(object.value.into_owned()) }),
            None => Err(Failure::input(format!("{}: no object of kind Namespace in it", input.name))),
        }
    }

    /// The namespace object `name`: the given one, else the one that stands in the same file as the pod.
    pub(crate) fn of(&self, input: &Input, name: Option<&str>) -> Option<Value> {
        if self.given.is_some() {
            return self.given.clone();
        }
        let name = name?;
        let objects = input.documents.iter().flat_map(|document| document.objects());
        objects
            .filter(|object| is_namespace(&object.value))
            .find(|object| object.value.pointer("/metadata/name").and_then(Value::as_str) == Some(name))
            .map(|object| object.value.into_owned())
    }
}

/// A pod with its place in a file.
pub(crate) struct Context<'a> {
    pub(crate) input: &'a Input,
    pub(crate) object: &'a Object<'a>,
    pub(crate) pod: &'a PodTemplate<'a>,
}

impl Context<'_> {
    fn judge(&self, namespace: Option<&Value>, surroundings: Surroundings) -> Result<Judged, Vec<String>> {
        let title = self.title();
        let (wanted, warnings) =
            meshward_mesh::plan_with_warnings(self.pod, namespace).map_err(|error| self.problems(&error))?;
        let plan = match wanted {
            Wanted::Nothing(reason) => {
                warnings.iter().for_each(|warning| self.warn(warning));
                return Ok(Judged { title, rules: Err(reason) });
            }
            Wanted::Redirect(plan) => plan,
        };
        plan.warnings.iter().for_each(|warning| {
            let place = self.place_of_warning(warning, &plan).or_else(|| self.whole());
            eprintln!("{}", self.input.warning(&format!("{title}: {warning}"), place));
        });
        let built = dialect::build(plan.mesh, &plan.settings, surroundings)
            .map_err(|error| vec![self.option(&error)])?;
        // The plan knows the rest already.
        built.lints.iter().filter(|lint| lint.option == "ipv6").for_each(|lint| self.warn(lint));
        Ok(Judged { title, rules: Ok((plan, built.rules)) })
    }

    /// `Deployment shop/web`
    pub(crate) fn title(&self) -> String {
        // Names of a file are anybody's text until the API server has seen them, and this one ends up in a comment.
        let namespace =
            self.pod.namespace().map(|namespace| format!("{}/", visible(namespace))).unwrap_or_default();
        match self.pod.name() {
            "" => format!("{} without a name", self.pod.kind()),
            name => format!("{} {namespace}{}", self.pod.kind(), visible(name)),
        }
    }

    /// Tells the user something about this pod.
    pub(crate) fn warn(&self, warning: &impl Display) {
        eprintln!("{}", self.input.warning(&format!("{}: {warning}", self.title()), self.object.place()));
    }

    /// An error about this pod.
    pub(crate) fn error(&self, error: &impl Display) -> String {
        let place = self.object.nearest(&format!("{}/spec", self.pod.pointer())).map(|(place, _)| place);
        self.input.error(&format!("{}: {error}", self.title()), place)
    }

    /// Every problem of a plan, each with the line it is about.
    pub(crate) fn problems(&self, error: &PlanError) -> Vec<String> {
        let message = |problem: &Problem| match problem {
            Problem::Option(option) => self.option(option),
            other => {
                let place = self.place_of_problem(other).or_else(|| self.whole());
                self.input.error(&format!("{}: {other}", self.title()), place)
            }
        };
        error.problems.iter().map(message).collect()
    }

    fn option(&self, error: &InvalidOption) -> String {
        self.input.error(&format!("{}: {error}", self.title()), self.place(&error.origin))
    }

    /// The line that an origin stands on.
    fn place(&self, origin: &Origin) -> Option<Place> {
        let found = match origin {
            Origin::Annotation { object: "pod", key, .. } => self.entry("annotations", key),
            Origin::Argument { container, .. } | Origin::Environment { container, .. } => {
                self.container(container)
            }
            _ => None,
        };
        let spec = || self.object.nearest(&format!("{}/spec", self.pod.pointer()));
        found.or_else(|| spec().map(|(place, _)| place))
    }

    /// The line that names the object, for what is about all of it.
    fn whole(&self) -> Option<Place> {
        self.object.get("/metadata/name").or_else(|| self.object.place())
    }

    /// The line of an annotation or label.
    fn entry(&self, field: &str, key: &str) -> Option<Place> {
        let key = key.replace('~', "~0").replace('/', "~1");
        self.object.get(&format!("{}/metadata/{field}/{key}", self.pod.pointer()))
    }

    /// The line of the annotation that a text begins with.
    fn annotation_of(&self, text: &str) -> Option<Place> {
        let (key, _) = text.strip_prefix("annotation ")?.split_once(" of the pod")?;
        self.entry("annotations", key)
    }

    fn container(&self, name: &str) -> Option<Place> {
        let container = self.pod.containers().find(|container| container.name() == name)?;
        let list = if container.is_init() { "initContainers" } else { "containers" };
        self.object.get(&format!("{}/spec/{list}/{}", self.pod.pointer(), container.index()))
    }

    fn place_of_warning(&self, warning: &Warning, plan: &Plan) -> Option<Place> {
        match warning {
            Warning::UnknownAnnotation { object: "pod", key, .. } | Warning::Deprecated { key, .. } => {
                self.entry("annotations", key)
            }
            Warning::LabelInsteadOfAnnotation { object: "pod", key } => self.entry("labels", key),
            Warning::Unresolved { container, .. } | Warning::ProxyNotExempt { container, .. } => {
                self.container(container)
            }
            Warning::Option { option, .. } => self.place(&plan.settings.get(option).origin),
            Warning::Pod { message } => self.annotation_of(message),
            _ => None,
        }
    }

    fn place_of_problem(&self, problem: &Problem) -> Option<Place> {
        match problem {
            Problem::Arguments { container, .. } | Problem::OutOfReach { container, .. } => {
                self.container(container)
            }
            Problem::Value { place, .. } | Problem::Document { place, .. } => self.annotation_of(place),
            _ => None,
        }
    }
}
