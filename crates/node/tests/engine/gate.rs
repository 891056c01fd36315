//! What is heard at the gate, by whoever is in the pod.

use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use meshward_mesh::Phase;
use meshward_netlab::{Bed, can_switch_users, skipped};
use meshward_node::engine::Input;
use meshward_node::located::Outcome;
use meshward_node::report::Happened;
use meshward_redirect::nft::Lock;

use super::agent::{Agent, Caller, PATIENCE, bed, gate_address, object, program, record, swapped};

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_hears_why_and_then_the_proofs() {
    let Some(bed) = bed() else { return };
    let mut agent = Agent::start(Lock::IfAvailable);
    assert_eq!(agent.starts(&bed).await, Outcome::Later("connection refused".into()));
    let mut caller = Caller::call(&bed).unwrap();
    assert_eq!(caller.hears(), "meshward 1 wait connection refused");
    agent.inputs.send(Input::Namespaces(Vec::new())).await.unwrap();
    agent.show(swapped("*")).await;
    agent.reaches(Phase::Redirected).await;
    // The bed has IPv6 too, but this proxy is not dual-stack.
    let ready = "meshward 1 ready out=192.0.2.2:1404>15001 in=127.0.0.6:1404>15006@1337";
    assert_eq!(caller.hears(), ready);
    assert!(caller.was_let_go());
    assert_eq!(Caller::call(&bed).unwrap().hears(), ready);

    // Only what is captured proves anything.
    agent.show(swapped("10.0.0.0/8")).await;
    while !matches!(agent.happens().await.0, Happened::Reconfigured { .. }) {}
    let heard = Caller::call(&bed).unwrap().hears();
    assert!(heard.starts_with("meshward 1 ready out=10.0.0.1:1404>15001 in=127.0.0.6"), "{heard}");

    agent.show(object(&[("sidecar.istio.io/inject", "false")])).await;
    agent.reaches(Phase::Nothing).await;
    assert!(Caller::call(&bed).unwrap().hears().starts_with("meshward 1 nothing the pod opted out of istio"));
    agent.ends().await;
    assert!(Caller::call(&bed).is_err(), "the gate ends with the agent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_is_heard_and_can_be_put_right() {
    let Some(bed) = bed() else { return };
    let annotation = ("traffic.sidecar.istio.io/excludeOutboundPorts", "eighty\nmeshward 1 ready");
    let mut agent =
        Agent::with(Lock::IfAvailable, object(&[annotation, ("sidecar.istio.io/status", "{}")])).await;
    let Outcome::Later(why) = agent.starts(&bed).await else { panic!("the pod was settled") };
    assert!(why.contains("excludeOutboundPorts"), "{why}");
    assert_eq!(agent.happens().await.0, Happened::Refused);
    let mut caller = Caller::call(&bed).unwrap();
    let heard = caller.hears();
    assert!(heard.starts_with("meshward 1 wait Pod") && heard.contains("excludeOutboundPorts"), "{heard}");
    assert_eq!(bed.pod.command("nft", &["list", "tables"], "").unwrap(), "");
    agent.show(swapped("*")).await;
    agent.reaches(Phase::Redirected).await;
    assert!(caller.hears().starts_with("meshward 1 ready out=192.0.2.2:1404>15001"));
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_was_taken_is_told_and_taken_back() {
    let Some(bed) = bed() else { return };
    let forged = bed.pod.run(|| UnixListener::bind_addr(&gate_address())).unwrap().unwrap();
    let mut agent = Agent::with(Lock::IfAvailable, swapped("*")).await;
    agent.finds(&bed).await;
    loop {
        match agent.happens().await {
            (Happened::GateTaken, record) => {
                assert_eq!(record.phase, Phase::Failed);
                assert!(record.reason.contains("@meshward-ready was taken by another process (user 0)"));
                break;
            }
            (Happened::Programmed { .. } | Happened::Failed, _) => {}
            other => panic!("{other:?}"),
        }
    }
    drop(forged);
    agent.reaches(Phase::Redirected).await;
    assert!(Caller::call(&bed).unwrap().hears().starts_with("meshward 1 ready"));
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_at_the_gate_keeps_nobody_out() {
    let Some(bed) = bed() else { return };
    let agent = Agent::start(Lock::IfAvailable);
    agent.starts(&bed).await;
    // None of them reads, and all of them stay.
    let crowd: Vec<_> = (0..300).filter_map(|_| Caller::call(&bed).ok()).collect();
    assert_eq!(Caller::call(&bed).unwrap().hears(), "meshward 1 wait connection refused");
    drop(crowd);
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_container_is_let_through() {
    let Some(bed) = bed() else { return };
    if !can_switch_users() {
        skipped("one mapped user id only");
        return;
    }
    let wait = program("meshward-wait");
    let mut agent = Agent::start(Lock::IfAvailable);
    agent.starts(&bed).await;
    let started = start(&bed, &wait);
    agent.inputs.send(Input::Namespaces(Vec::new())).await.unwrap();
    agent.show(object(&[("meshward.dev/redirect", &record("*")), ("sidecar.istio.io/status", "{}")])).await;
    let ended = tokio::task::spawn_blocking(move || started.wait_with_output());
    let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap().unwrap().unwrap();
    let (out, errors) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success(), "{out}{errors}");
    assert!(out.starts_with("redirected: 192.0.2.2:1404 to 15001; inbound"), "{out}");
    agent.reaches(Phase::Redirected).await;
    agent.ends().await;
}

/// In a PID namespace of its own, as the user of the wait container's image.
fn start(bed: &Bed, wait: &std::path::Path) -> std::process::Child {
    let mut command = Command::new("unshare");
    command.args(["--pid", "--kill-child", "--setuid", "65532", "--setgid", "65532"]).arg(wait);
    command.arg("--timeout=20").stdout(Stdio::piped()).stderr(Stdio::piped());
    bed.pod.run(|| command.spawn()).unwrap().unwrap()
}
