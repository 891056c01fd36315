//! What goes wrong with the controller or around it: nothing is admitted that should not be, nothing is refused without a
//! reason, and it mends itself.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use meshward_e2e::controller::{NAME, NAMESPACE};
use meshward_e2e::load::all_fit;
use meshward_e2e::{Bed, Case, Load, Namespace, Reply, case, until};
use serde_json::{Value, json};

use super::{owner_policy, plain, refuses, unique};

pub(super) const CASES: &[Case] = &[
    case!(alone "a policy changed under load flips once, and no request fails", Controller, changed),
    case!(alone "a certificate whose Secret is deleted under load is kept, and no request fails", Controller, certificate),
    case!(alone "an upgrade under load fails no request", Controller, upgraded),
    case!(alone "the leader dies, another one leads, and requests are answered", ControllerNode, leader),
    case!(alone "an API server that restarts finds everything in force", ControllerNode, api_server),
    case!(alone "all replicas die: closed and open as policies say, and back without help", ControllerNode, all_die),
];

/// For a replica that was killed to be back, with the kubelet's delay between restarts.
const BACK: Duration = Duration::from_secs(60);
const CLIENTS: usize = 4;

/// A namespace where pods without an owner are refused when `failure` is `Fail`, and its policy is in force.
async fn guarded(bed: &Bed, name: &str, failure: &str) -> Result<(Namespace, Value)> {
    let shop = bed.namespace(name, &[]).await?;
    let policy = owner_policy(&unique(&shop, "owner"), shop.name(), "Enforce", failure);
    bed.put(&policy, "").await?;
    refuses(bed, &shop, &plain("a"), "every pod here has an owner").await?;
    Ok((shop, policy))
}

fn is_judged(reply: &Reply) -> bool {
    reply.message().contains("every pod here has an owner")
}

async fn changed(bed: &Bed) -> Result<()> {
    let (shop, mut policy) = guarded(bed, "changed", "Fail").await?;
    let load = Load::start(bed.cluster(), &plain("a"), shop.name(), CLIENTS).await?;
    policy["spec"]["rules"][0]["validate"]["pattern"] = json!({"metadata": {"name": "?*"}});
    bed.controller().merge(&policy, "").await?.taken()?;
    until("the new version", BACK, async || {
        bed.controller().try_create(&plain("a"), shop.name()).await?.taken().map(|_| ())
    })
    .await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let samples = load.stop().await?;
    all_fit(&samples, |reply| reply.is_taken() || is_judged(reply))?;
    // Two replicas learn of it one after the other; each flips once, and within a second of the other.
    let taken: Vec<_> = samples.iter().filter(|one| one.reply.as_ref().is_ok_and(Reply::is_taken)).collect();
    let first = taken.first().context("the new version never counts")?.sent;
    let last_old =
        samples.iter().filter(|one| one.reply.as_ref().is_ok_and(is_judged)).map(|one| one.sent).max();
    let overlap = last_old.map_or(Duration::ZERO, |last| last.saturating_duration_since(first));
    ensure!(overlap < Duration::from_secs(1), "both versions counted for {overlap:.1?}");
    Ok(())
}

async fn certificate(bed: &Bed) -> Result<()> {
    let (shop, _) = guarded(bed, "certificate", "Fail").await?;
    let control = bed.controller();
    let before = bundle(bed).await?;
    let load = Load::start(bed.cluster(), &plain("a"), shop.name(), CLIENTS).await?;
    let secrets = control.list("v1", "Secret", NAMESPACE).await?;
    let own = secrets.iter().find(|secret| {
        let name = secret["metadata"]["name"].as_str().unwrap_or_default();
        name.starts_with(NAME) && secret["data"].to_string().contains("tls.crt")
    });
    let own = own.context("no Secret holds the certificate")?;
    let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": own["metadata"]["name"]}});
    control.delete(&object, NAMESPACE).await?.taken()?;
    // What is served goes on, and the leader writes it down again.
    until("the Secret to be written again", BACK, async || control.get(&object, NAMESPACE).await.map(|_| ()))
        .await?;
    all_fit(&load.stop().await?, is_judged)?;
    ensure!(bundle(bed).await? == before, "another authority is in the webhook configurations");
    Ok(())
}

