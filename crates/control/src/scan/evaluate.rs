//! What policies and Pod Security say about one object that is there already.

use meshward_kit::machine::Machine;
use meshward_policy::exemption::{Who, apply};
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Environment;
use meshward_policy::kyverno::matching::{Gvk, KindSelector, NOBODY};
use meshward_policy::kyverno::policy::{Exception, Input};
use meshward_policy::pss::{Level, evaluate, extract};
use serde_json::Value;

use super::plan::{Rules, background};
use super::standards::{Asked, line};
use super::uses::Use;
use crate::admission::guarded;
use crate::hooks::Api;
use crate::live::{LoadedPolicy, Snapshot};
use crate::lookup::{Asker, ForPolicy};
use crate::observed::Subject;
use crate::report::{Line, PodImages, of_fault, of_panic, of_rule};

/// What was found out about one object.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The object.
    pub subject: Subject,
    /// When the object was made, in seconds since 1970; 0 if it does not say.
    pub made: i64,
    /// What is to be reported.
    pub lines: Vec<Line>,
    /// What exemptions took out, one for each value.
    pub uses: Vec<Use>,
}

/// The object in one more version of its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Other {
    /// The version.
    pub served: Api,
    /// The object, or why it cannot be read.
    pub object: Result<Value, String>,
}

/// Objects in lists of the core kinds do not say what they are.
pub(crate) fn complete(object: &mut Value, served: &Api) {
    let Some(map) = object.as_object_mut() else { return };
    let mut add = |name: &str, text: &str| {
        if !map.contains_key(name) {
            map.insert(name.to_owned(), text.into());
        }
    };
    add("apiVersion", &served.client_resource().api_version);
    add("kind", &served.gvk.kind);
}

/// Whether an object is one that is not looked at.
pub(super) fn skips(object: &Value, served: &Api, snapshot: &Snapshot, rules: &Rules) -> bool {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = match (served.namespaced, served.gvk.kind.as_str()) {
        (true, _) => text("/metadata/namespace"),
        (false, "Namespace") if served.gvk.group.is_empty() => text("/metadata/name"),
        (false, _) => "",
    };
    rules.skips(namespace, snapshot) || text("/metadata/uid").is_empty()
}

/// Judges an object; `None` if it is one that is not looked at. A rule is asked about the first version that it is about:
/// `served`, then `others` in their order. If the asker missed something, what was found is none.
pub fn judge(
    object: &Value,
    served: &Api,
    others: &[Other],
    snapshot: &Snapshot,
    rules: &Rules,
    asker: &Asker<'_>,
) -> Option<Found> {
    if skips(object, served, snapshot, rules) {
        return None;
    }
    let subject = Subject::of(object);
    let made = object.pointer("/metadata/creationTimestamp").and_then(Value::as_str);
    let made = made.and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let made = made.map_or(0, jiff::Timestamp::as_second);
    let mut found = Found { subject: subject.clone(), made, lines: Vec::new(), uses: Vec::new() };
    let asked: Vec<&LoadedPolicy> = background(snapshot, served).collect();
    found.lines = policies(object, &served.gvk, &asked, snapshot, asker);
    let mut earlier = vec![served];
    for other in others {
        let mut lines = in_another(other, &earlier, snapshot, asker);
        lines.retain(|line| !found.lines.iter().any(|known| known.identity() == line.identity()));
        found.lines.extend(lines);
        earlier.push(&other.served);
    }
    standards(object, &subject.namespace, snapshot, rules, &mut found);
    Some(found)
}

/// What policies say that name a version which is none of the `earlier` ones.
fn in_another(
    Other { served, object }: &Other,
    earlier: &[&Api],
    snapshot: &Snapshot,
    asker: &Asker<'_>,
) -> Vec<Line> {
    let names = |selector: &KindSelector| {
        selector.matches(&served.gvk, "") && !earlier.iter().any(|before| selector.matches(&before.gvk, ""))
    };
    let asked = background(snapshot, served).filter(|one| one.policy.kinds().flatten().any(names));
    let asked: Vec<&LoadedPolicy> = asked.collect();
    match object {
        Ok(object) => policies(object, &served.gvk, &asked, snapshot, asker),
        Err(why) => {
            let told = format!("the object cannot be read in version {}: {why}", served.gvk.version);
            asked.iter().map(|policy| of_fault(policy, &told)).collect()
        }
    }
}

fn policies(
    object: &Value,
    gvk: &Gvk,
    asked: &[&LoadedPolicy],
    snapshot: &Snapshot,
    asker: &Asker<'_>,
) -> Vec<Line> {
    let mut lines = Vec::new();
    if asked.is_empty() {
        return lines;
    }
    let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).unwrap_or_default();
    let labels = snapshot.namespaces.get(namespace).and_then(|found| found.pointer("/metadata/labels"));
    let exceptions = in_background(snapshot);
    let input = Input {
        gvk: Some(gvk),
        namespace_labels: labels.unwrap_or(&Value::Null),
        user: &NOBODY,
        exceptions: exceptions.as_deref().unwrap_or(snapshot.exceptions.values()),
        ..Input::created(object, &Machine)
    };
    for policy in asked {
        let lookup = ForPolicy::new(asker, policy.policy.namespace().unwrap_or_default());
        let input = Input { lookup: &lookup, ..input };
        match guarded(|| policy.policy.report(&input)) {
            Ok(reports) => {
                lines.extend(reports.iter().map(|report| of_rule(policy, report, PodImages(object))));
            }
            Err(panic) => lines.push(of_panic(policy, &panic)),
        }
    }
    lines
}

/// The exceptions that count here, where that is not all of them.
fn in_background(snapshot: &Snapshot) -> Option<Vec<Exception>> {
    let all = snapshot.exceptions.values();
    let some = all.iter().any(|exception| !exception.in_background());
    some.then(|| all.iter().filter(|exception| exception.in_background()).cloned().collect())
}

fn standards(object: &Value, namespace: &str, snapshot: &Snapshot, rules: &Rules, found: &mut Found) {
    if namespace.is_empty() {
        return;
    }
    let Some(labels) = snapshot.namespaces.get(namespace) else { return };
    let Ok(Some(pod)) = extract(object) else { return };
    let exemptions = &rules.standards.exemptions;
    if exemptions.namespace(namespace) || exemptions.runtime_class(pod.runtime_class()) {
        return;
    }
    let Some(now) = now() else { return };
    for prefix in &rules.prefixes {
        for asked in Asked::by(&rules.asked(&**labels, prefix)) {
            if asked.policy.level == Level::Privileged {
                continue;
            }
            let mut results = evaluate(asked.policy.level, asked.policy.version, &pod);
            let exemptions = snapshot.exemptions.values();
            let removed = apply(&mut results, &pod, &Who::of(&pod, namespace), exemptions, now);
            let origins = snapshot.exemptions.origins();
            let uses: Vec<Use> = removed.iter().filter_map(|one| Use::of(one, origins)).collect();
            found.lines.push(line(prefix, &asked, &results, &uses, PodImages(object)));
            found.uses.extend(uses);
        }
    }
    found.uses.sort();
    found.uses.dedup();
}

/// The time by which exemptions expire.
pub(crate) fn now() -> Option<Moment> {
    Machine.now()
}
