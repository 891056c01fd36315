//! Rules into one namespace that has none: the wait that a pod's start pays.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use anyhow::Result;
use meshward_benches::report::Section;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{self, Lock, NfSocket};
use meshward_redirect::program::{self, Options};

use super::Scale;
use crate::bed::{self, Pod};
use crate::peers::{self, Call};
use crate::rounds::{Contender, take_turns};
use crate::standard;

const WHOLE: &str = "meshward program, whole path";
const BARE: &str = "meshward nft::replace alone";
const PAIR: &str = "iptables-restore pair, nft";
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
    let restore = peers::restore_pair(&rules, "nft")?;
    let contenders = vec![
        Contender::new(WHOLE, whole),
        Contender::new(BARE, bare),
        peer(PAIR, restore.clone()),
        peer("the same and iptables-save pair", [restore, peers::save_pair()?].concat()),
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
    let note = "standard Istio set for IPv4 and IPv6, a fresh namespace each, opened by path; the whole path guards, \
                looks, adds the loopback address, writes, reads back and looks for older rules, the others only write";
    Ok(vec![
        Section::new("Programming one pod", note, "ms", &series)
            .at_most(0.6, format!("{WHOLE} at most 0.6 ms"))
            .faster(&series, WHOLE, PAIR, 12.0)
            .faster(&series, BARE, PAIR, 12.0),
    ])
}
