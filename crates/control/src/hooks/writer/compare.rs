//! What has to be written so that what is there becomes what should be: pure.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use serde_json::{Map, Value, json};

use super::Instance;
use crate::hooks::Desired;

/// Managed clusters (AKS) change every webhook configuration without it, ours back, and so on.
const ENFORCER: (&str, &str) = ("admissions.enforcer/disabled", "true");

/// What says that a configuration lets requests through until the API server can reach us.
const STARTING: &str = "meshward.dev/starting";

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    /// It is not there.
    Create(Value),
    /// Fields differ: a merge patch.
    Patch(Value),
    /// Nobody wants it.
    Delete,
}

/// What is not there yet, or was made by somebody who was not reachable yet, starts by letting requests through.
pub(super) fn starting(
    desired: Vec<Desired>,
    found: &BTreeMap<(String, String), Value>,
    instance: &Instance,
) -> Vec<Desired> {
    let starts = |desired: &Desired| {
        let key = (desired.kind.to_owned(), instance.name(desired.name));
        let annotation = |object: &Value| object.pointer("/metadata/annotations")?.get(STARTING).cloned();
        found.get(&key).is_none_or(|object| annotation(object).is_some())
    };
    let each = desired.into_iter();
    each.map(|desired| if starts(&desired) { desired.starting() } else { desired }).collect()
}

/// The requests, by kind and name.
pub(super) fn plan(
    desired: &[Desired],
    found: &BTreeMap<(String, String), Value>,
    instance: &Instance,
    owner: Option<&OwnerReference>,
) -> Vec<((String, String), Step)> {
    let wanted: BTreeMap<(String, String), Value> = desired
        .iter()
        .map(|desired| {
            let name = instance.name(desired.name);
            ((desired.kind.to_owned(), name.clone()), object(desired, &name, instance, owner))
        })
        .collect();
    let gone = found.keys().filter(|key| !wanted.contains_key(*key));
    let gone: Vec<_> = gone.map(|key| (key.clone(), Step::Delete)).collect();
    let differing = wanted.into_iter().filter_map(|(key, wanted)| match found.get(&key) {
        None => Some((key, Step::Create(wanted))),
        Some(found) => patch(&wanted, found).map(|patch| (key, Step::Patch(patch))),
    });
    // Removals last: what replaces them is in force by then.
    differing.chain(gone).collect()
}

/// The whole object.
fn object(desired: &Desired, name: &str, instance: &Instance, owner: Option<&OwnerReference>) -> Value {
    let mut object = desired.object(name);
    let labels: Map<String, Value> =
        instance.labels().into_iter().map(|(key, value)| (key.to_owned(), value.into())).collect();
    object["metadata"]["labels"] = labels.into();
    object["metadata"]["annotations"] = json!({ENFORCER.0: ENFORCER.1});
    if desired.starting {
        object["metadata"]["annotations"][STARTING] = json!("true");
    }
    if let Some(OwnerReference { api_version, kind, name, uid, .. }) = owner {
        object["metadata"]["ownerReferences"] =
            json!([{"apiVersion": api_version, "kind": kind, "name": name, "uid": uid}]);
    }
    object
}

/// What of `wanted` is otherwise in `found`. Labels and annotations that others added stay.
pub(super) fn patch(wanted: &Value, found: &Value) -> Option<Value> {
    let mut patch = json!({});
    for field in ["labels", "annotations"] {
        let pointer = format!("/metadata/{field}");
        let there = found.pointer(&pointer);
        let wanted = wanted.pointer(&pointer).and_then(Value::as_object).into_iter().flatten();
        for (key, value) in wanted.filter(|(key, value)| there.and_then(|all| all.get(*key)) != Some(value)) {
            patch["metadata"][field][key] = value.clone();
        }
    }
    let starts = |object: &Value| object["metadata"]["annotations"].get(STARTING).is_some();
    if starts(found) && !starts(wanted) {
        patch["metadata"]["annotations"][STARTING] = Value::Null;
    }
    let owners = "/metadata/ownerReferences";
    if let Some(owner) = wanted.pointer(owners)
        && found.pointer(owners) != Some(owner)
    {
        patch["metadata"]["ownerReferences"] = owner.clone();
    }
    if wanted.get("webhooks") != found.get("webhooks") {
        patch["webhooks"] = wanted["webhooks"].clone();
    }
    if patch == json!({}) {
        return None;
    }
    // Only what was compared is changed.
    if let Some(version) = found.pointer("/metadata/resourceVersion") {
        patch["metadata"]["resourceVersion"] = version.clone();
    }
    Some(patch)
}