/// The authorities that the API server knows us by.
async fn bundle(bed: &Bed) -> Result<String> {
    let kind = "ValidatingWebhookConfiguration";
    let all = bed.controller().list("admissionregistration.k8s.io/v1", kind, "").await?;
    let ours = all.iter().find(|one| one["metadata"]["name"] == "meshward-policies");
    let bundle = ours.context("no configuration of ours")?["webhooks"][0]["clientConfig"]["caBundle"].clone();
    Ok(bundle.as_str().unwrap_or_default().to_owned())
}

async fn upgraded(bed: &Bed) -> Result<()> {
    let (shop, _) = guarded(bed, "upgraded", "Fail").await?;
    let load = Load::start(bed.cluster(), &plain("a"), shop.name(), CLIENTS).await?;
    bed.controller().install(&["controller.config.log-level=debug"]).await?;
    let samples = load.stop().await?;
    bed.controller().install(&[]).await?;
    all_fit(&samples, is_judged)
}

async fn leader(bed: &Bed) -> Result<()> {
    let (shop, _) = guarded(bed, "leader", "Fail").await?;
    let control = bed.controller();
    let old = control.leader().await?;
    control.kill(&old).await?;
    until("another leader", BACK, async || {
        let now = control.leader().await?;
        ensure!(now != old, "{now} leads");
        Ok(())
    })
    .await?;
    // It writes: a new policy is in the webhook configurations, which only the leader keeps.
    let other = bed.namespace("led", &[]).await?;
    let mut policy = owner_policy(&unique(&other, "owner"), other.name(), "Enforce", "Fail");
    policy["spec"]["rules"][0]["match"]["any"][0]["resources"]["kinds"] = json!(["LimitRange"]);
    bed.put(&policy, "").await?;
    let object =
        json!({"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "a"}, "spec": {"limits": []}});
    refuses(bed, &other, &object, "every pod here has an owner").await?;
    refuses(bed, &shop, &plain("a"), "every pod here has an owner").await?;
    control.ready(BACK).await
}

async fn all_die(bed: &Bed) -> Result<()> {
    let (closed, _) = guarded(bed, "closed", "Fail").await?;
    let (open, _) = guarded(bed, "open", "Ignore").await?;
    let control = bed.controller();
    let shut = Load::start(bed.cluster(), &plain("a"), closed.name(), 1).await?;
    let ajar = Load::start(bed.cluster(), &plain("a"), open.name(), 1).await?;
    control.kill_all().await?;
    control.ready(BACK).await?;
    refuses(bed, &closed, &plain("a"), "every pod here has an owner").await?;
    refuses(bed, &open, &plain("a"), "every pod here has an owner").await?;
    // Nothing that an Enforce policy forbids was admitted, except where the policy says so.
    let shut = shut.stop().await?;
    all_fit(&shut, |reply| !reply.is_taken()).context("fail-closed")?;
    let unanswered = |reply: &Reply| reply.message().contains("failed calling webhook");
    let missed = shut.iter().filter(|one| one.reply.as_ref().is_ok_and(unanswered)).count();
    ensure!(missed > 0, "nobody noticed that all replicas were gone");
    let ajar = ajar.stop().await?;
    all_fit(&ajar, |reply| reply.is_taken() || is_judged(reply)).context("fail-open")?;
    let let_through = ajar.iter().filter(|one| one.reply.as_ref().is_ok_and(Reply::is_taken)).count();
    ensure!(let_through > 0, "nobody noticed that all replicas were gone");
    Ok(())
}

async fn api_server(bed: &Bed) -> Result<()> {
    let (shop, _) = guarded(bed, "api-server", "Fail").await?;
    bed.rig()?.end("kube-apiserver")?.start()?;
    until("the API server", BACK, async || Ok(bed.cluster().client.apiserver_version().await?)).await?;
    refuses(bed, &shop, &plain("a"), "every pod here has an owner").await?;
    // And what is new is learned: the watches go on.
    let (other, _) = guarded(bed, "api-server-after", "Fail").await?;
    refuses(bed, &other, &plain("b"), "every pod here has an owner").await
}
