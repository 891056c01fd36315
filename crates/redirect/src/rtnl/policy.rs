//! Policy routing for TPROXY: packets with a mark go to a table in which every address is local, so that the kernel
//! hands them to the proxy's transparent socket (linux/fib_rules.h, linux/rtnetlink.h).

use rustix::io::Errno;

use super::message::{self, CREATE, REPLACE};
use super::{Change, Operation, RouteError, RouteSocket, change, family_number};
use crate::net::Family;
use crate::ruleset::PolicyRouting;

/// Our number in the "who added this" field of rules, routes and addresses (`rtm_protocol` and its like). It is not
/// among those that iproute2 names, and lets us remove what is ours without knowing how it was configured.
pub const PROTOCOL: u8 = 0x4d;

const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_GETROUTE: u16 = 26;
const RTM_NEWRULE: u16 = 32;
const RTM_DELRULE: u16 = 33;
const RTM_GETRULE: u16 = 34;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_PROTOCOL: u16 = 21;
const FR_ACT_TO_TBL: u8 = 1;
const RTA_OIF: u16 = 4;
const RTA_TABLE: u16 = 15;
const RTN_LOCAL: u8 = 2;
const RT_SCOPE_HOST: u8 = 254;
/// `sizeof(struct rtmsg)` and of `struct fib_rule_hdr`
const HEADER: usize = 12;
/// Table numbers from 256 on do not fit the header; `RT_TABLE_UNSPEC` sends the kernel to the attribute.
const TABLE_IN_ATTRIBUTE: u8 = 0;

/// A policy rule that sends one exact mark to one table and asks for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MarkRule {
    /// Mark and table.
    pub(crate) routing: PolicyRouting,
    /// Its place among the rules, lowest first.
    pub(crate) priority: u32,
    /// Whether we added it.
    pub(crate) ours: bool,
}

/// A route of a policy table that makes every address local.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LocalRoute {
    /// The routing table.
    pub(crate) table: u32,
    /// The interface's index.
    pub(crate) interface: u32,
    /// Whether we added it.
    pub(crate) ours: bool,
}

impl RouteSocket {
    /// The policy rules that look at nothing but one exact mark.
    pub(crate) fn mark_rules(&mut self, family: Family) -> Result<Vec<MarkRule>, RouteError> {
        self.list("policy rules", RTM_GETRULE, &header(family), |kind, payload| {
            (kind == RTM_NEWRULE && payload.first() == Some(&family_number(family)))
                .then(|| read_rule(payload))
                .flatten()
        })
    }

    /// The local default routes of all tables.
    pub(crate) fn local_routes(&mut self, family: Family) -> Result<Vec<LocalRoute>, RouteError> {
        self.list("routes", RTM_GETROUTE, &header(family), |kind, payload| {
            (kind == RTM_NEWROUTE && payload.first() == Some(&family_number(family)))
                .then(|| read_route(payload))
                .flatten()
        })
    }

    /// `ip rule add fwmark MARK lookup TABLE`, unless there is such a rule: the kernel would take a second one.
    pub fn add_mark_rule(&mut self, family: Family, routing: PolicyRouting) -> Result<Change, RouteError> {
        if self.mark_rules(family)?.iter().any(|rule| rule.routing == routing) {
            return Ok(Change::None);
        }
        let PolicyRouting { mark, table } = routing;
        let operation = Operation::AddRule { family, mark, table };
        self.request(operation, &[Errno::EXIST], rule_message(RTM_NEWRULE, CREATE, family, routing))
    }

    /// Removes the rule that [`Self::add_mark_rule`] added; an equal rule of somebody else stays.
    pub fn remove_mark_rule(&mut self, family: Family, routing: PolicyRouting) -> Result<Change, RouteError> {
        let PolicyRouting { mark, table } = routing;
        let rules = self.mark_rules(family)?;
        let Some(own) = rules.iter().find(|rule| rule.ours && rule.routing == routing) else {
            return Ok(Change::None);
        };
        let operation = Operation::RemoveRule { family, mark, table };
        // The kernel does not compare the protocol when it deletes (rule_find, net/core/fib_rules.c); the priority
        // keeps it from taking an equal rule of somebody else.
        let message = rule_message(RTM_DELRULE, 0, family, routing).number(FRA_PRIORITY, own.priority);
        self.request(operation, &[Errno::NOENT], message)
    }

