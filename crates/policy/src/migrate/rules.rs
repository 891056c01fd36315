//! Rules of Kyverno's policies: those with a standard, and those that are a control written by hand.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::entries::entries;
use super::recognise::{Recognised, bad_pod, recognise};
use super::{Given, Plan, known_namespaces, namespaces};
use crate::jmespath::Offline;
use crate::kyverno::policy::{Action, Policy, Status};
use crate::lint::documents::{Kind, kind, policies};
use crate::lint::text;
use crate::lint::used::kyverno::{input, level};
use crate::pss::{LevelVersion, Version, active};

/// A rule that was carried over.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) policy: String,
    pub(super) rule: String,
    pub(super) namespaces: Vec<String>,
}

/// What in a filter no label of a namespace can say.
const NARROWER: [&str; 4] = ["name", "names", "selector", "annotations"];
const USERS: [&str; 3] = ["subjects", "roles", "clusterRoles"];

pub(super) fn read(given: &Given<'_>, plan: &mut Plan) -> Vec<Carried> {
    let compiled = policies(given.documents);
    let mut carried = Vec::new();
    let mut controls: BTreeSet<&'static str> = BTreeSet::new();
    let mut by_hand = None;
    for (document, object) in given.documents.iter().enumerate() {
        if kind(object) != Some(Kind::Policy) {
            continue;
        }
        let Some((_, policy)) = compiled.iter().find(|(index, _)| *index == document) else {
            plan.note(document, "", true, "the policy is not valid: `meshward lint` says why");
            continue;
        };
        for unsupported in policy.unsupported() {
            let message = format!("rule {:?}: {}", unsupported.rule, unsupported.what);
            plan.note(document, "spec.rules", true, message);
        }
        let rules = object.pointer("/spec/rules").and_then(Value::as_array);
        for (index, rule) in rules.into_iter().flatten().enumerate() {
            let source = Source { given, document, object, policy, index, rule };
            if policy.unsupported().iter().any(|unsupported| unsupported.rule == text(rule, "/name")) {
                continue;
            }
            let standard = rule.pointer("/validate/podSecurity").is_some_and(Value::is_object);
            let found = if standard { source.standard(plan) } else { source.control(&mut controls, plan) };
            if !standard && found.is_some() {
                by_hand = Some(document);
            }
            carried.extend(found);
        }
    }
    if let Some(document) = by_hand {
        stricter(document, &controls, plan);
    }
    carried
}

/// Controls that no policy had, and that the level brings.
fn stricter(document: usize, controls: &BTreeSet<&'static str>, plan: &mut Plan) {
    let levels = plan.namespaces.values().flat_map(|asked| [asked.enforce, asked.audit]);
    let Some(level) = levels.flatten().map(|level| level.level).max() else { return };
    let mut missing: Vec<&str> = active(level, Version::Latest)
        .map(|(check, _)| check.control)
        .filter(|control| !controls.contains(control))
        .collect();
    missing.dedup();
    if !missing.is_empty() {
        let message = format!("{level} also checks what no given policy did: {}", missing.join(", "));
        plan.note(document, "", false, message);
    }
}

struct Source<'a> {
    given: &'a Given<'a>,
    document: usize,
    object: &'a Value,
    policy: &'a Policy,
    index: usize,
    rule: &'a Value,
}

