//! Kyverno's policies in force on requests.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use meshward_e2e::replay::{Options, Verdict, discover, replay};
use meshward_e2e::{Bed, Case, case, until};
use serde_json::{Value, json};

use super::{LEARNED, owner_policy, plain, refuses, takes, unique};

pub(super) const CASES: &[Case] = &[
    case!("Enforce refuses in the words of Kyverno, Audit takes", Controller, actions),
    case!("an action is overridden for a namespace", Controller, overridden),
    case!("a policy about pods is one about what makes them", Controller, generated),
    case!("deletions are judged, and who asks counts", Controller, deletion),
    case!("a policy's ConfigMap is read as it is now", Controller, context),
    case!("only what policies name is sent", Controller, exact),
    case!("Kyverno's declarative cases hold", Controller, declarative),
];

async fn actions(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("actions", &[]).await?;
    let name = unique(&shop, "owner");
    bed.put(&owner_policy(&name, shop.name(), "Enforce", "Fail"), "").await?;
    let words = format!("resource Pod/{}/a was blocked due to the following policies", shop.name());
    refuses(bed, &shop, &plain("a"), &words).await?;
    let reply = bed.controller().try_create(&plain("a"), shop.name()).await?;
    reply.refused(&[
        &name,
        "owner",
        "validation error: every pod here has an owner",
        "rule owner failed at path /metadata/labels/",
    ])?;
    let mut good = plain("a");
    good["metadata"]["labels"] = json!({"owner": "shop"});
    takes(bed, &shop, &good).await?;

    let open = bed.namespace("audited", &[]).await?;
    let mut audit = owner_policy(&unique(&open, "owner"), open.name(), "Audit", "Fail");
    audit["spec"]["emitWarning"] = json!(true);
    bed.put(&audit, "").await?;
    until("a warning", LEARNED, async || {
        let reply = bed.controller().try_create(&plain("a"), open.name()).await?.taken()?;
        reply.warned("every pod here has an owner").map(|_| ())
    })
    .await
}

async fn overridden(bed: &Bed) -> Result<()> {
    let strict = bed.namespace("strict", &[]).await?;
    let lax = bed.namespace("lax", &[]).await?;
    let mut policy = owner_policy(&unique(&strict, "owner"), strict.name(), "Enforce", "Fail");
    let rule = &mut policy["spec"]["rules"][0];
    rule["match"]["any"][0]["resources"]["namespaces"] = json!([strict.name(), lax.name()]);
    rule["validate"]["failureActionOverrides"] = json!([{"action": "Audit", "namespaces": [lax.name()]}]);
    bed.put(&policy, "").await?;
    refuses(bed, &strict, &plain("a"), "owner").await?;
    takes(bed, &lax, &plain("a")).await
}

async fn generated(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("generated", &[]).await?;
    bed.put(&owner_policy(&unique(&shop, "owner"), shop.name(), "Enforce", "Fail"), "").await?;
    refuses(bed, &shop, &plain("a"), "owner").await?;
    for object in super::standards::workloads(&plain("a")) {
        let kind = object["kind"].as_str().unwrap_or_default();
        let rule = if kind == "CronJob" { "autogen-cronjob-owner" } else { "autogen-owner" };
        until("a refusal", LEARNED, async || {
            bed.controller().try_create(&object, shop.name()).await?.refused(&[rule]).map(|_| ())
        })
        .await
        .with_context(|| kind.to_owned())?;
    }
    Ok(())
}

async fn deletion(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("deletion", &[]).await?;
    let control = bed.controller();
    let policy = |excluded: &str| {
        json!({
            "apiVersion": "kyverno.io/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": unique(&shop, "kept")},
            "spec": {"background": false, "rules": [{
                "name": "kept",
                "match": {"any": [{"resources": {
                    "kinds": ["ConfigMap"], "names": ["kept"], "namespaces": [shop.name()], "operations": ["DELETE"],
                }}]},
                "exclude": {"any": [{"subjects": [{"kind": "User", "name": excluded}]}]},
                "validate": {"failureAction": "Enforce", "message": "it stays", "deny": {}},
            }]},
        })
    };
    let kept = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept"}});
    let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "other"}});
    control.create(&kept, shop.name()).await?.taken()?;
    control.create(&other, shop.name()).await?.taken()?;
    bed.put(&policy("somebody-else"), "").await?;
    until("a refusal", LEARNED, async || {
        control.create(&kept, shop.name()).await?;
        control.delete(&kept, shop.name()).await?.refused(&["it stays"]).map(|_| ())
    })
    .await?;
    control.delete(&other, shop.name()).await?.taken()?;
    // The same for whoever these tests are: nobody is told, so that it is read from what the API server says.
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"});
    let own = control.create(&review, "").await?.taken()?.body["status"]["userInfo"]["username"].clone();
    control.merge(&policy(own.as_str().context("no name")?), "").await?.taken()?;
    until("a deletion", LEARNED, async || control.delete(&kept, shop.name()).await?.taken().map(|_| ())).await
}

