//! The evaluator against the kernel: generated rule sets are put in force in a throw-away pod, generated packets are
//! really sent, and what becomes of them must be what the trace says, down to how many packets each single rule
//! matched. `MESHWARD_TRACE_CASES` sets the number of rule sets (24 if unset), each tried with 24 packets.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod counters;
mod generate;
mod states;
mod tproxy;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use generate::{Case, PORTS, PROXY_PORTS, ROUTING, TPROXY_PORT, World, case};
use meshward_netlab::{Bed, Error, Layout, Outcome, Place, Probe, can_switch_users};
use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::nft::{self, Lock, NfSocket};
use meshward_redirect::trace::{Direction, Ending, Environment, Packet, Trace, Verdict, trace};
use meshward_redirect::{RuleSet, render};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

const PACKETS: usize = 24;

fn cases() -> u32 {
    std::env::var("MESHWARD_TRACE_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(24)
}

fn netlab(protocol: Protocol) -> meshward_netlab::Protocol {
    match protocol {
        Protocol::Tcp => meshward_netlab::Protocol::Tcp,
        Protocol::Udp => meshward_netlab::Protocol::Udp,
    }
}

/// What the rules do not look at is kept away from their counters. And the kernel tracks connections of a family only
/// while some rule needs it, and visits nat chains only with tracking; the evaluator takes tracking for granted, so it
/// has to be on when a generated nat table rewrites nothing.
const BESIDE: &str = "table inet beside {
    chain sent { type filter hook output priority -400; meta l4proto != { tcp, udp } drop; }
    chain arrives { type filter hook prerouting priority -400; meta l4proto != { tcp, udp } drop; }
    chain unused { ct state new accept; }
}";

fn furnished(protocol: Protocol) -> Result<Option<(Bed, NfSocket)>, Error> {
    let Some(mut bed) = Bed::or_skip(Layout::dual_stack())? else { return Ok(None) };
    let protocol = netlab(protocol);
    for port in PORTS {
        bed.listen(Place::Peer, protocol, port)?;
    }
    for port in PORTS.into_iter().chain(PROXY_PORTS) {
        bed.listen(Place::Pod, protocol, port)?;
    }
    bed.listen_transparent(Place::Pod, protocol, TPROXY_PORT)?;
    bed.pod.command("nft", &["-f", "-"], BESIDE)?;
    let socket = bed.pod.run(NfSocket::open)?.expect("a netfilter socket");
    Ok(Some((bed, socket)))
}

/// Policy routing as the rule set asks for it, in these families.
fn route(bed: &Bed, families: &[Family], wanted: bool) -> Result<(), Error> {
    let (mark, table) = (ROUTING.mark, ROUTING.table);
    for family in families {
        let family = if *family == Family::Ipv4 { "-4" } else { "-6" };
        let rule = format!("rule {} fwmark {mark} lookup {table}\n", if wanted { "add" } else { "del" });
        let verb = if wanted { "replace" } else { "del" };
        let local = format!("route {verb} local default dev lo table {table}\n");
        bed.pod.command("ip", &[family, "-batch", "-"], &(rule + &local))?;
    }
    Ok(())
}

fn probe_of(packet: &Packet, users: bool, silent: bool) -> Probe {
    let protocol = netlab(packet.protocol);
    let probe = match packet.direction {
        Direction::Out => Probe::out(protocol, packet.destination),
        Direction::In => Probe::inbound(protocol, packet.destination),
    };
    let probe = probe.source(packet.source.ip()).mark(packet.mark);
    let probe = if silent { probe.silent() } else { probe };
    match packet.owner {
        Some(owner) if users => probe.owner(owner.uid, owner.gid),
        _ => probe,
    }
}

/// Where the trace says the packet ends.
fn end(trace: &Trace) -> Option<(Place, u16)> {
    match &trace.ending {
        Ending::Local { port, .. } => Some((Place::Pod, *port)),
        Ending::Leaves { to, .. } => Some((Place::Peer, to.port())),
        Ending::Forwarded { .. } | Ending::Discarded { .. } | Ending::Dropped => None,
    }
}

/// What the packet's real fate says against the trace.
fn objection(trace: &Trace, outcome: &Outcome) -> Option<String> {
    let expected = end(trace);
    let Outcome::Reached(arrival) = outcome else {
        return expected.map(|expected| format!("expected {expected:?}, found {outcome:?}"));
    };
    if expected != Some((arrival.place, arrival.port)) {
        return Some(format!("expected {expected:?}, found {arrival:?}"));
    }
    let to = match &trace.ending {
        Ending::Local { to, .. } | Ending::Leaves { to, .. } => *to,
        _ => return None,
    };
    if arrival.local.is_some_and(|local| local != to) {
        return Some(format!("expected it to be for {to}, found {arrival:?}"));
    }
    let original = match trace.verdict {
        Verdict::Redirected { original, .. } | Verdict::Dnat { original, .. } => original,
        _ => return None,
    };
    // The peer does not track connections and so cannot know.
    (arrival.original.is_some_and(|found| found != original))
        .then(|| format!("expected the original destination {original}, found {arrival:?}"))
}

/// Connection tracking remembers a datagram for 30 s, so a bed whose probes run out of fresh ports is done.
const MOST_PACKETS: usize = 30_000;

