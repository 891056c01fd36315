//! The chart comes and goes.

use anyhow::{Result, ensure};
use meshward_e2e::{Bed, Case, case, until};
use serde_json::Value;

use super::{LEARNED, owner_policy, plain, refuses, takes, unique};

pub(super) const CASES: &[Case] = &[
    case!(alone "uninstalling leaves nothing behind, and everything can be created again", Controller, uninstalled),
];

/// Kinds of the whole cluster that the chart or the controller make.
const KINDS: &[(&str, &str)] = &[
    ("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
    ("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
    ("rbac.authorization.k8s.io/v1", "ClusterRole"),
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
];

async fn uninstalled(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("uninstalled", &[]).await?;
    let policy = owner_policy(&unique(&shop, "owner"), shop.name(), "Enforce", "Fail");
    bed.controller().create(&policy, "").await?.taken()?;
    refuses(bed, &shop, &plain("a"), "every pod here has an owner").await?;
    bed.controller().uninstall().await?;
    // Nobody is asked any more, from the moment on that nobody answers.
    takes(bed, &shop, &plain("a")).await?;
    let left = until("everything to be gone", LEARNED, async || {
        let left = left_behind(bed).await?;
        ensure!(left.is_empty(), "uninstalling left {left:?}");
        Ok(())
    })
    .await;
    let back = bed.controller().install(&[]).await;
    left?;
    back.map(|_| ())
}

async fn left_behind(bed: &Bed) -> Result<Vec<String>> {
    let mut left = Vec::new();
    let mut note = |kind: &str, objects: &[Value]| {
        let names = objects.iter().filter_map(|object| object["metadata"]["name"].as_str());
        let ours = names.filter(|name| name.contains("meshward"));
        left.extend(ours.map(|name| format!("{kind} {name}")));
    };
    for (api, kind) in KINDS {
        note(kind, &bed.controller().list(api, kind, "").await?);
    }
    for (api, kind) in [
        ("v1", "Secret"),
        ("v1", "ConfigMap"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("coordination.k8s.io/v1", "Lease"),
        ("batch/v1", "Job"),
        ("apps/v1", "Deployment"),
    ] {
        note(kind, &bed.controller().list(api, kind, meshward_e2e::controller::NAMESPACE).await?);
    }
    Ok(left)
}
