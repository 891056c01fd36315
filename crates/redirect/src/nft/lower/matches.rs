//! Matches as loads and comparisons.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Element, Lowering, Set, number};
use crate::net::{Family, IdRange, InterfaceName, MaskedMark, PortRange, Protocol};
use crate::nft::expr::{CompareOp, CtKey, Expr, MetaKey, PayloadBase, Register, SetRef, Value};
use crate::nft::ports::PortSet;
use crate::nft::uapi::set_flag;
use crate::ruleset::{CtState, Match, Side};

const R: Register = Register::FIRST;

fn equal(negate: bool) -> CompareOp {
    if negate { CompareOp::NEQ } else { CompareOp::EQ }
}

impl Lowering<'_> {
    pub(super) fn push_match(&mut self, one: &Match) {
        match one {
            Match::Family(family) => self.push_family(*family),
            Match::Protocol(protocol) => self.push_protocol(*protocol),
            Match::Port { protocol, side, ports, negate } => {
                if self.protocol != Some(protocol.number()) {
                    self.push_protocol(*protocol);
                }
                self.ports(*side, ports, *negate);
            }
            Match::Address { side, net, negate } => self.address(*side, net, *negate),
            Match::InInterface(name) => self.interface(MetaKey::IIFNAME, name),
            Match::OutInterface(name) => self.interface(MetaKey::OIFNAME, name),
            Match::Uid { ids, negate } => self.ids(MetaKey::SKUID, *ids, *negate),
            Match::Gid { ids, negate } => self.ids(MetaKey::SKGID, *ids, *negate),
            Match::Mark { mark, negate } => {
                self.load(MetaKey::MARK);
                self.mark(*mark, *negate);
            }
            Match::ConnMark(mark) => {
                self.exprs.push(Expr::CtLoad { key: CtKey::MARK, to: R });
                self.mark(*mark, false);
            }
            Match::CtState(states) => self.ct_state(states),
        }
    }

    /// Asks for a family unless the rule already has.
    pub(super) fn need_family(&mut self, family: Family) {
        if self.family != Some(family) {
            self.push_family(family);
        }
    }

    fn push_family(&mut self, family: Family) {
        self.load(MetaKey::NFPROTO);
        self.compare(CompareOp::EQ, Value::of([number(family)]));
        self.family = Some(family);
    }

    fn push_protocol(&mut self, protocol: Protocol) {
        self.load(MetaKey::L4PROTO);
        self.compare(CompareOp::EQ, Value::of([protocol.number()]));
        self.protocol = Some(protocol.number());
    }

    fn load(&mut self, key: MetaKey) {
        self.exprs.push(Expr::MetaLoad { key, to: R });
    }

    fn compare(&mut self, op: CompareOp, value: Value) {
        self.exprs.push(Expr::Compare { from: R, op, value });
    }

    /// A negated range is one expression, a plain one two comparisons: nft does so, and older kernels had to.
    fn range(&mut self, low: Value, high: Value, negate: bool) {
        if negate {
            self.exprs.push(Expr::Range { from: R, op: CompareOp::NEQ, low, high });
        } else {
            self.compare(CompareOp::GTE, low);
            self.compare(CompareOp::LTE, high);
        }
    }

    fn mask(&mut self, mask: Value) {
        let xor = Value::zero(mask.as_bytes().len());
        self.exprs.push(Expr::Bitwise { from: R, to: R, mask, xor });
    }

    fn ports(&mut self, side: Side, ports: &[PortRange], negate: bool) {
        let set = PortSet::new(ports);
        if set == PortSet::Empty {
            return;
        }
        let offset = match side {
            Side::Source => 0,
            Side::Destination => 2,
        };
        self.exprs.push(Expr::Payload { base: PayloadBase::TRANSPORT, offset, length: 2, to: R });
        match set {
            PortSet::Empty => {}
            PortSet::One(port) => self.compare(equal(negate), port_value(port)),
            PortSet::Range(range) => {
                self.range(port_value(range.start()), port_value(range.end()), negate);
            }
            PortSet::Singles(ports) => {
                let element = |port| Element { key: port_value(port), end: false };
                self.lookup(0, ports.into_iter().map(element).collect(), negate);
            }
            PortSet::Ranges(ranges) => self.lookup(set_flag::INTERVAL, intervals(&ranges), negate),
        }
    }

    fn lookup(&mut self, flags: u32, elements: Vec<Element>, invert: bool) {
        let flags = set_flag::ANONYMOUS | set_flag::CONSTANT | flags;
        self.exprs.push(Expr::Lookup { from: R, set: SetRef::Own(self.sets.len()), invert });
        self.sets.push(Set { flags, elements });
    }

    /// Prefixes of whole bytes are loaded as so many bytes, others are masked.
    fn address(&mut self, side: Side, net: &IpNet, negate: bool) {
        self.need_family(Family::of_net(net));
        let net = net.trunc();
        let (offset, address, mask) = match (net.network(), net.netmask()) {
            (IpAddr::V4(address), IpAddr::V4(mask)) => (
                if side == Side::Source { 12 } else { 16 },
                Value::of(address.octets()),
                Value::of(mask.octets()),
            ),
            (IpAddr::V6(address), IpAddr::V6(mask)) => (
                if side == Side::Source { 8 } else { 24 },
                Value::of(address.octets()),
                Value::of(mask.octets()),
            ),
            _ => return,
        };
        let (bits, whole) = (net.prefix_len(), address.as_bytes().len());
        let by_bytes = bits > 0 && bits % 8 == 0;
        let length = if by_bytes { usize::from(bits / 8) } else { whole };
        self.exprs.push(Expr::Payload { base: PayloadBase::NETWORK, offset, length: length as u32, to: R });
        if !by_bytes {
            self.mask(mask);
        }
        if let Some(value) = Value::new(&address.as_bytes()[..length]) {
            self.compare(equal(negate), value);
        }
    }

    fn interface(&mut self, key: MetaKey, name: &InterfaceName) {
        self.load(key);
        let mut padded = [0; 16];
        let text = name.name().as_bytes();
        let length = text.len().min(15);
        padded[..length].copy_from_slice(&text[..length]);
        // A prefix is compared without the final NUL, so whatever follows it fits.
        let compared = if name.is_prefix() { length } else { padded.len() };
        if let Some(value) = Value::new(&padded[..compared]) {
            self.compare(CompareOp::EQ, value);
        }
    }

    fn ids(&mut self, key: MetaKey, ids: IdRange, negate: bool) {
        self.load(key);
        if ids.is_single() {
            self.compare(equal(negate), Value::of(ids.start().to_ne_bytes()));
        } else {
            // Greater and less are told byte by byte, which needs the network's order.
            self.exprs.push(Expr::ByteOrder { from: R, to: R, to_network: true, length: 4, size: 4 });
            self.range(Value::of(ids.start().to_be_bytes()), Value::of(ids.end().to_be_bytes()), negate);
        }
    }

    fn mark(&mut self, mark: MaskedMark, negate: bool) {
        if mark.mask != u32::MAX {
            self.mask(Value::of(mark.mask.to_ne_bytes()));
        }
        self.compare(equal(negate), Value::of(mark.value.to_ne_bytes()));
    }

    fn ct_state(&mut self, states: &[CtState]) {
        let bits = states.iter().fold(0, |bits, state| bits | *state as u32);
        self.exprs.push(Expr::CtLoad { key: CtKey::STATE, to: R });
        self.mask(Value::of(bits.to_ne_bytes()));
        self.compare(CompareOp::NEQ, Value::zero(4));
    }
}

fn port_value(port: u16) -> Value {
    Value::of(port.to_be_bytes())
}

/// Ranges as the starts and ends of intervals. As nft does, the gap before the first one is told too; an interval
/// up to the highest port has no end.
fn intervals(ranges: &[PortRange]) -> Vec<Element> {
    let mut elements = Vec::with_capacity(ranges.len() * 2 + 1);
    if ranges.first().is_some_and(|first| first.start() > 0) {
        elements.push(Element { key: port_value(0), end: true });
    }
    for range in ranges {
        elements.push(Element { key: port_value(range.start()), end: false });
        if let Some(after) = range.end().checked_add(1) {
            elements.push(Element { key: port_value(after), end: true });
        }
    }
    elements
}
