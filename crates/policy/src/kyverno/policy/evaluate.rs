//! The way of an object through the rules of a policy.

use super::{
    Action, Body, Exception, Input, Policy, Rule, RuleReport, RuleResult, Standard, Status, resource,
};
use crate::jmespath::{Overlay, Slot};
use crate::kyverno::conditions::join;
use crate::kyverno::matching::{Gvk, Target, UserInfo};
use crate::kyverno::pod_security::{Exclusion, Failure, PodSecurity, failed_controls};
use crate::kyverno::quirk::{Quirk, Quirks};
use crate::kyverno::scope::{Scope, World};
use crate::kyverno::variables::substitute;
use serde_json::{Map, Value, json};
use std::borrow::Cow;

/// A status with its message; `None` where a rule has nothing to say.
pub(super) type Outcome = Option<(Status, String)>;

const KEPT: &str = "skipping the rule evaluation as pre-existing violations are allowed";

/// How much is told about a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    /// Status and message.
    Verdict,
    /// Also what only reports need.
    Report,
}

pub(super) fn policy(policy: &Policy, input: &Input<'_>, quirks: Quirks, detail: Detail) -> Vec<RuleReport> {
    let subject = if input.object.is_null() { input.old_object } else { input.object };
    let own;
    let gvk = match input.gvk {
        Some(gvk) => gvk,
        None => {
            own = Gvk::of(subject);
            &own
        }
    };
    let generated: &[Rule] = match gvk.kind.as_str() {
        "CronJob" => &policy.cron_jobs,
        _ => &policy.controllers,
    };
    let mut reports = Vec::new();
    for rule in policy.rules.iter().chain(generated) {
        let target = Target {
            object: subject,
            gvk,
            subresource: input.subresource,
            operation: input.operation,
            namespace_labels: input.namespace_labels,
            user: input.user,
        };
        let evaluation = Evaluation { policy, rule, input, target, quirks, detail };
        if let Some(report) = evaluation.run() {
            let applied = matches!(report.result.status, Status::Pass | Status::Fail);
            reports.push(report);
            if policy.one && applied {
                break;
            }
        }
    }
    reports
}

/// One rule, one object.
struct Evaluation<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    input: &'a Input<'a>,
    target: Target<'a>,
    quirks: Quirks,
    detail: Detail,
}

impl<'a> Evaluation<'a> {
    fn matched(&self) -> bool {
        let same_namespace =
            self.policy.namespace.is_empty() || self.policy.namespace == self.target.namespace();
        same_namespace
            && self.rule.matching.is_about(&self.target)
            && self.rule.exclude.as_ref().is_none_or(|block| block.excludes(&self.target).is_none())
    }

