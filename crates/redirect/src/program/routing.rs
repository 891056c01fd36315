//! What a rule set needs besides rules: policy routing for TPROXY, and addresses on the loopback interface. It goes
//! in before the rules, so that no marked packet meets a table that is not there yet, and what is no longer wanted
//! goes after them.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use crate::net::Family;
use crate::rtnl::{Change, RouteError, RouteSocket};
use crate::ruleset::{PolicyRouting, RuleSet};

/// Index of the loopback interface, the same in every namespace (`LOOPBACK_IFINDEX`, include/net/flow.h).
const LOOPBACK: u32 = 1;

/// One thing outside of the rules that they depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RoutingItem {
    /// An address of the loopback interface
    LoopbackAddress(Ipv6Addr),
    /// The route of a policy table that makes every address local
    LocalRoute {
        /// Its family
        family: Family,
        /// The routing table
        table: u32,
    },
    /// The policy rule that sends marked packets to that table
    MarkRule {
        /// Its family
        family: Family,
        /// Mark and table
        routing: PolicyRouting,
    },
}

impl fmt::Display for RoutingItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoutingItem::LoopbackAddress(address) => write!(f, "address {address}/128 on lo"),
            RoutingItem::LocalRoute { family, table } => {
                write!(f, "{family} route local default dev lo table {table}")
            }
            RoutingItem::MarkRule { family, routing } => {
                write!(f, "{family} policy rule fwmark {:#x} lookup {}", routing.mark, routing.table)
            }
        }
    }
}

impl RoutingItem {
    /// Whether it is part of policy routing.
    pub(super) fn is_policy(&self) -> bool {
        self.family().is_some()
    }

    /// The family of what belongs to policy routing.
    fn family(&self) -> Option<Family> {
        match self {
            RoutingItem::LoopbackAddress(_) => None,
            RoutingItem::LocalRoute { family, .. } | RoutingItem::MarkRule { family, .. } => Some(*family),
        }
    }
}

/// What a rule set wants, in the order in which it has to come.
pub(crate) fn wanted(rules: &RuleSet) -> Vec<RoutingItem> {
    let mut items: Vec<RoutingItem> = Vec::new();
    if rules.ipv6 {
        items.extend(rules.loopback_addresses.iter().copied().map(RoutingItem::LoopbackAddress));
    }
    if let Some(routing) = rules.routing {
        for family in rules.families().iter().copied() {
            items.push(RoutingItem::LocalRoute { family, table: routing.table });
            items.push(RoutingItem::MarkRule { family, routing });
        }
    }
    items
}

/// What of `items` is not there.
pub(crate) fn missing(
    socket: &mut RouteSocket,
    items: &[RoutingItem],
) -> Result<Vec<RoutingItem>, RouteError> {
    let mut held = Vec::new();
    if !items.iter().all(RoutingItem::is_policy) {
        held.extend(held_addresses(socket)?);
    }
    for family in Family::BOTH {
        if items.iter().any(|item| item.family() == Some(family)) {
            held.extend(held_policy(socket, family)?);
        }
    }
    Ok(items.iter().filter(|item| !held.iter().any(|(own, _)| own == *item)).copied().collect())
}

/// Adds what is not there and returns it; when one of them is refused, those before it are taken back.
pub(super) fn add(socket: &mut RouteSocket, items: &[RoutingItem]) -> Result<Vec<RoutingItem>, RouteError> {
    let mut added = Vec::new();
    for item in items {
        match add_one(socket, *item) {
            Ok(Change::Made) => added.push(*item),
            Ok(Change::None) => {}
            Err(error) => {
                // The first error is the one to tell; what is left of these is harmless without rules.
                let _ = remove(socket, &added);
                return Err(error);
            }
        }
    }
    Ok(added)
}

/// Removes these, last first; goes on after an error and returns the first.
pub(super) fn remove(socket: &mut RouteSocket, items: &[RoutingItem]) -> Result<(), RouteError> {
    let results: Vec<_> = items.iter().rev().map(|item| remove_one(socket, *item)).collect();
    results.into_iter().collect()
}

/// What we added here earlier and `keep` does not list.
pub(super) fn stale(socket: &mut RouteSocket, keep: &[RoutingItem]) -> Result<Vec<RoutingItem>, RouteError> {
    let mut held = held_addresses(socket)?;
    for family in Family::BOTH {
        held.extend(held_policy(socket, family)?);
    }
    let ours = held.into_iter().filter(|(item, ours)| *ours && !keep.contains(item));
    Ok(ours.map(|(item, _)| item).collect())
}

/// The addresses of the loopback interface that are like ours, and whether they are.
fn held_addresses(socket: &mut RouteSocket) -> Result<Vec<(RoutingItem, bool)>, RouteError> {
    let own = socket.addresses_of(Family::Ipv6)?.into_iter();
    let own = own.filter(|own| own.interface == LOOPBACK && own.prefix == 128);
    let items = own.filter_map(|own| match own.address {
        IpAddr::V6(address) => Some((RoutingItem::LoopbackAddress(address), own.ours)),
        IpAddr::V4(_) => None,
    });
    Ok(items.collect())
}

/// The routes and policy rules of a family that are like ours, and whether they are.
fn held_policy(socket: &mut RouteSocket, family: Family) -> Result<Vec<(RoutingItem, bool)>, RouteError> {
    let routes = socket.local_routes(family)?.into_iter().filter(|route| route.interface == LOOPBACK);
    let routes = routes.map(|route| (RoutingItem::LocalRoute { family, table: route.table }, route.ours));
    let rules = socket.mark_rules(family)?.into_iter();
    let rules = rules.map(|rule| (RoutingItem::MarkRule { family, routing: rule.routing }, rule.ours));
    Ok(routes.chain(rules).collect())
}

fn add_one(socket: &mut RouteSocket, item: RoutingItem) -> Result<Change, RouteError> {
    match item {
        RoutingItem::LoopbackAddress(address) => socket.add_address(LOOPBACK, host(address)),
        RoutingItem::LocalRoute { family, table } => {
            // A route needs its interface up; in a pod the runtime has seen to it.
            let loopback = socket.link("lo")?;
            let _ = socket.link_up(&loopback)?;
            socket.add_local_route(family, table, LOOPBACK)
        }
        RoutingItem::MarkRule { family, routing } => socket.add_mark_rule(family, routing),
    }
}

fn remove_one(socket: &mut RouteSocket, item: RoutingItem) -> Result<(), RouteError> {
    let change = match item {
        RoutingItem::LoopbackAddress(address) => socket.remove_address(LOOPBACK, host(address)),
        RoutingItem::LocalRoute { family, table } => socket.remove_local_route(family, table, LOOPBACK),
        RoutingItem::MarkRule { family, routing } => socket.remove_mark_rule(family, routing),
    };
    change.map(|_| ())
}

fn host(address: Ipv6Addr) -> IpNet {
    IpAddr::V6(address).into()
}
