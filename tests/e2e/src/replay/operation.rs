//! What the operations of a case do. An operation that is not known here, or an object that this product does not judge,
//! is an error that says so, never a success.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tokio::process::Command;

use super::expression::{Bindings, bind, evaluate_all};
use super::objects::{Objects, Reference};
use super::spec::{Operation, list, seconds, text};
use super::tree::differences;
use super::{Options, Unsupported};
use crate::manifest::Manifest;
use crate::until::until;

/// For something to come true, when the case does not say how long.
const SOON: Duration = Duration::from_secs(30);
/// For an object to be answered as expected: it is sent again until then, as the peer does it, because a webhook's
/// configuration takes a moment to reach the API server.
const ANSWERED: Duration = Duration::from_secs(5);
/// For a program.
const PROGRAM: Duration = Duration::from_secs(30);

/// An operation, and what it may change.
pub(super) struct Playing<'p> {
    pub(super) folder: &'p Path,
    pub(super) options: Options,
    pub(super) objects: &'p mut Objects,
    pub(super) bindings: &'p mut Bindings,
    pub(super) template: bool,
    pub(super) made: &'p mut Vec<Reference>,
}

/// How an object is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Send {
    Apply,
    Create,
    Patch,
    Update,
}

impl Playing<'_> {
    /// Does it, or says why not.
    pub(super) async fn run(&mut self, operation: &Operation) -> Result<()> {
        let content = &operation.content;
        let outer = self.bindings.clone();
        *self.bindings = bind(&outer, &list(&content["bindings"])).context("bindings")?;
        let done = self.verb(operation).await;
        let outputs = std::mem::replace(self.bindings, outer);
        // What an operation puts out stays bound for the rest of the step; what it was given does not.
        for output in list(&content["outputs"]) {
            let name = text(&output["name"]);
            if let Some(value) = outputs.get(&name) {
                self.bindings.insert(name, value.clone());
            }
        }
        done
    }

    async fn verb(&mut self, operation: &Operation) -> Result<()> {
        let content = &operation.content;
        match operation.verb.as_str() {
            "apply" => self.send(operation, Send::Apply).await,
            "create" => self.send(operation, Send::Create).await,
            "patch" => self.send(operation, Send::Patch).await,
            "update" => self.send(operation, Send::Update).await,
            "delete" => self.delete(operation).await,
            "assert" => self.look(operation, true).await,
            "error" => self.look(operation, false).await,
            "wait" => self.wait(operation).await,
            "sleep" => {
                tokio::time::sleep(seconds(&text(&content["duration"]))?).await;
                Ok(())
            }
            "script" | "command" if self.options.programs => self.program(operation).await,
            "script" | "command" => bail!(Unsupported(format!("{} (see --programs)", operation.verb))),
            // They only print.
            "describe" | "events" | "get" | "podLogs" => Ok(()),
            verb => bail!(Unsupported(verb.to_owned())),
        }
    }

    /// The objects of `file` or `resource`.
    fn given(&self, content: &Value, template: bool) -> Result<Vec<Value>> {
        let template = content["template"].as_bool().unwrap_or(template);
        let mut objects = Vec::new();
        if content["resource"].is_object() {
            objects.push(content["resource"].clone());
        } else {
            let name = text(&evaluate_all(&content["file"], self.bindings)?);
            ensure!(!name.is_empty(), "neither file nor resource");
            if name.contains("://") || name.contains(['*', '?', '[']) {
                bail!(Unsupported(format!("file {name}: only the path of one file")));
            }
            let path = self.folder.join(&name);
            let text =
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            objects.extend(Manifest::parse(&text).with_context(|| name.clone())?.objects().iter().cloned());
        }
        if !template {
            return Ok(objects);
        }
        objects.iter().map(|object| evaluate_all(object, self.bindings)).collect()
    }

    async fn send(&mut self, operation: &Operation, how: Send) -> Result<()> {
        let content = &operation.content;
        // What was created cannot be created again.
        let deadline = if how == Send::Create { Duration::ZERO } else { operation.timeout(ANSWERED)? };
        for mut object in self.given(content, self.template)? {
            in_scope(&object)?;
            let reference = Reference::read(&object);
            if reference.namespace.is_empty() && object["kind"] != "Namespace" {
                self.settle(&mut object);
            }
            let what = format!("{} {}", reference.kind, reference.name);
            let answered = until("the expected answer", deadline, async || {
                let sent = self.one(&object, &reference, how).await;
                match self.judge(content, &object, sent) {
                    // What cannot be done here does not come true by waiting.
                    Err(error) if error.downcast_ref::<Unsupported>().is_some() => Ok(Err(error)),
                    judged => judged.map(Ok),
                }
            });
            answered.await.flatten().context(what)?;
        }
        Ok(())
    }

    /// The API server knows which kinds have namespaces; it takes a namespace for those that have none, too.
    fn settle(&self, object: &mut Value) {
        object["metadata"]["namespace"] = self.objects.namespace().into();
    }

    async fn one(&mut self, object: &Value, reference: &Reference, how: Send) -> Result<Value> {
        let there = how == Send::Apply
            && !reference.name.is_empty()
            && !self.objects.find(reference).await?.is_empty();
        match how {
            Send::Patch => self.objects.patch(object).await,
            Send::Apply if there => self.objects.patch(object).await,
            Send::Update => self.objects.replace(object).await,
            Send::Apply | Send::Create => {
                let made = self.objects.create(object).await?;
                let mut reference = Reference::read(&made);
                // Deleted by name alone.
                reference.labels.clear();
                self.made.push(reference);
                Ok(made)
            }
        }
    }

    /// Holds the answer to `expect`; without one that is about the object, it has to be a success.
    fn judge(&mut self, content: &Value, object: &Value, sent: Result<Value>) -> Result<()> {
        if let Err(error) = &sent
            && error.downcast_ref::<Unsupported>().is_some()
        {
            return sent.map(|_| ());
        }
        let error = sent.as_ref().err().map_or(Value::Null, |error| said(error).into());
        let result = sent.as_ref().ok().unwrap_or(object).clone();
        let mut bindings = self.bindings.clone();
        bindings.insert("error".into(), error);
        let mut matched = false;
        for expect in list(&content["expect"]) {
            let about = &expect["match"];
            if !about.is_null() && !differences(about, &result, &bindings)?.is_empty() {
                continue;
            }
            matched = true;
            let found = differences(&expect["check"], &result, &bindings)?;
            if !found.is_empty() {
                bail!("{}; $error is {}", found.join("\n"), bindings["error"]);
            }
        }
        self.put_out(content, &result, &bindings)?;
        if matched { Ok(()) } else { sent.map(|_| ()) }
    }

    fn put_out(&mut self, content: &Value, result: &Value, bindings: &Bindings) -> Result<()> {
        for output in list(&content["outputs"]) {
            let about = &output["match"];
            if about.is_null() || differences(about, result, bindings)?.is_empty() {
                *self.bindings = bind(bindings, &[output])?;
            }
        }
        Ok(())
    }

    async fn delete(&mut self, operation: &Operation) -> Result<()> {
        let content = &operation.content;
        let meant: Vec<Reference> = if content["ref"].is_object() {
            vec![Reference::read(&evaluate_all(&content["ref"], self.bindings)?)]
        } else {
            self.given(content, self.template)?.iter().map(Reference::read).collect()
        };
        let deadline = operation.timeout(SOON)?;
        for reference in meant {
            for object in self.objects.find(&reference).await? {
                let mut one = Reference::read(&object);
                one.labels.clear();
                let gone = self.objects.delete(&one, deadline, false).await.map(|()| object.clone());
                self.judge(content, &object, gone)?;
            }
        }
        Ok(())
    }

    /// `assert` waits until every object is as said, `error` until none is.
    async fn look(&mut self, operation: &Operation, wanted: bool) -> Result<()> {
        let deadline = operation.timeout(SOON)?;
        for expected in self.given(&operation.content, self.template)? {
            let reference = Reference::read(&expected);
            let what = format!("{} {}", reference.kind, reference.name);
            until(&what, deadline, async || {
                let found = self.objects.find(&reference).await?;
                let mut nearest = Vec::new();
                for object in &found {
                    let differs = differences(&expected, object, self.bindings)?;
                    if differs.is_empty() {
                        return if wanted {
                            Ok(())
                        } else {
                            bail!("{what} is as it should not be: {object}")
                        };
                    }
                    nearest = differs;
                }
                match (wanted, found.is_empty()) {
                    (false, _) => Ok(()),
                    (true, true) => bail!("there is no {what}"),
                    (true, false) => bail!("{}", nearest.join("\n")),
                }
            })
            .await?;
        }
        Ok(())
    }

    async fn wait(&mut self, operation: &Operation) -> Result<()> {
        let content = evaluate_all(&operation.content, self.bindings)?;
        let (reference, deadline) = (Reference::read(&content), operation.timeout(SOON)?);
        let (condition, deletion) = (&content["for"]["condition"], &content["for"]["deletion"]);
        if condition.is_null() && deletion.is_null() {
            bail!(Unsupported(format!("wait for {}", content["for"])));
        }
        let expected = condition["value"].as_str().unwrap_or("true").to_lowercase();
        until(&format!("{} {}", reference.kind, reference.name), deadline, async || {
            let found = self.objects.find(&reference).await?;
            if condition.is_null() {
                ensure!(found.is_empty(), "it is still there");
                return Ok(());
            }
            ensure!(!found.is_empty(), "it is not there");
            let is = |object: &Value| {
                let conditions = object.pointer("/status/conditions").map(list).unwrap_or_default();
                conditions.iter().any(|one| {
                    one["type"] == condition["name"] && text(&one["status"]).to_lowercase() == expected
                })
            };
            ensure!(found.iter().all(is), "condition {} is not {expected}", condition["name"]);
            Ok(())
        })
        .await
    }

    async fn program(&mut self, operation: &Operation) -> Result<()> {
        let content = &operation.content;
        let mut command = if operation.verb == "script" {
            let mut shell = Command::new("sh");
            shell.arg("-c").arg(text(&content["content"]));
            shell
        } else {
            let mut command = Command::new(text(&content["entrypoint"]));
            command.args(list(&content["args"]).iter().map(text));
            command
        };
        command.current_dir(self.folder).kill_on_drop(true).env("NAMESPACE", self.objects.namespace());
        for variable in list(&evaluate_all(&content["env"], self.bindings)?) {
            command.env(text(&variable["name"]), text(&variable["value"]));
        }
        let output = tokio::time::timeout(operation.timeout(PROGRAM)?, command.output());
        let output = output.await.context("the program does not end")?.context("cannot start the program")?;
        let print = |bytes: &[u8]| Value::from(String::from_utf8_lossy(bytes).trim_end());
        let (stdout, stderr) = (print(&output.stdout), print(&output.stderr));
        let error = if output.status.success() { Value::Null } else { json!(output.status.to_string()) };
        self.bindings.extend([
            ("stdout".into(), stdout.clone()),
            ("stderr".into(), stderr.clone()),
            ("error".into(), error.clone()),
        ]);
        let bindings = self.bindings.clone();
        if content["check"].is_null() {
            ensure!(error.is_null(), "{error}: {stdout} {stderr}");
        } else {
            let found = differences(&content["check"], &json!({}), &bindings)?;
            ensure!(found.is_empty(), "{}; {error}: {stdout} {stderr}", found.join("\n"));
        }
        self.put_out(content, &Value::Null, &bindings)
    }
}

