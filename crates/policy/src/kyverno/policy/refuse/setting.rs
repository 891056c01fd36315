//! The policy as a whole: its name, its annotation, and settings that contradict each other.

use super::{Modes, Refused, Written, list, present, text, texts, variable};
use crate::kyverno::autogen;
use crate::wildcard;
use serde_json::Value;

/// A policy's name is a label of its reports.
const LONGEST_NAME: usize = 63;
/// What kubectl keeps of the policy; it says nothing new.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

pub(super) fn check(written: &Written<'_>, modes: &Modes, refused: &mut Refused<'_>) {
    let metadata = written.document.get("metadata").unwrap_or(&Value::Null);
    let is_cluster_wide = text(written.document, "kind") == "ClusterPolicy";
    if is_cluster_wide && !text(metadata, "namespace").is_empty() {
        refused.add("metadata.namespace", "a ClusterPolicy is in no namespace, accepted: none, or a Policy");
    }
    let name = text(metadata, "name");
    if name.len() > LONGEST_NAME {
        let reason = format!("{} characters long, accepted: at most {LONGEST_NAME}", name.len());
        refused.add("metadata.name", reason);
    }
    if metadata.get("annotations").is_some_and(|all| text(all, autogen::ANNOTATION) == "all") {
        let path = format!("metadata.annotations[{}]", autogen::ANNOTATION);
        refused.add(path, "found \"all\", accepted: none, or kinds of controllers; without it, all of them");
    }
    for (name, value) in metadata.get("annotations").and_then(Value::as_object).into_iter().flatten() {
        if name != LAST_APPLIED {
            variable::users(value, &format!("metadata.annotations[{name}]"), modes, refused);
        }
    }
    replaced(written.spec, refused);
    let path = "spec.validationFailureActionOverrides";
    if is_cluster_wide {
        overrides(list(written.spec, "validationFailureActionOverrides"), path, refused);
        for (index, rule) in written.rules.iter().enumerate() {
            let Some(validate) = present(rule, "validate") else { continue };
            let path = format!("spec.rules[{index}].validate.failureActionOverrides");
            overrides(list(validate, "failureActionOverrides"), &path, refused);
        }
    } else if !list(written.spec, "validationFailureActionOverrides").is_empty() {
        refused
            .add(path, "a Policy is in one namespace, accepted: validationFailureAction, or a ClusterPolicy");
    }
}

/// Old fields beside the new ones that took their place.
fn replaced(spec: &Value, refused: &mut Refused<'_>) {
    let webhook = spec.get("webhookConfiguration").unwrap_or(&Value::Null);
    for (old, new) in [("webhookTimeoutSeconds", "timeoutSeconds"), ("failurePolicy", "failurePolicy")] {
        if present(spec, old).is_some() && present(webhook, new).is_some() {
            let reason = format!("spec.webhookConfiguration.{new} is set too, accepted: that alone");
            refused.add(format!("spec.{old}"), reason);
        }
    }
    if present(spec, "generateExistingOnPolicyUpdate").is_some() {
        let reason = "nothing reads it any more, accepted: spec.rules[*].generate.generateExisting";
        refused.add("spec.generateExistingOnPolicyUpdate", reason);
    }
}

/// Namespaces that would have two actions.
fn overrides(all: &[Value], path: &str, refused: &mut Refused<'_>) {
    let (mut audit, mut enforce): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for (index, one) in all.iter().enumerate() {
        let namespaces = texts(one, "namespaces");
        let (own, other) = match text(one, "action") {
            "Audit" | "audit" => (&mut audit, &enforce),
            "Enforce" | "enforce" => (&mut enforce, &audit),
            _ => {
                refused.add(format!("{path}[{index}].action"), "missing, accepted: Audit, Enforce");
                return;
            }
        };
        let conflict =
            namespaces.iter().find_map(|new| Some((*new, *other.iter().find(|old| meets(new, old))?)));
        if let Some((new, old)) = conflict {
            let reason =
                format!("{new:?} has another action by {old:?}, accepted: namespaces with one action");
            refused.add(format!("{path}[{index}].namespaces"), reason);
            return;
        }
        own.extend(namespaces);
    }
}

/// Whether two names or patterns are about the same namespace, as far as Kyverno looks.
fn meets(one: &str, other: &str) -> bool {
    wildcard::matches(one, other) || wildcard::matches(other, one)
}
