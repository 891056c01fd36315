//! Rules into one namespace that has none: the wait that a pod's start pays.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{self, Lock, NfSocket};
use meshward_redirect::program::{self, Options};

use super::Scale;
use crate::bed::{self, Pod};
use crate::peers::{self, Call};
use crate::report::Section;
use crate::rounds::{Contender, take_turns};
use crate::standard;

/// Namespaces that may wait to be given back.
const MOST_PODS: usize = 200;

pub(crate) fn measure(scale: Scale) -> Result<Vec<Section>> {
    let rules = standard::rules()?;
    let options = Options::default();
    let pods = RefCell::new(Vec::new());
    let fresh = |work: &dyn Fn(&mut Pod) -> Result<()>| -> Result<Duration> {
        let mut pod = Pod::new()?;
        let start = Instant::now();
        work(&mut pod)?;
        let time = start.elapsed();
        pods.borrow_mut().push(pod);
        Ok(time)
    };
    let peer = |name: &str, calls: Vec<Call>| {
        Contender::new(name, move || fresh(&|pod| peers::run(&NetNs::open(pod.path())?, &calls)))
    };
    let whole = || {
        fresh(&|pod| {
            let done = program::program(&NetNs::open(pod.path())?, &rules, &options)?;
            pod.keep(done.socket);
            Ok(())
        })
    };
    let bare = || {
        fresh(&|pod| {
            let socket = NetNs::open(pod.path())?.run(NfSocket::open)??;
            nft::replace(&socket, &rules, Lock::default())?;
            pod.keep(Some(socket));
            Ok(())
        })
    };
    let singles = peers::single_calls(&rules)?;
    let contenders = vec![
        Contender::new("meshward program, whole path", whole),
        Contender::new("meshward nft::replace alone", bare),
        peer("iptables-restore pair, nft", peers::restore_pair(&rules, "nft")?),
        peer("iptables-restore pair, legacy", peers::restore_pair(&rules, "legacy")?),
        peer("nft -f -", vec![peers::nft(&rules)?]),
        peer(&format!("{} iptables calls, IPv4 only", singles.len()), singles),
    ];
    let rest = || {
        if pods.borrow().len() < MOST_PODS {
            return Ok(());
        }
        bed::clear(pods.take())
    };
    let series = take_turns("one pod", scale.rounds, contenders, rest)?;
    bed::clear(pods.take())?;
    let note = "standard Istio set for IPv4 and IPv6, a fresh namespace each, opened by path";
    Ok(vec![
        Section::new("Programming one pod", note, "ms", &series)
            .at_most(0.6, "whole path at most 0.6 ms")
            .faster_than("iptables-restore pair, nft", 12.0),
    ])
}