impl Source<'_> {
    fn path(&self) -> String {
        format!("spec.rules[{}]", self.index)
    }

    /// A podSecurity rule.
    fn standard(&self, plan: &mut Plan) -> Option<Carried> {
        let level = level(self.rule);
        let namespaces = self.namespaces(bad_pod(), level, plan)?;
        let list = self.rule.pointer("/validate/podSecurity/exclude").and_then(Value::as_array);
        let place = format!("{}.validate.podSecurity.exclude", self.path());
        let entries = entries(self.given, list.map_or(&[][..], Vec::as_slice), (self.document, &place), plan);
        let name = text(self.rule, "/name");
        let reason =
            format!("carried over from {} {}, rule {name}", text(self.object, "/kind"), self.policy.key());
        plan.exempt(&format!("{}-{name}", self.policy.key()), &reason, &namespaces, json!({}), &entries);
        Some(Carried { policy: self.policy.key().to_owned(), rule: name.to_owned(), namespaces })
    }

    /// A rule that is one control, or several, written by hand.
    fn control(&self, controls: &mut BTreeSet<&'static str>, plan: &mut Plan) -> Option<Carried> {
        let Some(Recognised { controls: found, level, refused, unseen }) = recognise(self.object, self.rule)
        else {
            let message = "the rule is none of the Pod Security Standards' controls";
            plan.note(self.document, self.path(), true, message);
            return None;
        };
        let level = LevelVersion { level, version: Version::Latest };
        let namespaces = self.namespaces(refused, level, plan)?;
        plan.note(self.document, self.path(), false, format!("recognised as {}", found.join(", ")));
        if !unseen.is_empty() {
            let message = format!(
                "the standard is stricter than the rule, which does not refuse {}",
                unseen.join(", ")
            );
            plan.note(self.document, self.path(), false, message);
        }
        controls.extend(found);
        Some(Carried {
            policy: self.policy.key().to_owned(),
            rule: text(self.rule, "/name").to_owned(),
            namespaces,
        })
    }

    /// The namespaces that the rule is about, each of which gets the level; `None` if labels cannot say it.
    fn namespaces(&self, pod: Value, level: LevelVersion, plan: &mut Plan) -> Option<Vec<String>> {
        if let Some(what) = narrower(self.rule) {
            let message = format!("the rule depends on {what}, which no label of a namespace can say");
            plan.note(self.document, self.path(), true, message);
            return None;
        }
        let known = known_namespaces(self.given);
        if known.is_empty() {
            let message = "no namespace is known to label: give Namespace objects, or resources with -r";
            plan.note(self.document, self.path(), true, message);
            return None;
        }
        let mut about = Vec::new();
        for name in known {
            let labels = namespaces::namespace(self.given.documents, &name).pointer("/metadata/labels");
            if !self.is_about(&pod, &name) {
                continue;
            }
            let action = self.policy.action(text(self.rule, "/name"), &name, labels.unwrap_or(&Value::Null));
            let asked = plan.namespaces.entry(name.clone()).or_default();
            let mode = if action == Action::Enforce { &mut asked.enforce } else { &mut asked.audit };
            if mode.is_none_or(|known| known.level < level.level) {
                *mode = Some(level);
            }
            about.push(name);
        }
        Some(about)
    }

    /// Whether the rule, without its exclusions, refuses a bad pod of a namespace.
    fn is_about(&self, pod: &Value, namespace: &str) -> bool {
        let mut single = self.object.clone();
        let mut rule = self.rule.clone();
        if let Some(standard) = rule.pointer_mut("/validate/podSecurity").and_then(Value::as_object_mut) {
            standard.remove("exclude");
        }
        single["spec"]["rules"] = json!([rule]);
        let Ok(policy) = Policy::compile(&single) else { return false };
        let mut pod = pod.clone();
        pod["metadata"]["namespace"] = json!(namespace);
        let given = Given { resources: &[], environment: &Offline, ..*self.given };
        policy.evaluate(&input(&given, &pod, &[])).iter().any(|result| result.status == Status::Fail)
    }
}

/// What of a rule's match, exclude and preconditions is about more than the namespace.
fn narrower(rule: &Value) -> Option<String> {
    for block in ["match", "exclude"] {
        let whole = rule.get(block).unwrap_or(&Value::Null);
        let listed = ["any", "all"].iter().filter_map(|list| whole.get(*list)?.as_array()).flatten();
        for filter in listed.chain([whole]) {
            let set =
                |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
            let resources = filter.get("resources").unwrap_or(&Value::Null);
            let named = NARROWER.iter().find(|name| resources.get(**name).is_some_and(set));
            let user = USERS.iter().find(|name| filter.get(**name).is_some_and(set));
            if let Some(name) = named.or(user) {
                return Some(format!("{block} by {name}"));
            }
        }
    }
    let conditions = rule.get("preconditions").map(ToString::to_string).unwrap_or_default();
    let others = conditions.replace("request.operation", "");
    others
        .contains("{{")
        .then_some(others)
        .filter(|text| text.contains("request.") || text.contains("serviceAccount"))
        .map(|_| "preconditions".to_owned())
}