    /// `ip route replace local default dev lo table TABLE`; `loopback` is the index of `lo`, which must be up.
    pub fn add_local_route(
        &mut self,
        family: Family,
        table: u32,
        loopback: u32,
    ) -> Result<Change, RouteError> {
        let there = |route: &LocalRoute| route.table == table && route.interface == loopback;
        if self.local_routes(family)?.iter().any(there) {
            return Ok(Change::None);
        }
        let operation = Operation::AddLocalRoute { family, table };
        self.request(operation, &[], route_message(RTM_NEWROUTE, CREATE | REPLACE, family, table, loopback))
    }

    /// Removes the route that [`Self::add_local_route`] added.
    pub fn remove_local_route(
        &mut self,
        family: Family,
        table: u32,
        loopback: u32,
    ) -> Result<Change, RouteError> {
        let operation = Operation::RemoveLocalRoute { family, table };
        self.request(operation, &[Errno::SRCH], route_message(RTM_DELROUTE, 0, family, table, loopback))
    }
}

fn header(family: Family) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = family_number(family);
    header
}

fn rule_message(kind: u16, flags: u16, family: Family, routing: PolicyRouting) -> message::Message {
    let mut header = header(family);
    (header[4], header[7]) = (TABLE_IN_ATTRIBUTE, FR_ACT_TO_TBL);
    change(kind, flags, &header)
        .number(FRA_FWMARK, routing.mark)
        .number(FRA_FWMASK, u32::MAX)
        .number(FRA_TABLE, routing.table)
        .attribute(FRA_PROTOCOL, &[PROTOCOL])
}

fn route_message(kind: u16, flags: u16, family: Family, table: u32, loopback: u32) -> message::Message {
    let mut header = header(family);
    (header[4], header[5], header[6], header[7]) = (TABLE_IN_ATTRIBUTE, PROTOCOL, RT_SCOPE_HOST, RTN_LOCAL);
    change(kind, flags, &header).number(RTA_TABLE, table).number(RTA_OIF, loopback)
}

pub(super) fn read_rule(payload: &[u8]) -> Option<MarkRule> {
    let (header, rest) = payload.split_at_checked(HEADER)?;
    let flags = message::u32_at(header, 8)?;
    // Any address, type of service or flag (such as "invert") makes it another rule than ours.
    if header[1] != 0 || header[2] != 0 || header[3] != 0 || header[7] != FR_ACT_TO_TBL || flags != 0 {
        return None;
    }
    let (mut mark, mut mask, mut priority, mut ours) = (None, None, 0, false);
    let mut table = u32::from(header[4]);
    for (kind, payload) in message::attributes(rest) {
        let number = message::u32_at(payload, 0);
        match kind {
            FRA_FWMARK => mark = number,
            FRA_FWMASK => mask = number,
            FRA_TABLE => table = number?,
            FRA_PROTOCOL => ours = payload == [PROTOCOL],
            // Present on every rule; -1 means "not used".
            FRA_SUPPRESS_PREFIXLEN if number == Some(u32::MAX) => {}
            FRA_PRIORITY => priority = number?,
            _ => return None,
        }
    }
    let routing = PolicyRouting { mark: mark?, table };
    (mask == Some(u32::MAX)).then_some(MarkRule { routing, priority, ours })
}

pub(super) fn read_route(payload: &[u8]) -> Option<LocalRoute> {
    let (header, rest) = payload.split_at_checked(HEADER)?;
    if header[1] != 0 || header[2] != 0 || header[7] != RTN_LOCAL {
        return None;
    }
    let (mut table, mut interface) = (u32::from(header[4]), None);
    for (kind, payload) in message::attributes(rest) {
        match kind {
            RTA_TABLE => table = message::u32_at(payload, 0)?,
            RTA_OIF => interface = message::u32_at(payload, 0),
            _ => {}
        }
    }
    Some(LocalRoute { table, interface: interface?, ours: header[5] == PROTOCOL })
}
