//! From the first sight of a sandbox to rules in force, and back.

use meshward_mesh::Phase;
use meshward_node::engine::Input;
use meshward_node::located::{Notice, Outcome, Sighting, Source};
use meshward_node::report::Happened;
use meshward_redirect::Mesh;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{Lock, Watch};
use serde_json::json;

use super::agent::{Agent, TABLE, bed, located, object, recorded, swapped};

/// The rules with their handles, which no two writes give out twice.
fn rules(bed: &meshward_netlab::Bed) -> String {
    let text = bed.pod.command("nft", &TABLE, "").unwrap();
    text.lines().filter(|line| line.contains("# handle") && !line.starts_with("table")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_in_force_when_the_runtime_is_answered() {
    let Some(bed) = bed() else { return };
    let mut agent = Agent::with(Lock::IfAvailable, swapped("*")).await;
    assert_eq!(agent.starts(&bed).await, Outcome::Settled);
    assert!(rules(&bed).contains("in.tunnel-port"));
    let (happened, record) = agent.happens().await;
    assert!(matches!(happened, Happened::Programmed { .. }), "{happened:?}");
    assert_eq!((record.phase, record.mesh.as_deref()), (Phase::Redirected, Some("istio")));
    assert_eq!((record.source.as_deref(), record.sandbox.as_deref()), (Some("nri"), Some("s1")));
    assert_eq!(record.backend.as_deref(), Some("nft"));
    // Seen again by somebody else, nothing happens.
    agent.finds(&bed).await;
    agent.ends().await;
    assert!(rules(&bed).contains("in.tunnel-port"), "rules outlive the agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_agent_writes_nothing() {
    let Some(bed) = bed() else { return };
    let mut first = Agent::with(Lock::Off, swapped("*")).await;
    first.starts(&bed).await;
    first.happens().await;
    first.ends().await;
    let before = rules(&bed);
    let namespace = NetNs::open(bed.pod.path()).unwrap();
    let mut watch = namespace.run(|| Watch::open(Mesh::Istio)).unwrap().unwrap();
    let mut second = Agent::with(Lock::Off, swapped("*")).await;
    second.finds(&bed).await;
    let (happened, record) = second.happens().await;
    assert!(matches!(happened, Happened::Adopted { .. }), "{happened:?}");
    assert!(record.adopted);
    second.ends().await;
    assert_eq!(rules(&bed), before);
    // No transaction at all.
    assert_eq!(watch.next_event().unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_is_adopted_with_its_lock() {
    let Some(bed) = bed() else { return };
    let mut first = Agent::with(Lock::IfAvailable, swapped("*")).await;
    first.starts(&bed).await;
    let (_, record) = first.happens().await;
    first.ends().await;
    let before = rules(&bed);
    let mut second = Agent::with(Lock::IfAvailable, swapped("*")).await;
    second.finds(&bed).await;
    let (happened, adopted) = second.happens().await;
    assert!(matches!(happened, Happened::Adopted { .. }), "{happened:?}");
    assert_eq!(adopted.locked, record.locked);
    assert_eq!(rules(&bed), before);
    second.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_annotations_change_the_rules_in_place() {
    let Some(bed) = bed() else { return };
    let mut agent = Agent::with(Lock::IfAvailable, swapped("*")).await;
    agent.starts(&bed).await;
    agent.happens().await;
    agent.show(swapped("10.0.0.0/8")).await;
    let (happened, record) = agent.happens().await;
    assert!(matches!(happened, Happened::Reconfigured { .. }), "{happened:?}");
    assert_eq!(record.phase, Phase::Redirected);
    assert!(bed.pod.command("nft", &TABLE, "").unwrap().contains("10.0.0.0/8"));

    let out = object(&[("sidecar.istio.io/inject", "false")]);
    agent.show(out).await;
    let (happened, _) = agent.happens().await;
    assert_eq!(happened, Happened::Removed);
    agent.reaches(Phase::Nothing).await;
    assert!(bed.pod.command("nft", &TABLE, "").is_err());
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_nobody_wants_any_more_are_found_at_the_start() {
    let Some(bed) = bed() else { return };
    let mut first = Agent::with(Lock::IfAvailable, swapped("*")).await;
    first.starts(&bed).await;
    first.happens().await;
    first.ends().await;
    let mut second = Agent::with(Lock::IfAvailable, object(&[("sidecar.istio.io/inject", "false")])).await;
    second.finds(&bed).await;
    assert_eq!(second.happens().await.0, Happened::Removed);
    assert!(bed.pod.command("nft", &TABLE, "").is_err());
    second.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_runs_bare_is_told_and_programmed() {
    let Some(bed) = bed() else { return };
    let mut pod = swapped("*");
    pod["status"] = json!({"containerStatuses": [{"name": "web", "state": {"running": {}}}]});
    let mut agent = Agent::with(Lock::IfAvailable, pod).await;
    agent.finds(&bed).await;
    assert_eq!(agent.happens().await.0, Happened::Unredirected);
    assert!(matches!(agent.happens().await.0, Happened::Programmed { .. }));
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cni_mode_pod_is_programmed_while_its_validator_runs() {
    let Some(bed) = bed() else { return };
    let mut pod = object(&[("sidecar.istio.io/status", "{}")]);
    pod["spec"]["initContainers"] =
        json!([{"name": "istio-validation", "args": ["istio-iptables", "--run-validation"]}]);
    pod["status"] =
        json!({"initContainerStatuses": [{"name": "istio-validation", "state": {"running": {}}}]});
    let mut agent = Agent::with(Lock::IfAvailable, pod).await;
    agent.finds(&bed).await;
    let (happened, record) = agent.happens().await;
    assert!(matches!(happened, Happened::Programmed { .. }), "{happened:?}");
    assert_eq!(record.phase, Phase::Redirected);
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pods_namespace_is_not_written_to() {
    let Some(bed) = bed() else { return };
    let mut agent = Agent::with(Lock::IfAvailable, swapped("*")).await;
    let mut wrong = located(&bed, Source::Cri);
    wrong.ips = vec!["10.9.9.9".parse().unwrap()];
    let sighting = Sighting::All(Source::Cri, vec![wrong]);
    agent.notices.send(Notice { sighting, done: None }).await.unwrap();
    let (happened, record) = agent.happens().await;
    assert_eq!(happened, Happened::Failed);
    assert!(record.reason.contains("holds none of the pod's addresses 10.9.9.9"), "{}", record.reason);
    assert_eq!(bed.pod.command("nft", &["list", "tables"], "").unwrap(), "");

    let mut own = located(&bed, Source::Cri);
    (own.netns, own.sandbox) = ("/proc/self/ns/net".into(), "s2".into());
    let sighting = Sighting::All(Source::Cri, vec![own]);
    agent.notices.send(Notice { sighting, done: None }).await.unwrap();
    loop {
        let record = agent.reaches(Phase::Failed).await;
        if record.sandbox.as_deref() == Some("s2") && record.reason.contains("refused") {
            break;
        }
        agent.reports.recv().await.unwrap();
    }
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_answered_once_all_of_it_is_settled() {
    let Some(bed) = bed() else { return };
    let agent = Agent::start(Lock::IfAvailable);
    let told = recorded(&bed, Source::Cri);
    let mut own = told.clone();
    (own.uid, own.sandbox, own.netns) = ("u2".into(), "s2".into(), "/proc/self/ns/net".into());
    for (list, settled) in [(vec![told.clone()], true), (vec![told, own], false), (Vec::new(), true)] {
        let (done, answer) = tokio::sync::oneshot::channel();
        agent
            .notices
            .send(Notice { sighting: Sighting::All(Source::Cri, list), done: Some(done) })
            .await
            .unwrap();
        assert_eq!(answer.await.unwrap() == Outcome::Settled, settled);
        assert!(rules(&bed).contains("in.tunnel-port"));
    }
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_api_server_the_record_is_enough() {
    let Some(bed) = bed() else { return };
    let agent = Agent::start(Lock::IfAvailable);
    let told = recorded(&bed, Source::Nri);
    let (done, answer) = tokio::sync::oneshot::channel();
    agent.notices.send(Notice { sighting: Sighting::Started(told), done: Some(done) }).await.unwrap();
    assert_eq!(answer.await.unwrap(), Outcome::Settled);
    assert!(rules(&bed).contains("in.tunnel-port"));
    // The same pod, seen whole at last, changes nothing.
    let before = rules(&bed);
    agent.inputs.send(Input::Namespaces(Vec::new())).await.unwrap();
    agent.show(swapped("*")).await;
    let mut agent = agent;
    agent.reaches(Phase::Redirected).await;
    assert_eq!(rules(&bed), before);
    agent.ends().await;
}