async fn context(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("context", &[]).await?;
    let control = bed.controller();
    let allowed = |names: &str| {
        json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "owners"},
            "data": {"names": names},
        })
    };
    control.create(&allowed("[\"shop\"]"), shop.name()).await?.taken()?;
    bed.put(
        &json!({
            "apiVersion": "kyverno.io/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": unique(&shop, "owners")},
            "spec": {"rules": [{
                "name": "owners",
                "match": {"any": [{"resources": {"kinds": ["Pod"], "namespaces": [shop.name()]}}]},
                "context": [{"name": "owners", "configMap": {"name": "owners", "namespace": shop.name()}}],
                "validate": {
                    "failureAction": "Enforce",
                    "message": "nobody knows this owner",
                    "deny": {"conditions": {"all": [{
                        "key": "{{ request.object.metadata.labels.owner || '' }}",
                        "operator": "AnyNotIn",
                        "value": "{{ owners.data.names | parse_json(@) }}",
                    }]}},
                },
            }]},
        }),
        "",
    )
    .await?;
    let owned = |owner: &str| {
        let mut pod = plain("a");
        pod["metadata"]["labels"] = json!({"owner": owner});
        pod
    };
    refuses(bed, &shop, &owned("desk"), "nobody knows this owner").await?;
    takes(bed, &shop, &owned("shop")).await?;
    control.merge(&allowed("[\"desk\"]"), shop.name()).await?.taken()?;
    refuses(bed, &shop, &owned("shop"), "nobody knows this owner").await?;
    takes(bed, &shop, &owned("desk")).await
}

/// A kind that no policy names is never sent: nothing asks for everything, and nothing for Secrets.
async fn exact(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("exact", &[]).await?;
    bed.put(&owner_policy(&unique(&shop, "owner"), shop.name(), "Enforce", "Fail"), "").await?;
    refuses(bed, &shop, &plain("a"), "owner").await?;
    let group = "admissionregistration.k8s.io/v1";
    let mut sent = Vec::new();
    for kind in ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"] {
        for configuration in bed.controller().list(group, kind, "").await? {
            let name = configuration["metadata"]["name"].as_str().unwrap_or_default();
            if !name.starts_with("meshward-") {
                continue;
            }
            for webhook in configuration["webhooks"].as_array().into_iter().flatten() {
                ensure!(webhook["clientConfig"]["caBundle"].is_string(), "{name} has no authority");
                sent.extend(webhook["rules"].as_array().into_iter().flatten().cloned());
            }
        }
    }
    ensure!(!sent.is_empty(), "nothing is sent");
    let names = |rule: &Value| -> Vec<String> {
        let lists = [&rule["resources"], &rule["apiGroups"]];
        let texts = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
        texts.filter_map(|text| Some(text.as_str()?.to_owned())).collect()
    };
    for rule in &sent {
        let named = names(rule);
        let beyond =
            named.iter().any(|name| name.starts_with('*') || name == "secrets" || name == "configmaps/*");
        ensure!(!beyond, "this is sent for nothing: {rule}");
    }
    ensure!(sent.iter().any(|rule| names(rule).contains(&"pods".to_owned())), "pods are not sent");
    Ok(())
}

async fn declarative(bed: &Bed) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cases/replay");
    for folder in discover(&root)? {
        let outcome = replay(bed.cluster(), &folder, Options::default()).await;
        let within = folder.strip_prefix(&root).unwrap_or(&folder);
        let fits = match (within.starts_with("fails"), within.starts_with("not-ours")) {
            (true, _) => matches!(outcome.verdict, Verdict::Failed(_)),
            (_, true) => matches!(outcome.verdict, Verdict::Unsupported(_)),
            _ => outcome.verdict == Verdict::Passed,
        };
        if !fits {
            bail!("{outcome}");
        }
    }
    Ok(())
}
