//! Packets that tell rule sets apart: every value a rule speaks of, its neighbours, and a few that no rule speaks of,
//! in all combinations.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, CtState, Hook, Match};

use super::oracle::{Chains, Fate, Packet, Step};

/// Combinations beyond this number are sampled evenly.
const MOST: usize = 200_000;

/// The first packet found that the two treat differently.
pub fn difference(one: &Chains, other: &Chains, family: Family) -> Option<(Packet, Fate, Fate)> {
    let values = Values::of(&[one, other], family);
    [Hook::Prerouting, Hook::Output].into_iter().find_map(|hook| {
        values.packets(hook).find_map(|packet| {
            let (a, b) = (one.fate(&packet), other.fate(&packet));
            (a != b).then_some((packet, a, b))
        })
    })
}

/// The values of each dimension.
#[derive(Debug)]
pub struct Values {
    interfaces: Vec<String>,
    sources: Vec<IpAddr>,
    destinations: Vec<IpAddr>,
    sports: Vec<u16>,
    dports: Vec<u16>,
    uids: Vec<u32>,
    gids: Vec<u32>,
    marks: Vec<u32>,
    connmarks: Vec<u32>,
    states: Vec<CtState>,
    listeners: Vec<bool>,
}

#[derive(Default)]
struct Found {
    interfaces: BTreeSet<String>,
    sources: BTreeSet<IpAddr>,
    destinations: BTreeSet<IpAddr>,
    sports: BTreeSet<u16>,
    dports: BTreeSet<u16>,
    uids: BTreeSet<u32>,
    gids: BTreeSet<u32>,
    marks: BTreeSet<u32>,
    by_mark: bool,
    by_connmark: bool,
    by_state: bool,
    tproxy: bool,
}

impl Found {
    fn one(&mut self, one: &Match) {
        match one {
            Match::Port { side, ports, .. } => {
                let found = if *side == Side::Source { &mut self.sports } else { &mut self.dports };
                for port in ports.iter().flat_map(|range| [range.start(), range.end()]) {
                    found.extend([port.saturating_sub(1), port, port.saturating_add(1)]);
                }
            }
            Match::Address { side: Side::Source, net, .. } => self.sources.extend(edges(net)),
            Match::Address { side: Side::Destination, net, .. } => self.destinations.extend(edges(net)),
            Match::InInterface(name) | Match::OutInterface(name) => {
                let suffix = if name.is_prefix() { "0" } else { "" };
                self.interfaces.insert(format!("{}{suffix}", name.name()));
            }
            Match::Uid { ids, .. } => self.uids.extend([ids.start(), ids.end(), ids.end().saturating_add(1)]),
            Match::Gid { ids, .. } => self.gids.extend([ids.start(), ids.end(), ids.end().saturating_add(1)]),
            Match::Mark { mark, .. } => {
                self.by_mark = true;
                self.marks.insert(mark.value);
            }
            Match::ConnMark(mark) => {
                self.by_connmark = true;
                self.marks.insert(mark.value);
            }
            Match::CtState(_) => self.by_state = true,
            Match::Family(_) | Match::Protocol(_) => {}
        }
    }
}

/// First and last address of a network and those just outside.
fn edges(net: &IpNet) -> Vec<IpAddr> {
    let (first, last) = (net.network(), net.broadcast());
    let outside = match (first, last) {
        (IpAddr::V4(first), IpAddr::V4(last)) => [
            IpAddr::from(Ipv4Addr::from(u32::from(first).saturating_sub(1))),
            IpAddr::from(Ipv4Addr::from(u32::from(last).saturating_add(1))),
        ],
        (IpAddr::V6(first), IpAddr::V6(last)) => [
            IpAddr::from(Ipv6Addr::from(u128::from(first).saturating_sub(1))),
            IpAddr::from(Ipv6Addr::from(u128::from(last).saturating_add(1))),
        ],
        _ => unreachable!("a network has one family"),
    };
    [first, last].into_iter().chain(outside).collect()
}

