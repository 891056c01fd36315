//! Our own and Kyverno's objects on their way in: what nobody could mean is refused, with the field.

use anyhow::{Context, Result};
use meshward_e2e::{Bed, Case, case};
use serde_json::{Value, json};

use super::unique;

pub(super) const CASES: &[Case] = &[
    case!(
        "an exemption that nobody could mean is refused, with the field and what is accepted",
        Controller,
        exemptions
    ),
    case!("a policy that cannot be evaluated is refused, with the field", Controller, policies),
];

fn exemption(spec: Value) -> Value {
    json!({"apiVersion": "meshward.dev/v1alpha1", "kind": "Exemption", "metadata": {"name": "tried"}, "spec": spec})
}

async fn exemptions(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("objects", &[]).await?;
    let control = bed.controller();
    let entry = |allow: Value| {
        exemption(json!({
            "reason": "a test",
            "entries": [{"containers": {"names": ["istio-init"], "kinds": ["init"]}, "allow": [allow]}],
        }))
    };
    let tried: [(Value, &[&str]); 3] = [
        (entry(json!({"control": "Capabilites"})), &["spec.entries[0].allow[0].control", "Capabilities"]),
        (
            entry(json!({
                "control": "Capabilities",
                "field": "spec.initContainers[*].securityContext.capabilities.ad",
                "values": ["NET_ADMIN"],
            })),
            &["spec.entries[0].allow[0].field", "capabilities.add"],
        ),
        (
            entry(json!({
                "control": "Capabilities",
                "field": "spec.initContainers[*].securityContext.capabilities.add",
                "values": ["NET_ADMN"],
            })),
            &["spec.entries[0].allow[0].values[0]", "NET_ADMIN"],
        ),
    ];
    for (object, parts) in tried {
        control.try_create(&object, shop.name()).await?.refused(parts).with_context(|| object.to_string())?;
    }
    let right = entry(json!({
        "control": "Capabilities",
        "field": "spec.initContainers[*].securityContext.capabilities.add",
        "values": ["NET_ADMIN"],
    }));
    control.try_create(&right, shop.name()).await?.taken().map(|_| ())
}

async fn policies(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("policies", &[]).await?;
    let control = bed.controller();
    let policy = |validate: Value| {
        json!({
            "apiVersion": "kyverno.io/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": unique(&shop, "tried")},
            "spec": {"rules": [{
                "name": "tried",
                "match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": [shop.name()]}}]},
                "validate": validate,
            }]},
        })
    };
    let condition = |key: &str, operator: &str| {
        policy(json!({"deny": {"conditions": {"all": [{"key": key, "operator": operator, "value": "a"}]}}}))
    };
    for (object, part) in [
        (condition("{{ request.object.metadata.name }}", "Resembles"), "operator"),
        (policy(json!({"podSecurity": {"level": "strict", "version": "latest"}})), "level"),
        (
            policy(
                json!({"podSecurity": {"level": "baseline", "exclude": [{"controlName": "Capabilites"}]}}),
            ),
            "controlName",
        ),
    ] {
        control.try_create(&object, "").await?.refused(&[part]).with_context(|| object.to_string())?;
    }
    control
        .try_create(&condition("{{ request.object.metadata.name }}", "Equals"), "")
        .await?
        .taken()
        .map(|_| ())
}
