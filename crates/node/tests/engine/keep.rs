//! Rules that somebody else changes.

use std::time::{Duration, Instant};

use meshward_mesh::Phase;
use meshward_node::report::Happened;
use meshward_redirect::nft::Lock;

use super::agent::{Agent, TABLE, bed, swapped};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_is_put_right_at_once() {
    let Some(bed) = bed() else { return };
    let mut agent = Agent::with(Lock::Off, swapped("*")).await;
    agent.starts(&bed).await;
    agent.happens().await;
    bed.pod.command("nft", &["flush", "ruleset"], "").unwrap();
    let start = Instant::now();
    let (happened, record) = agent.happens().await;
    // The time itself is for the benches; this is far below the periodic look.
    assert!(start.elapsed() < Duration::from_secs(10));
    let Happened::Repaired { by, what } = happened else { panic!("{happened:?}") };
    assert!(by.is_some_and(|by| by.starts_with("nft (pid ")), "{what}");
    assert_eq!((record.phase, record.repairs), (Phase::Redirected, 1));
    assert!(bed.pod.command("nft", &TABLE, "").unwrap().contains("in.tunnel-port"));
    agent.ends().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_elses_chain_on_our_hooks_is_told() {
    let Some(bed) = bed() else { return };
    let mut agent = Agent::with(Lock::IfAvailable, swapped("*")).await;
    agent.starts(&bed).await;
    agent.happens().await;
    let evil = "table ip evil { chain x { type nat hook output priority -150; tcp dport 9 accept; }; }\n";
    bed.pod.command("nft", &["-f", "-"], evil).unwrap();
    loop {
        let record = agent.reaches(Phase::Redirected).await;
        if record.warnings.iter().any(|warning| warning.contains("table ip evil")) {
            break;
        }
        agent.reports.recv().await.unwrap();
    }
    agent.ends().await;
}
