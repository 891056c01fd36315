//! No rule without a packet that misses it: each rule of each case is left out in turn, and packets must notice; in
//! the evaluator all of them, in the kernel one for each rule's name.

use std::collections::{BTreeMap, BTreeSet};

use meshward_netlab::{can_switch_users, skipped};
use meshward_redirect::net::Protocol;
use meshward_redirect::netns::NetNs;
use meshward_redirect::program::{Backend, program};
use meshward_redirect::trace::{Direction, Owner, Packet, trace};
use meshward_redirect::{CtState, Mesh, Rule, RuleSet};

use crate::bed::{Answer, connection, furnished, send};
use crate::case::{Case, End, Sent, cases};
use crate::evaluate::{Seen, borrows, environment, packet, seen};
use crate::run::options;

/// Rules that their meshes have and that no packet ever misses.
const REDUNDANT: &[(Mesh, &str, &str)] = &[
    (
        Mesh::Istio,
        "out.app-loopback-gid",
        "over loopback, out.app-loopback-uid has returned for everybody but the proxy's user, and out.proxy-uid for it",
    ),
    (
        Mesh::Kuma,
        "out.localhost",
        "to loopback goes over loopback, where out.loopback and out.proxy-uid have returned for everybody",
    ),
];

/// Rules that only the evaluator notices.
const UNSEEN_BY_KERNEL: &[(Mesh, &[&str], &str)] = &[
    (
        Mesh::Istio,
        &["in.established", "in.divert", "in.divert-mark"],
        "later packets of a connection find its socket without them, too",
    ),
    (Mesh::Istio, &["in.marked"], "only for marks that something outside of the pod has set"),
    (
        Mesh::Kuma,
        &["log.inbound", "log.outbound"],
        "they are counted, and a rule that is gone has no counter",
    ),
];

/// A rule set without one of its rules.
struct Mutant {
    gone: Rule,
    rules: RuleSet,
}

fn mutants(rules: &RuleSet) -> Vec<Mutant> {
    let mut mutants = Vec::new();
    for (t, table) in rules.tables.iter().enumerate() {
        for (c, chain) in table.chains.iter().enumerate() {
            for r in 0..chain.rules.len() {
                let mut without = rules.clone();
                let gone = without.tables[t].chains[c].rules.remove(r);
                mutants.push(Mutant { gone, rules: without });
            }
        }
    }
    mutants
}

fn accepted(mesh: Mesh) -> Vec<Case> {
    cases(mesh).into_iter().filter(|case| case.refused.is_none()).collect()
}

/// Every packet of every case, each in the pod of its own case.
fn all_packets(cases: &[Case]) -> Vec<(&Case, &Sent)> {
    cases.iter().flat_map(|case| case.packets.iter().map(move |sent| (case, sent))).collect()
}

/// The most packets of a lattice, and the most cases that it is tried on.
const LATTICE: usize = 1500;
const LATTICE_CASES: usize = 8;

/// The packets of all cases once more, with every owner, mark and state that any of them has, sampled evenly.
fn lattice(packets: &[(&Case, &Sent)]) -> Vec<Packet> {
    let owners: BTreeSet<(u32, u32)> = packets.iter().map(|(_, sent)| (sent.uid, sent.gid)).collect();
    let marks: BTreeSet<u32> = packets.iter().map(|(_, sent)| sent.mark).chain([1338]).collect();
    let mut all = Vec::new();
    for (case, sent) in packets {
        let plain = packet(sent, &case.layout);
        for state in [CtState::New, CtState::Established] {
            for (mark, connection_mark) in marks.iter().flat_map(|mark| [(*mark, 0), (*mark, 1337)]) {
                let packet = Packet { state, mark, connection_mark, ..plain.clone() };
                match sent.direction {
                    Direction::In => all.push(packet),
                    Direction::Out => all.extend(owners.iter().map(|(uid, gid)| {
                        let owner = Some(Owner { uid: *uid, gid: *gid });
                        Packet { owner, ..packet.clone() }
                    })),
                }
            }
        }
    }
    let step = all.len().div_ceil(LATTICE);
    // A step that is no divisor of the inner loops meets all of their turns.
    all.into_iter().step_by(step | 1).collect()
}

