//! Whether rules are still in force: what an agent that starts, or that looks from time to time, pays for each pod.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use meshward_benches::report::Section;
use meshward_redirect::RuleSet;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{self, NfSocket};
use meshward_redirect::program::{self, Options, Target};

use super::Scale;
use crate::bed::{self, Pod};
use crate::peers;
use crate::rounds::{Contender, take_turns};
use crate::standard;

/// The peers' programs are slow enough to be measured on fewer pods.
const PEER_PODS: usize = 10;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let rules = standard::rules()?;
    let options = Options::default();
    let mut pods = Pod::many(scale.pods)?;
    for pod in &mut pods {
        let socket = program::program(pod.namespace(), &rules, &options)?.socket;
        pod.keep(socket);
    }
    let pair = peers::restore_pair(&rules, "nft")?;
    let peer_pods = Pod::many(PEER_PODS.min(scale.pods))?;
    peer_pods.iter().try_for_each(|pod| peers::run(pod.namespace(), &pair))?;
    let saves = peers::save_pair()?;

    let contenders = vec![
        Contender::new("meshward program::check", || each(&pods, |pod| whole(pod, &rules, &options))),
        Contender::new("the same with the socket held", || each(&pods, |pod| held(pod, &rules, &options))),
        Contender::new("fingerprint and rules alone", || each(&pods, |pod| bare(pod, &rules))),
        Contender::new("fingerprint alone", || each(&pods, |pod| fingerprint(pod, &rules))),
        Contender::new("iptables-save pair, nft", || {
            each(&peer_pods, |pod| peers::run(&NetNs::open(pod.path())?, &saves))
        }),
    ];
    let series = take_turns("check", scale.rounds / 3 + 1, contenders, || Ok(()))?;
    bed::clear(pods)?;
    bed::clear(peer_pods)?;
    let note = format!("per pod, {} pods with the standard Istio set one after the other", scale.pods);
    let title = format!("Checking {} programmed pods", scale.pods);
    Ok(vec![Section::new(title, note, "ms", &series).at_most(0.15, "at most 0.15 ms a pod")])
}

/// The time of one pod when all are looked at.
fn each(pods: &[Pod], work: impl Fn(&Pod) -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    pods.iter().try_for_each(work)?;
    Ok(start.elapsed() / pods.len() as u32)
}

fn whole(pod: &Pod, rules: &RuleSet, options: &Options) -> Result<()> {
    let drift = program::check(&NetNs::open(pod.path())?, rules, options)?;
    ensure!(drift.is_none(), "what was programmed is not there");
    Ok(())
}

fn held(pod: &Pod, rules: &RuleSet, options: &Options) -> Result<()> {
    let target = Target { namespace: pod.namespace(), socket: pod.socket() };
    ensure!(program::check(target, rules, options)?.is_none(), "what was programmed is not there");
    Ok(())
}

fn bare(pod: &Pod, rules: &RuleSet) -> Result<()> {
    let socket = NetNs::open(pod.path())?.run(NfSocket::open)??;
    let found = nft::fingerprint(&socket, rules.mesh)?;
    ensure!(found == Some(rules.fingerprint()), "what was programmed is not there");
    ensure!(nft::compare(&socket, rules)?.is_none(), "what was programmed is not there");
    Ok(())
}

fn fingerprint(pod: &Pod, rules: &RuleSet) -> Result<()> {
    let socket = NetNs::open(pod.path())?.run(NfSocket::open)??;
    let found = nft::fingerprint(&socket, rules.mesh)?;
    ensure!(found == Some(rules.fingerprint()), "what was programmed is not there");
    Ok(())
}