fn usual(family: Family) -> [IpAddr; 3] {
    let texts = match family {
        Family::Ipv4 => ["127.0.0.1", "10.244.1.7", "203.0.113.9"],
        Family::Ipv6 => ["::1", "fd00:10:244::7", "2001:db8:9::9"],
    };
    texts.map(|text| text.parse().expect("an address"))
}

impl Values {
    pub fn of(all: &[&Chains], family: Family) -> Self {
        let mut found = Found::default();
        for line in all.iter().flat_map(|chains| chains.lines()) {
            line.matches.iter().for_each(|one| found.one(one));
            found.tproxy |= matches!(line.step, Step::Take(Action::Tproxy { .. }));
        }
        let addresses = |found: BTreeSet<IpAddr>| -> Vec<IpAddr> {
            let all: BTreeSet<IpAddr> = found.into_iter().chain(usual(family)).collect();
            all.into_iter().filter(|address| Family::of(*address) == family).collect()
        };
        let with = |found: BTreeSet<u16>, usual| -> Vec<u16> {
            found.into_iter().chain([usual]).collect::<BTreeSet<_>>().into_iter().collect()
        };
        let marks: Vec<u32> = found.marks.iter().copied().chain([0, 7]).collect();
        let all_states = vec![CtState::New, CtState::Established, CtState::Related, CtState::Invalid];
        Self {
            interfaces: found
                .interfaces
                .into_iter()
                .chain(["eth0".into(), "lo".into()])
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
            sources: addresses(found.sources),
            destinations: addresses(found.destinations),
            sports: with(found.sports, 40000),
            dports: with(found.dports, 80),
            uids: found.uids.into_iter().chain([5000]).collect(),
            gids: found.gids.into_iter().chain([5000]).collect(),
            marks: if found.by_mark { marks.clone() } else { vec![0] },
            connmarks: if found.by_connmark { marks } else { vec![0] },
            states: if found.by_state { all_states } else { vec![CtState::New] },
            listeners: if found.tproxy { vec![true, false] } else { vec![true] },
        }
    }

    fn sizes(&self, hook: Hook) -> [usize; 12] {
        let output = hook == Hook::Output;
        let only = |count: usize, at: bool| if at { count } else { 1 };
        [
            2,
            self.interfaces.len(),
            self.sources.len(),
            self.destinations.len(),
            self.sports.len(),
            self.dports.len(),
            only(self.uids.len(), output),
            only(self.gids.len(), output),
            self.marks.len(),
            self.connmarks.len(),
            self.states.len(),
            only(self.listeners.len(), !output),
        ]
    }

    /// All combinations, or [`MOST`] of them spread over the whole.
    pub fn packets(&self, hook: Hook) -> impl Iterator<Item = Packet> + '_ {
        let sizes = self.sizes(hook);
        let total: usize = sizes.iter().product();
        // A prime far from any dimension's size visits every combination once before it repeats.
        let stride = if total > MOST { 999_999_937 } else { 1 };
        (0..total.min(MOST)).map(move |index| {
            let mut rest = (index as u128 * stride % total as u128) as usize;
            let at = sizes.map(|size| {
                let digit = rest % size;
                rest /= size;
                digit
            });
            Packet {
                hook,
                protocol: [Protocol::Tcp, Protocol::Udp][at[0]],
                interface: self.interfaces[at[1]].clone(),
                source: self.sources[at[2]],
                destination: self.destinations[at[3]],
                sport: self.sports[at[4]],
                dport: self.dports[at[5]],
                uid: self.uids[at[6]],
                gid: self.gids[at[7]],
                mark: self.marks[at[8]],
                connmark: self.connmarks[at[9]],
                state: self.states[at[10]],
                listener: self.listeners[at[11]],
            }
        })
    }
}