/// Whether any packet of the lattice tells the two rule sets apart.
fn lattice_tells(case: &Case, rules: &RuleSet, other: &RuleSet, lattice: &[Packet]) -> bool {
    let environment = environment(&case.layout);
    let told = |rules: &RuleSet, packet: &Packet| {
        let trace = trace(rules, packet, &environment).unwrap();
        (trace.verdict, trace.ending, trace.effects)
    };
    lattice.iter().any(|packet| told(rules, packet) != told(other, packet))
}

#[test]
fn every_rule_is_missed_by_a_packet() {
    let mut unmissed: Vec<(Mesh, String)> = Vec::new();
    for mesh in Mesh::ALL {
        let cases = accepted(mesh);
        let packets = all_packets(&cases);
        let lattice = lattice(&packets);
        let mut open: BTreeMap<String, Vec<(&Case, RuleSet, RuleSet)>> = BTreeMap::new();
        let mut missed: BTreeSet<String> = BTreeSet::new();
        for case in &cases {
            let rules = case.rules();
            let before = case.seen(&rules);
            for Mutant { gone, rules: without } in mutants(&rules) {
                if missed.contains(&*gone.name) {
                    continue;
                }
                if case.seen(&without) != before {
                    missed.insert(gone.name.to_string());
                } else {
                    open.entry(gone.name.to_string()).or_default().push((case, rules.clone(), without));
                }
            }
        }
        open.retain(|name, _| !missed.contains(name));
        for (name, places) in open {
            let by_packets = |(_, rules, without): &(&Case, RuleSet, RuleSet)| {
                packets.iter().any(|(of, sent)| seen(rules, sent, of) != seen(without, sent, of))
            };
            let by_lattice = |(case, rules, without): &(&Case, RuleSet, RuleSet)| {
                lattice_tells(case, rules, without, &lattice)
            };
            let places = &places[..places.len().min(LATTICE_CASES)];
            if !places.iter().any(by_packets) && !places.iter().any(by_lattice) {
                unmissed.push((mesh, name));
            }
        }
    }
    let redundant: Vec<(Mesh, String)> =
        REDUNDANT.iter().map(|(mesh, name, _)| (*mesh, name.to_string())).collect();
    assert_eq!(unmissed, redundant, "rules that no packet misses (left), and those known as such");
}