/// Whose a configuration is, where it is that of another release: `namespace/service`.
pub(super) fn other_release(found: &Value, instance: &Instance) -> Option<String> {
    let label = |key: &str| found.pointer("/metadata/labels")?.get(key)?.as_str();
    let [(managed, by), (service, ours), (namespace, our_namespace)] = instance.labels();
    let (theirs, their_namespace) = (label(service)?, label(namespace)?);
    let other = label(managed)? == by && (theirs, their_namespace) != (ours, our_namespace);
    other.then(|| format!("{their_namespace}/{theirs}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        Instance { service: "meshward-control".into(), namespace: "meshward-system".into() }
    }

    fn desired() -> Desired {
        Desired {
            kind: "ValidatingWebhookConfiguration",
            name: "meshward-policies",
            webhooks: vec![json!({"name": "fail.policies.meshward.dev", "rules": []})],
            starting: false,
        }
    }

    fn key(name: &str) -> (String, String) {
        ("ValidatingWebhookConfiguration".into(), name.into())
    }

    fn created(found: &BTreeMap<(String, String), Value>) -> Value {
        let plan = plan(&[desired()], found, &instance(), None);
        let [(at, Step::Create(object))] = plan.as_slice() else { panic!("{plan:?}") };
        assert_eq!(*at, key("meshward-policies"));
        object.clone()
    }

    #[test]
    fn what_is_there_as_it_should_be_is_left_alone() {
        let mut object = created(&BTreeMap::new());
        object["metadata"]["resourceVersion"] = json!("7");
        object["metadata"]["labels"]["theirs"] = json!("stays");
        let mut found = BTreeMap::from([(key("meshward-policies"), object.clone())]);
        assert_eq!(plan(&[desired()], &found, &instance(), None), []);
        object["webhooks"][0]["failurePolicy"] = json!("Ignore");
        object["metadata"]["labels"]["meshward.dev/service"] = json!("x");
        found.insert(key("meshward-policies"), object);
        found.insert(key("meshward-objects"), json!({}));
        let steps = plan(&[desired()], &found, &instance(), None);
        let patch = json!({
            "metadata": {"labels": {"meshward.dev/service": "meshward-control"}, "resourceVersion": "7"},
            "webhooks": [{"name": "fail.policies.meshward.dev", "rules": []}],
        });
        let expected =
            [(key("meshward-policies"), Step::Patch(patch)), (key("meshward-objects"), Step::Delete)];
        assert_eq!(steps, expected);
    }

    #[test]
    fn what_is_new_lets_requests_through_until_we_can_be_reached() {
        let none = BTreeMap::new();
        let first = starting(vec![desired()], &none, &instance());
        assert_eq!((first[0].starting, &first[0].webhooks[0]["failurePolicy"]), (true, &json!("Ignore")));
        let steps = plan(&first, &none, &instance(), None);
        let [(at, Step::Create(there))] = steps.as_slice() else { panic!("{steps:?}") };
        let found = BTreeMap::from([(at.clone(), there.clone())]);
        // Another leader that is not reachable yet leaves it so.
        let second = starting(vec![desired()], &found, &instance());
        assert_eq!(plan(&second, &found, &instance(), None), []);
        let steps = plan(&[desired()], &found, &instance(), None);
        let patch = json!({
            "metadata": {"annotations": {"meshward.dev/starting": null}},
            "webhooks": desired().webhooks,
        });
        assert_eq!(steps, [(key("meshward-policies"), Step::Patch(patch))]);
        // What is in force already is not weakened.
        let mut whole = found.clone();
        whole.values_mut().for_each(|object| object["metadata"]["annotations"] = json!({}));
        assert_eq!(starting(vec![desired()], &whole, &instance()), [desired()]);
    }

    #[test]
    fn an_owner_is_written_and_kept() {
        let owner = OwnerReference {
            api_version: "v1".into(),
            kind: "Namespace".into(),
            name: "n".into(),
            uid: "u".into(),
            ..OwnerReference::default()
        };
        let bare = created(&BTreeMap::new());
        let found = BTreeMap::from([(key("meshward-policies"), bare)]);
        let steps = plan(&[desired()], &found, &instance(), Some(&owner));
        let written = json!([{"apiVersion": "v1", "kind": "Namespace", "name": "n", "uid": "u"}]);
        assert_eq!(steps[0].1, Step::Patch(json!({"metadata": {"ownerReferences": written}})));
    }

    #[test]
    fn another_release_is_told_apart() {
        let ours = created(&BTreeMap::new());
        let mut theirs = ours.clone();
        theirs["metadata"]["labels"]["meshward.dev/service-namespace"] = json!("elsewhere");
        assert_eq!(other_release(&ours, &instance()), None);
        assert_eq!(other_release(&json!({}), &instance()), None);
        assert_eq!(other_release(&theirs, &instance()).unwrap(), "elsewhere/meshward-control");
    }

    #[test]
    fn names_stay_behind_those_of_the_injectors() {
        let release = Instance { service: "acme-control".into(), ..instance() };
        let injectors = [
            "istio-sidecar-injector",
            "linkerd-proxy-injector-webhook-config",
            "kuma-admission-mutating-webhook-configuration",
            "consul-connect-injector",
        ];
        for name in [instance().name("meshward-swap"), release.name("meshward-swap")] {
            assert!(injectors.iter().all(|injector| *injector < name.as_str()), "{name}");
        }
        assert_eq!(release.name("meshward-swap"), "meshward-swap.acme-control");
    }
}
