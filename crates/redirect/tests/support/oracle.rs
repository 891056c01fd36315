//! A second, independent reading of what rules do to a packet, with iptables' meaning of them. It is the side that our
//! rule sets are measured against, so it shares nothing with `meshward_redirect::trace`.
#![allow(dead_code, unreachable_pub)]

use std::collections::BTreeMap;
use std::net::IpAddr;

use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::{Action, CtState, Hook, Match, RuleSet, TableKind};

/// A packet at one hook. Output packets always have an owner.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    pub hook: Hook,
    pub protocol: Protocol,
    pub interface: String,
    pub source: IpAddr,
    pub destination: IpAddr,
    pub sport: u16,
    pub dport: u16,
    pub uid: u32,
    pub gid: u32,
    pub mark: u32,
    pub connmark: u32,
    pub state: CtState,
    /// Whether a transparent socket listens where TPROXY points.
    pub listener: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    pub zone: Option<u16>,
    pub mark: u32,
    pub connmark: u32,
    pub end: End,
}

#[derive(Debug, Clone, PartialEq)]
pub enum End {
    Pass,
    Drop,
    Redirect(u16),
    Dnat(IpAddr, Option<u16>),
    Tproxy(u16),
}

#[derive(Debug, Clone)]
pub struct Line {
    pub matches: Vec<Match>,
    pub step: Step,
}

#[derive(Debug, Clone)]
pub enum Step {
    Take(Action),
    Jump(String),
}

/// Rules as chains by name; base chains are called `prerouting` and `output`.
#[derive(Debug, Clone, Default)]
pub struct Chains {
    /// iptables' TPROXY drops when nothing listens; nftables' goes on.
    pub tproxy_drops: bool,
    pub tables: BTreeMap<TableKind, BTreeMap<String, Vec<Line>>>,
}

impl From<&RuleSet> for Chains {
    fn from(rules: &RuleSet) -> Self {
        let mut chains = Chains::default();
        for (table, chain, rule) in rules.rules() {
            let step = match &rule.action {
                Action::Jump(to) => Step::Jump(to.to_string()),
                action => Step::Take(action.clone()),
            };
            let lines = chains.tables.entry(table.kind).or_default().entry(chain.name.to_string());
            lines.or_default().push(Line { matches: rule.matches.clone(), step });
        }
        chains
    }
}

impl Chains {
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        self.tables.values().flat_map(BTreeMap::values).flatten()
    }

    /// Sends a packet through raw, mangle and nat of its hook; nat sees only the first packet of a connection.
    pub fn fate(&self, packet: &Packet) -> Fate {
        let mut fate = Fate { zone: None, mark: packet.mark, connmark: packet.connmark, end: End::Pass };
        for kind in [TableKind::Raw, TableKind::Mangle, TableKind::Nat] {
            if kind == TableKind::Nat && packet.state != CtState::New {
                continue;
            }
            if let Some(end) = self.chain(kind, packet.hook.name(), packet, &mut fate)
                && end != End::Pass
            {
                fate.end = end;
                break;
            }
        }
        fate
    }

    /// `None` when the chain was left by its end or RETURN.
    fn chain(&self, kind: TableKind, name: &str, packet: &Packet, fate: &mut Fate) -> Option<End> {
        let lines = self.tables.get(&kind)?.get(name)?;
        for line in lines {
            if !line.matches.iter().all(|one| fits(one, packet, fate)) {
                continue;
            }
            match &line.step {
                Step::Jump(to) => {
                    if let Some(end) = self.chain(kind, to, packet, fate) {
                        return Some(end);
                    }
                }
                Step::Take(Action::Return) => return None,
                Step::Take(action) => {
                    if let Some(end) = self.act(action, packet, fate) {
                        return Some(end);
                    }
                }
            }
        }
        None
    }

    fn act(&self, action: &Action, packet: &Packet, fate: &mut Fate) -> Option<End> {
        match action {
            Action::Accept => return Some(End::Pass),
            Action::Drop => return Some(End::Drop),
            Action::Redirect(port) => return Some(End::Redirect(*port)),
            Action::Dnat { address, port } => return Some(End::Dnat(*address, *port)),
            Action::Tproxy { port, mark } if packet.listener => {
                fate.mark = *mark;
                return Some(End::Tproxy(*port));
            }
            Action::Tproxy { .. } => return self.tproxy_drops.then_some(End::Drop),
            Action::SetMark(mark) => fate.mark = *mark,
            Action::SaveMark => fate.connmark = fate.mark,
            Action::RestoreMark => fate.mark = fate.connmark,
            // xt_CT and nft_ct leave a packet alone that already has a connection or template.
            Action::CtZone(zone) => fate.zone = fate.zone.or(Some(*zone)),
            Action::Log { .. } | Action::Return | Action::Jump(_) => {}
        }
        None
    }
}

fn fits(one: &Match, packet: &Packet, fate: &Fate) -> bool {
    use meshward_redirect::ruleset::Side;
    let output = packet.hook == Hook::Output;
    match one {
        Match::Family(family) => *family == Family::of(packet.destination),
        Match::Protocol(protocol) => *protocol == packet.protocol,
        Match::Port { protocol, side, ports, negate } => {
            let port = if *side == Side::Source { packet.sport } else { packet.dport };
            *protocol == packet.protocol && ports.iter().any(|range| range.contains(port)) != *negate
        }
        Match::Address { side, net, negate } => {
            let address = if *side == Side::Source { packet.source } else { packet.destination };
            Family::of(address) == Family::of_net(net) && net.contains(&address) != *negate
        }
        Match::InInterface(name) => !output && name.matches(&packet.interface),
        Match::OutInterface(name) => output && name.matches(&packet.interface),
        Match::Uid { ids, negate } => output && ids.contains(packet.uid) != *negate,
        Match::Gid { ids, negate } => output && ids.contains(packet.gid) != *negate,
        Match::Mark { mark, negate } => mark.matches(fate.mark) != *negate,
        Match::ConnMark(mark) => mark.matches(fate.connmark),
        Match::CtState(states) => states.contains(&packet.state),
    }
}