/// Of the rules that a case's own option makes, each one counts, unless the case says that it is idle.
#[test]
fn every_rule_of_an_option_is_missed_in_its_cases() {
    let mut problems = Vec::new();
    for mesh in Mesh::ALL {
        let cases = accepted(mesh);
        let packets = all_packets(&cases);
        for case in cases.iter().filter(|case| case.option.is_some()) {
            let rules = case.rules();
            let own = case.seen(&rules);
            let mut idle = BTreeSet::new();
            for Mutant { gone, rules: without } in mutants(&rules) {
                if gone.option.as_deref() != case.option || case.seen(&without) != own {
                    continue;
                }
                let of_pod = |other: &Case| other.proxy_listens == case.proxy_listens;
                let mut others = packets.iter().filter(|(of, _)| of_pod(of));
                if !others.any(|(of, sent)| seen(&rules, sent, of) != seen(&without, sent, of)) {
                    idle.insert(gone.name.to_string());
                }
            }
            if idle != case.idle {
                problems.push(format!("{}: idle are {idle:?}, not {:?}", case.name, case.idle));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Whether the kernel did with a packet what the evaluator says, `before` being what the whole rule set does.
fn agrees(case: &Case, sent: &Sent, found: &Answer, expected: &Seen, before: &Seen) -> bool {
    match (&found.end, expected.end) {
        // A datagram does not tell the address it was sent to.
        (Ok(End::Peer(found)), End::Peer(expected)) if sent.protocol == Protocol::Udp => {
            found.port() == expected.port()
        }
        // The answer to a borrowed address takes ways that are not traced; what counts is that it is another one.
        (Ok(found), expected) if borrows(sent, &case.layout) && expected != before.end => {
            *found != before.end
        }
        (Ok(found), expected) => *found == expected,
        (Err(_), _) => false,
    }
}

/// Runs the case's packets through the kernel with the mutant's rules; says what is not as the evaluator has it.
fn disagreement(case: &Case, rules: &RuleSet, without: &RuleSet) -> Option<String> {
    let bed = furnished(case, rules)?;
    let namespace = NetNs::open(bed.pod.path()).unwrap();
    let _programmed = program(&namespace, without, &options(Backend::Nft)).unwrap();
    let (before, after) = (case.seen(rules), case.seen(without));
    let silent = |place: usize| {
        let changed = after[place].end != before[place].end;
        after[place].end == End::Nothing || changed && borrows(&case.packets[place], &case.layout)
    };
    let answers = send(case, &bed, silent);
    let connections = bed.connections().unwrap().unwrap_or_default();
    let packets = case.packets.iter().zip(&answers).zip(after.iter().zip(&before));
    for ((sent, answer), (expected, before)) in packets {
        if !agrees(case, sent, answer, expected, before) {
            return Some(format!("{}\n  reached {:?}, not {}", sent.text, answer.end, expected.end));
        }
        if let Some(found) = connection(&connections, sent, answer).filter(|_| sent.expected.zone.is_some())
            && found.zone != expected.zone
        {
            return Some(format!("{}\n  has {found:?}, not zone {}", sent.text, expected.zone));
        }
    }
    None
}

/// Whether any packet shows the difference in a way that can be seen from outside.
fn visible(case: &Case, before: &[Seen], after: &[Seen]) -> bool {
    let mut packets = case.packets.iter().zip(before.iter().zip(after));
    packets.any(|(sent, (before, after))| {
        before.end != after.end || sent.expected.zone.is_some() && before.zone != after.zone
    })
}

fn kernel_misses(mesh: Mesh) {
    if !can_switch_users() {
        return skipped(&format!("mutants of {mesh} in the kernel: packets of other users"));
    }
    let (mut names, mut missed, mut problems) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for case in accepted(mesh) {
        let rules = case.rules();
        let before = case.seen(&rules);
        for Mutant { gone, rules: without } in mutants(&rules) {
            names.insert(gone.name.to_string());
            if missed.contains(&*gone.name) || !visible(&case, &before, &case.seen(&without)) {
                continue;
            }
            if let Some(problem) = disagreement(&case, &rules, &without) {
                problems.push(format!("{}, without {}: {problem}", case.name, gone.name));
            }
            missed.insert(gone.name.to_string());
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    let unseen = UNSEEN_BY_KERNEL.iter().filter(|(of, ..)| *of == mesh).flat_map(|(_, names, _)| *names);
    let redundant = REDUNDANT.iter().filter(|(of, ..)| *of == mesh).map(|(_, name, _)| name);
    let excused: BTreeSet<String> = unseen.chain(redundant).map(ToString::to_string).collect();
    let unmissed: BTreeSet<String> = names.difference(&missed).cloned().collect();
    assert_eq!(
        unmissed, excused,
        "{mesh}: rules that no packet of the kernel misses (left), and those known as such"
    );
}

#[test]
fn the_kernel_misses_istios_rules() {
    kernel_misses(Mesh::Istio);
}

#[test]
fn the_kernel_misses_the_other_meshes_rules() {
    [Mesh::Linkerd, Mesh::Kuma, Mesh::Consul].into_iter().for_each(kernel_misses);
}
