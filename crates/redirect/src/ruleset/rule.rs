//! A rule and what it is made of: matches and one action. The words are netfilter's, so that each renderer has exactly one
//! thing to write for each.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use super::ChainName;
use crate::net::{Family, IdRange, InterfaceName, MaskedMark, PortRange, Protocol};

/// One rule: all matches must hold, then the action is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Stable name such as `out.exclude-port`: in comments, traces and errors. Rules that one list option
    /// expands to share it.
    pub name: Cow<'static, str>,
    /// The mesh's option this rule comes from, by its long flag name without dashes; none for fixed rules.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub option: Option<Cow<'static, str>>,
    /// What a packet must be; no match at all means every packet.
    #[serde(rename = "match", skip_serializing_if = "Vec::is_empty", default)]
    pub matches: Vec<Match>,
    /// What happens to it then.
    pub action: Action,
}

/// A property of a packet. Negation follows iptables' `!`, with one difference that nftables forces: a packet
/// without a local socket has no owner, so it fits neither `Uid` nor its negation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Match {
    /// Of this family.
    Family(Family),
    /// Of this transport protocol.
    Protocol(Protocol),
    /// Of this protocol, and its port is (or with `negate`: is not) among these. 1 to 15 iptables slots: a range
    /// counts two (`XT_MULTI_PORTS`, linux/netfilter/xt_multiport.h).
    Port {
        /// The protocol, never negated.
        protocol: Protocol,
        /// Which port of the packet.
        side: Side,
        /// The ports, at least one.
        ports: Vec<PortRange>,
        /// Whether the ports are negated.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        negate: bool,
    },
    /// An address of the packet lies in (or outside of) a network; implies the network's family.
    Address {
        /// Which address.
        side: Side,
        /// The network.
        net: IpNet,
        /// Whether the network is negated.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        negate: bool,
    },
    /// It came in by this interface (prerouting only).
    InInterface(InterfaceName),
    /// It leaves by this interface (output only).
    OutInterface(InterfaceName),
    /// The sending socket's user (output only).
    Uid {
        /// The ids.
        ids: IdRange,
        /// Whether the ids are negated.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        negate: bool,
    },
    /// The sending socket's group (output only).
    Gid {
        /// The ids.
        ids: IdRange,
        /// Whether the ids are negated.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        negate: bool,
    },
    /// The packet's mark.
    Mark {
        /// Value and mask.
        mark: MaskedMark,
        /// Whether the comparison is negated.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        negate: bool,
    },
    /// The connection's mark.
    ConnMark(MaskedMark),
    /// The connection's state is one of these.
    CtState(CtStates),
}

/// Source or destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Where the packet comes from
    Source,
    /// Where it goes
    Destination,
}

/// A state of connection tracking, with the bit nf_tables gives it (`NF_CT_STATE_BIT`,
/// linux/netfilter/nf_conntrack_common.h).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum CtState {
    /// Fits no connection (out of window, malformed)
    Invalid = 1,
    /// Of a connection seen in both directions
    Established = 2,
    /// Belongs to another connection (an ICMP error, for example)
    Related = 4,
    /// Starts a connection
    New = 8,
}

/// A set of connection states, in the order they were written.
pub type CtStates = Vec<CtState>;

/// What a rule does with a packet that fits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Action {
    /// Back to the chain that jumped here; in a base chain: on to the next hook.
    Return,
    /// On to the next hook.
    Accept,
    /// Discard it.
    Drop,
    /// Through another chain of the same table, then on here.
    Jump(ChainName),
    /// To this port of this namespace; the connection remembers its original destination (nat only).
    Redirect(u16),
    /// To another address (nat only).
    Dnat {
        /// The new destination.
        address: IpAddr,
        /// The new port; none keeps the packet's.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        port: Option<u16>,
    },
    /// To the transparent socket that listens on `port`, unchanged but for the mark (mangle prerouting only);
    /// falls through when nothing listens there.
    Tproxy {
        /// The port that the proxy listens on.
        port: u16,
        /// The mark that policy routing needs.
        mark: u32,
    },
    /// Sets the packet's mark and goes on (mangle only).
    SetMark(u32),
    /// Copies the packet's mark to the connection and goes on (mangle only).
    SaveMark,
    /// Copies the connection's mark to the packet and goes on (mangle only).
    RestoreMark,
    /// Tracks the packet's connection in this zone and goes on (raw only).
    CtZone(u16),
    /// Logs the packet and goes on.
    Log {
        /// Start of the log line, at most 29 characters (the limit of iptables' LOG).
        prefix: Cow<'static, str>,
        /// Syslog level, 0 to 7.
        level: u8,
    },
}