    fn scope(&self) -> Scope<'a> {
        let input = self.input;
        let world = World {
            lookup: input.lookup,
            environment: input.environment,
            expressions: &self.policy.expressions,
            namespace: &self.policy.namespace,
        };
        let object = if input.object.is_object() { input.object } else { input.old_object };
        let target = self.target;
        let build = Box::new(move || root(input, &target));
        let mut scope = Scope::new(world, build, object, input.operation);
        for (name, value) in input.variables.iter().filter(|(name, _)| name != "request.operation") {
            scope.set_variable(name, value);
        }
        scope.add_entries(&self.rule.context);
        scope
    }

    fn run(&self) -> Option<RuleReport> {
        if !self.matched() {
            return None;
        }
        let mut scope = self.scope();
        let plain = |(status, message)| Found { status, message, exceptions: Vec::new(), standard: None };
        let found = match self.rule.preconditions.evaluate(&mut scope) {
            Err(error) => plain((Status::Error, format!("failed to evaluate preconditions: {error}"))),
            Ok(verdict) if !verdict.holds => {
                plain((Status::Skip, join(&["preconditions not met", &verdict.message], "; ")))
            }
            Ok(_) => self.checked(&mut scope)?,
        };
        let properties = match self.detail {
            Detail::Verdict => Vec::new(),
            Detail::Report => properties(&self.rule.settings.report_properties, &mut scope),
        };
        let Found { status, message, exceptions, standard } = found;
        let (policy, rule) = (self.policy.key.clone(), self.rule.name.clone());
        let result = RuleResult { policy, rule, status, message };
        Some(RuleReport { result, exceptions, properties, standard })
    }

    fn checked(&self, scope: &mut Scope<'a>) -> Option<Found> {
        let exceptions = self.exceptions(scope);
        let keys: Vec<&str> = exceptions.iter().map(|exception| exception.key()).collect();
        let mut found = match &self.rule.body {
            Body::Check(_) if !exceptions.is_empty() => {
                let message = format!("rule is skipped due to policy exceptions{}", keys.join(", "));
                let exceptions = keys.iter().map(|key| (*key).to_owned()).collect();
                return Some(Found { status: Status::Skip, message, exceptions, standard: None });
            }
            Body::Check(check) => {
                let (status, message) = resource::rule(self.rule, check, self.target.object, scope)?;
                Found { status, message, exceptions: Vec::new(), standard: None }
            }
            Body::PodSecurity(_) if self.input.operation == "DELETE" => return None,
            Body::PodSecurity(standard) => self.pod_security(standard, &exceptions, &keys),
        };
        if found.status == Status::Fail && self.failed_before() {
            (found.status, found.message) = (Status::Skip, KEPT.to_owned());
        }
        Some(found)
    }

    /// The exceptions that apply. Without Kyverno's quirks, their order is none that anybody chose.
    fn exceptions(&self, scope: &mut Scope<'a>) -> Vec<&'a Exception> {
        let all = self.input.exceptions;
        if all.is_empty() {
            return Vec::new();
        }
        let (policy, rule) = (self.policy.key(), &*self.rule.name);
        let applies = |exception: &&Exception| exception.applies(policy, rule, &self.target, scope);
        let mut exceptions: Vec<&Exception> = all.iter().filter(applies).collect();
        if !self.quirks.on(Quirk::OrderLost) {
            exceptions.sort_by_key(|exception| exception.key());
        }
        exceptions
    }

    fn pod_security(&self, standard: &PodSecurity, exceptions: &[&Exception], keys: &[&str]) -> Found {
        let told = |failures: &[Failure]| {
            (self.detail == Detail::Report).then(|| Standard {
                level: standard.level().to_owned(),
                version: standard.version().to_owned(),
                controls: failed_controls(failures),
            })
        };
        let found = |status, message, exceptions: &[&str], failures: &[Failure]| Found {
            status,
            message,
            exceptions: exceptions.iter().map(|key| (*key).to_owned()).collect(),
            standard: told(failures),
        };
        if let Some(whole) = exceptions.iter().find(|exception| exception.exclusions().is_empty()) {
            let message = format!("rule is skipped due to policy exception {}", whole.key());
            return found(Status::Skip, message, &[whole.key()], &[]);
        }
        let (object, quirks) = (self.target.object, self.quirks);
        let Some(mut failures) = standard.failures(object, quirks) else {
            let message = "Error while getting new resource: could not find correct resource type";
            return found(Status::Error, message.to_owned(), &[], &[]);
        };
        if failures.is_empty() {
            let message = format!("Validation rule '{}' passed.", self.rule.name);
            return found(Status::Pass, message, &[], &[]);
        }
        let exclusions: Vec<Exclusion> = exceptions.iter().flat_map(|e| e.exclusions()).cloned().collect();
        standard.except(object, &exclusions, &mut failures, quirks);
        if failures.is_empty() {
            let message = format!("rule is skipped due to policy exceptions {}", keys.join(", "));
            return found(Status::Skip, message, keys, &[]);
        }
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        found(Status::Fail, standard.message(&self.rule.name, kind, &failures), &[], &failures)
    }

    /// Whether the object violated the rule before, and may keep doing so.
    fn failed_before(&self) -> bool {
        let input = self.input;
        let update = input.operation == "UPDATE" || !(input.object.is_null() || input.old_object.is_null());
        let enforced = self.rule.settings.plain_action(&self.policy.settings) == Action::Enforce;
        if !(update && enforced && self.rule.allow_existing) || input.old_object.is_null() {
            return false;
        }
        let before =
            Input { object: input.old_object, old_object: &Value::Null, operation: "CREATE", ..*input };
        // Whoever made the object before may have been somebody else, so that nobody real matches.
        let stranger = UserInfo {
            username: "kyverno:kyverno-invalid-controller".to_owned(),
            groups: vec!["kyverno:invalidgroup".to_owned()],
            roles: vec!["kyverno:invalidrole".to_owned()],
            cluster_roles: vec!["kyverno:invalidrole".to_owned()],
            uid: "kyverno:invaliduid".to_owned(),
        };
        let target = Target { object: input.old_object, operation: "CREATE", user: &stranger, ..self.target };
        let detail = Detail::Verdict;
        let prior = Evaluation { input: &before, target, detail, ..*self }.run();
        prior.is_some_and(|prior| prior.result.status == Status::Fail)
    }
}

/// What one rule says.
struct Found {
    status: Status,
    message: String,
    exceptions: Vec<String>,
    standard: Option<Standard>,
}

/// A rule's properties for reports. Where a variable in one has no value, all of them stay as they are written.
fn properties(written: &Map<String, Value>, scope: &mut Scope<'_>) -> Vec<(String, String)> {
    if written.is_empty() {
        return Vec::new();
    }
    let document = Value::Object(written.clone());
    let replaced = substitute(&document, scope).map(Cow::into_owned).unwrap_or_else(|_| document.clone());
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let members = replaced.as_object().into_iter().flatten();
    members.map(|(name, value)| (name.clone(), text(value))).collect()
}

/// The document that variables are about.
fn root<'a>(input: &Input<'a>, target: &Target<'a>) -> Overlay<'a> {
    let mut request = Overlay::default();
    let mut set = |name: &'static str, value: Value| drop(request.insert(name, Slot::Owned(value)));
    set("operation", json!(input.operation));
    set("namespace", json!(target.namespace()));
    let mut root = Overlay::default();
    let user = input.user;
    // Where nobody asks, Kyverno has no such variables either.
    if *user != UserInfo::default() {
        set("userInfo", json!({"username": user.username, "groups": user.groups, "uid": user.uid}));
        set("roles", json!(user.roles));
        set("clusterRoles", json!(user.cluster_roles));
        let account = user.username.strip_prefix("system:serviceaccount:");
        let (namespace, name) = account.and_then(|rest| rest.split_once(':')).unwrap_or_default();
        root.insert("serviceAccountName", Slot::Owned(json!(name.split(':').next())));
        root.insert("serviceAccountNamespace", Slot::Owned(json!(namespace)));
    }
    for (name, value) in input.request.as_object().into_iter().flatten() {
        if !matches!(name.as_str(), "object" | "oldObject" | "operation") {
            request.insert(name.as_str(), Slot::Borrowed(value));
        }
    }
    for (name, object) in [("object", input.object), ("oldObject", input.old_object)] {
        if !object.is_null() {
            request.insert(name, Slot::Borrowed(object));
        }
    }
    root.insert("request", Slot::Object(request));
    root
}