struct Ground {
    bed: RefCell<Bed>,
    socket: RefCell<NfSocket>,
    protocol: Protocol,
    routed: Cell<&'static [Family]>,
    users: bool,
    sent: Cell<usize>,
    patience: Cell<Duration>,
}

impl Ground {
    fn renewed(&self) -> Result<(), String> {
        if self.sent.get() / MOST_PACKETS < (self.sent.get() + PACKETS) / MOST_PACKETS
            && let Some((bed, socket)) = furnished(self.protocol).map_err(|error| error.to_string())?
        {
            self.bed.replace(bed);
            self.socket.replace(socket);
            self.routed.set(&[]);
        }
        Ok(())
    }

    fn check(&self, case: &Case, count: bool) -> Result<(), String> {
        self.renewed()?;
        let bed = self.bed.borrow();
        let wanted = if case.rules.routing.is_some() { case.rules.families() } else { &[] };
        let present = self.routed.replace(wanted);
        if present != wanted {
            let switch = |families, on| route(&bed, families, on).map_err(|error| error.to_string());
            switch(present, false)?;
            switch(wanted, true)?;
        }
        let listing = || render::nft::render(&case.rules);
        nft::replace(&self.socket.borrow(), &case.rules, Lock::Off)
            .map_err(|error| format!("{error}\n{}", listing()))?;
        let environment = Environment {
            addresses: bed.pod_addresses(),
            transparent_listener: case.transparent_listener,
            ..Environment::default()
        };
        let traces = case.packets.iter().map(|packet| trace(&case.rules, packet, &environment));
        let traces: Vec<Trace> = traces.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        let probes: Vec<Probe> =
            traces.iter().map(|t| probe_of(&t.packet, self.users, end(t).is_none())).collect();
        let outcomes = bed.probe_within(&probes, self.patience.get()).map_err(|error| error.to_string())?;
        self.sent.set(self.sent.get() + probes.len());
        for (trace, outcome) in traces.iter().zip(&outcomes) {
            if let Some(objection) = objection(trace, outcome) {
                return Err(format!("{objection}\n{}\n{}", trace.explain(true), listing()));
            }
        }
        if count { self.count(&traces, &case.rules) } else { Ok(()) }
    }

    /// Each rule's own counter against how often the traces say that it matched.
    fn count(&self, traces: &[Trace], rules: &RuleSet) -> Result<(), String> {
        let mut expected: BTreeMap<counters::Key, u64> = BTreeMap::new();
        for rule in traces.iter().flat_map(Trace::rules) {
            let key = counters::key(rule.table, rule.chain.as_str(), rule.position);
            *expected.entry(key).or_default() += u64::from(rule.matched);
        }
        let list = ["-j", "list", "table", "inet", &rules.mesh.table_name()];
        let json = self.bed.borrow().pod.command("nft", &list, "").map_err(|error| error.to_string())?;
        for (key, found) in counters::read(&json, rules) {
            let expected = expected.get(&key).copied().unwrap_or_default();
            if found != expected {
                let told: String = traces.iter().map(|trace| trace.explain(true)).collect();
                let listing = render::nft::render(rules);
                return Err(format!(
                    "rule {key:?}: expected {expected} matches, found {found}\n{told}\n{listing}"
                ));
            }
        }
        Ok(())
    }
}

/// The same cases each time, so that a change is judged by what it changes; other ones whenever a number of cases is
/// asked for.
fn seed() -> RngSeed {
    if std::env::var_os("MESHWARD_TRACE_CASES").is_some() { RngSeed::Random } else { RngSeed::Fixed(1) }
}

fn compare(protocol: Protocol, whole_connections: bool) -> Result<(), Error> {
    let Some((bed, socket)) = furnished(protocol)? else { return Ok(()) };
    let users = can_switch_users();
    if !users {
        println!("left out: packets of other users (one mapped id only)");
    }
    let ground = Ground {
        bed: RefCell::new(bed),
        socket: RefCell::new(socket),
        protocol,
        routed: Cell::new(&[]),
        users,
        sent: Cell::new(0),
        patience: Cell::new(Duration::from_secs(5)),
    };
    let config = Config {
        cases: cases(),
        max_shrink_iters: 200,
        failure_persistence: None,
        rng_seed: seed(),
        ..Config::default()
    };
    let world = World { protocol, whole_connections, users };
    let result = TestRunner::new(config).run(&case(world, PACKETS), |case| {
        ground.check(&case, !whole_connections).map_err(|problem| {
            if ground.patience.replace(Duration::from_millis(100)) > Duration::from_secs(1) {
                println!("first disagreement: {problem}");
            }
            // From here on the case is only made smaller, which takes many tries.
            TestCaseError::fail(problem)
        })
    });
    if let Err(failure) = result {
        panic!("{}", failure.to_string().chars().take(12000).collect::<String>());
    }
    println!("{} packets as traced", ground.sent.get());
    Ok(())
}

/// UDP: one packet is one packet, so every rule's counter must agree.
#[test]
fn datagrams_go_as_traced() -> Result<(), Error> {
    compare(Protocol::Udp, false)
}

/// TCP: the same by where connections end, and by the original destination that the listener is told.
#[test]
fn connections_go_as_traced() -> Result<(), Error> {
    compare(Protocol::Tcp, true)
}