/// What went wrong, in the words that the peer's client would print.
fn said(error: &anyhow::Error) -> String {
    match error.downcast_ref::<kube::Error>() {
        Some(kube::Error::Api(status)) => status.message.clone(),
        _ => format!("{error:#}"),
    }
}

/// Kyverno's objects that this product does not judge, by design.
fn in_scope(object: &Value) -> Result<()> {
    let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
    if version.starts_with("policies.kyverno.io/")
        || kind.ends_with("CleanupPolicy")
        || kind == "UpdateRequest"
    {
        bail!(Unsupported(format!("{kind} of {version}")));
    }
    if !(version.starts_with("kyverno.io/") && matches!(kind.as_str(), "ClusterPolicy" | "Policy")) {
        return Ok(());
    }
    for rule in list(&object["spec"]["rules"]) {
        let beyond =
            ["mutate", "generate", "verifyImages"].into_iter().find(|field| rule.get(field).is_some());
        if let Some(field) = beyond {
            bail!(Unsupported(format!("{field} rules ({kind} {})", text(&object["metadata"]["name"]))));
        }
        if rule.pointer("/validate/cel").is_some() {
            bail!(Unsupported(format!("validate.cel rules ({kind} {})", text(&object["metadata"]["name"]))));
        }
    }
    Ok(())
}
