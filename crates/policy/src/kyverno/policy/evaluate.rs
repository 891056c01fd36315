//! The way of an object through the rules of a policy.

use super::{Body, Exception, Input, Policy, Rule, RuleResult, Status, resource};
use crate::kyverno::conditions::join;
use crate::kyverno::matching::{Gvk, Target, UserInfo};
use crate::kyverno::pod_security::{Exclusion, PodSecurity};
use crate::kyverno::scope::{Scope, World};
use serde_json::{Map, Value, json};

/// A status with its message; `None` where a rule has nothing to say.
pub(super) type Outcome = Option<(Status, String)>;

const KEPT: &str = "skipping the rule evaluation as pre-existing violations are allowed";

pub(super) fn policy(policy: &Policy, input: &Input<'_>) -> Vec<RuleResult> {
    let subject = if input.object.is_null() { input.old_object } else { input.object };
    let own = Gvk::of(subject);
    let gvk = input.gvk.unwrap_or(&own);
    let generated: &[Rule] = match gvk.kind.as_str() {
        "CronJob" => &policy.cron_jobs,
        _ => &policy.controllers,
    };
    let mut results = Vec::new();
    for rule in policy.rules.iter().chain(generated) {
        let target = Target {
            object: subject,
            gvk,
            subresource: input.subresource,
            operation: input.operation,
            namespace_labels: input.namespace_labels,
            user: input.user,
        };
        let evaluation = Evaluation { policy, rule, input, target };
        if let Some((status, message)) = evaluation.run() {
            results.push(RuleResult { policy: policy.key(), rule: rule.name.clone(), status, message });
            if policy.one && matches!(status, Status::Pass | Status::Fail) {
                break;
            }
        }
    }
    results
}

/// One rule, one object.
struct Evaluation<'a> {
    policy: &'a Policy,
    rule: &'a Rule,
    input: &'a Input<'a>,
    target: Target<'a>,
}

impl<'a> Evaluation<'a> {
    fn matched(&self) -> bool {
        let same_namespace =
            self.policy.namespace.is_empty() || self.policy.namespace == self.target.namespace();
        same_namespace
            && self.rule.matching.matches(&self.target).is_ok()
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
        let mut scope = Scope::new(world, root(input, &self.target), input.operation);
        for (name, value) in input.variables.iter().filter(|(name, _)| name != "request.operation") {
            scope.set_variable(name, value);
        }
        scope.add_entries(&self.rule.context);
        scope
    }

    fn run(&self) -> Outcome {
        if !self.matched() {
            return None;
        }
        let mut scope = self.scope();
        match self.rule.preconditions.evaluate(&mut scope) {
            Err(error) => return Some((Status::Error, format!("failed to evaluate preconditions: {error}"))),
            Ok(verdict) if !verdict.holds => {
                return Some((Status::Skip, join(&["preconditions not met", &verdict.message], "; ")));
            }
            Ok(_) => {}
        }
        let (policy, rule) = (self.policy.key(), self.rule.name.as_str());
        let exceptions = self.input.exceptions.iter();
        let exceptions: Vec<&Exception> =
            exceptions.filter(|e| e.applies(&policy, rule, &self.target, &mut scope)).collect();
        let keys: Vec<&str> = exceptions.iter().map(|exception| exception.key()).collect();
        match &self.rule.body {
            Body::Check(_) if !exceptions.is_empty() => {
                let message = format!("rule is skipped due to policy exceptions{}", keys.join(", "));
                Some((Status::Skip, message))
            }
            Body::Check(check) => {
                let outcome = resource::rule(self.rule, check, self.target.object, &mut scope);
                self.kept(outcome)
            }
            Body::PodSecurity(_) if self.input.operation == "DELETE" => None,
            Body::PodSecurity(standard) => {
                let outcome = self.pod_security(standard, &exceptions, &keys);
                self.kept(Some(outcome))
            }
        }
    }

    fn pod_security(
        &self,
        standard: &PodSecurity,
        exceptions: &[&Exception],
        keys: &[&str],
    ) -> (Status, String) {
        if let Some(whole) = exceptions.iter().find(|exception| exception.exclusions().is_empty()) {
            return (Status::Skip, format!("rule is skipped due to policy exception {}", whole.key()));
        }
        let object = self.target.object;
        let Some(mut failures) = standard.failures(object) else {
            let message = "Error while getting new resource: could not find correct resource type";
            return (Status::Error, message.to_owned());
        };
        if failures.is_empty() {
            return (Status::Pass, format!("Validation rule '{}' passed.", self.rule.name));
        }
        let exclusions: Vec<Exclusion> = exceptions.iter().flat_map(|e| e.exclusions()).cloned().collect();
        standard.except(object, &exclusions, &mut failures);
        if failures.is_empty() {
            return (Status::Skip, format!("rule is skipped due to policy exceptions {}", keys.join(", ")));
        }
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
        (Status::Fail, standard.message(&self.rule.name, kind, &failures))
    }

    /// A violation that the object had before is let through, unless the rule says otherwise.
    fn kept(&self, outcome: Outcome) -> Outcome {
        let input = self.input;
        let update = input.operation == "UPDATE" || !(input.object.is_null() || input.old_object.is_null());
        let failed = matches!(outcome, Some((Status::Fail, _)));
        if !(failed && update && self.rule.enforce && self.rule.allow_existing) || input.old_object.is_null()
        {
            return outcome;
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
        let prior = Evaluation { policy: self.policy, rule: self.rule, input: &before, target }.run();
        if matches!(prior, Some((Status::Fail, _))) { Some((Status::Skip, KEPT.to_owned())) } else { outcome }
    }
}

/// The document that variables are about.
fn root(input: &Input<'_>, target: &Target<'_>) -> Map<String, Value> {
    let mut request = Map::new();
    for (name, object) in [("object", input.object), ("oldObject", input.old_object)] {
        if !object.is_null() {
            request.insert(name.to_owned(), object.clone());
        }
    }
    request.insert("operation".to_owned(), json!(input.operation));
    request.insert("namespace".to_owned(), json!(target.namespace()));
    let metadata =
        |name: &str| target.object.pointer(&format!("/metadata/{name}")).cloned().unwrap_or(json!(""));
    request.insert("name".to_owned(), metadata("name"));
    let gvk = target.gvk;
    request.insert("kind".to_owned(), json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind}));
    let mut root = Map::new();
    let user = input.user;
    // Where nobody asks, Kyverno has no such variables either.
    if *user != UserInfo::default() {
        let info = json!({"username": user.username, "groups": user.groups, "uid": user.uid});
        request.insert("userInfo".to_owned(), info);
        request.insert("roles".to_owned(), json!(user.roles));
        request.insert("clusterRoles".to_owned(), json!(user.cluster_roles));
        let account = user.username.strip_prefix("system:serviceaccount:");
        let (namespace, name) = account.and_then(|rest| rest.split_once(':')).unwrap_or_default();
        root.insert("serviceAccountName".to_owned(), json!(name.split(':').next()));
        root.insert("serviceAccountNamespace".to_owned(), json!(namespace));
    }
    root.insert("request".to_owned(), Value::Object(request));
    root
}