impl Action {
    /// Whether no later rule of the chain sees a packet that fits.
    pub fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Action::Jump(_)
                | Action::SetMark(_)
                | Action::SaveMark
                | Action::RestoreMark
                | Action::CtZone(_)
                | Action::Log { .. }
        )
    }
}

impl Action {
    /// Whether it is about a port, and so needs a rule that matches a protocol.
    pub fn needs_protocol(&self) -> bool {
        matches!(self, Action::Redirect(_) | Action::Tproxy { .. } | Action::Dnat { port: Some(_), .. })
    }
}

impl Match {
    /// The only family this match can hold in, where it implies one.
    pub fn family(&self) -> Option<Family> {
        match self {
            Match::Family(family) => Some(*family),
            Match::Address { net, .. } => Some(Family::of_net(net)),
            _ => None,
        }
    }

    /// The only protocol this match can hold in, where it names one.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            Match::Protocol(protocol) | Match::Port { protocol, .. } => Some(*protocol),
            _ => None,
        }
    }

    /// `tcp dport`, the most usual match.
    pub fn dport(protocol: Protocol, port: impl Into<PortRange>) -> Self {
        Match::Port { protocol, side: Side::Destination, ports: vec![port.into()], negate: false }
    }

    /// Ports of one side, possibly negated.
    pub fn ports(protocol: Protocol, side: Side, ports: Vec<PortRange>, negate: bool) -> Self {
        Match::Port { protocol, side, ports, negate }
    }

    /// Destination in `net`, or outside of it.
    pub fn destination(net: IpNet, negate: bool) -> Self {
        Match::Address { side: Side::Destination, net, negate }
    }

    /// Source in `net`, or outside of it.
    pub fn source(net: IpNet, negate: bool) -> Self {
        Match::Address { side: Side::Source, net, negate }
    }

    /// Owned by user `id`, or by any other.
    pub fn uid(id: u32, negate: bool) -> Self {
        Match::Uid { ids: IdRange::one(id), negate }
    }

    /// Owned by group `id`, or by any other.
    pub fn gid(id: u32, negate: bool) -> Self {
        Match::Gid { ids: IdRange::one(id), negate }
    }
}

impl Rule {
    /// The only family this rule can apply to, where its matches imply one.
    pub fn family(&self) -> Option<Family> {
        self.matches.iter().find_map(Match::family)
    }

    /// Whether any packet can fit at all. Two families or two protocols in one rule, no port or no state to choose
    /// from: nft and iptables refuse such rules, so renderers leave them out.
    pub fn can_match(&self) -> bool {
        let target = match &self.action {
            Action::Dnat { address, .. } => Some(Family::of(*address)),
            _ => None,
        };
        let mut families = self.matches.iter().filter_map(Match::family).chain(target);
        let mut protocols = self.matches.iter().filter_map(Match::protocol);
        let one_family = families.next().is_none_or(|first| families.all(|other| other == first));
        let one_protocol = protocols.next().is_none_or(|first| protocols.all(|other| other == first));
        let no_choice = self.matches.iter().any(|one| match one {
            Match::Port { ports, negate, .. } => ports.is_empty() && !negate,
            Match::CtState(states) => states.is_empty(),
            _ => false,
        });
        one_family && one_protocol && !no_choice
    }

    /// Whether the rule can apply to packets of `family`.
    pub fn applies_to(&self, family: Family) -> bool {
        self.family().is_none_or(|own| own == family)
    }
}
