//! Linkerd's rules in Linkerd's order (`addIncomingTrafficRules` and `addOutgoingTrafficRules` in
//! pkg/iptables/iptables.go). What stands in its chains PROXY_INIT_REDIRECT and PROXY_INIT_OUTPUT stands directly in our
//! base chains: nothing comes after those jumps, so the two are equal.

use super::options::Options;
use crate::builder::{Builder, rule};
use crate::net::{InterfaceName, PortRange, Protocol};
use crate::ruleset::{Action, Hook, Match, Mesh, Rule, RuleSet, Side, TableKind};

/// Slots of one rule's port list; a range takes two (`XT_MULTI_PORTS`, linux/netfilter/xt_multiport.h).
const SLOTS: usize = 15;

/// The rules that `options` ask for.
pub fn rules(options: &Options) -> RuleSet {
    let mut rules = Builder::new(Mesh::Linkerd, options.ipv6);
    inbound(&mut rules, options);
    outbound(&mut rules, options);
    rules.finish()
}

fn inbound(rules: &mut Builder, options: &Options) {
    let mut add = |rule: Rule| {
        rules.base(TableKind::Nat, Hook::Prerouting, rule);
    };
    for ports in chunks(&options.inbound_ports_to_ignore) {
        add(rule("in.ignore-ports")
            .option("inbound-ports-to-ignore")
            .matching(Match::ports(Protocol::Tcp, Side::Destination, ports, false))
            .then(Action::Return));
    }
    for subnet in &options.subnets_to_ignore {
        add(rule("in.ignore-subnet")
            .option("subnets-to-ignore")
            .matching(Match::source(*subnet, false))
            .then(Action::Return));
    }
    let redirect = Action::Redirect(options.incoming_proxy_port);
    for port in &options.ports_to_redirect {
        add(rule("in.redirect-port")
            .option("ports-to-redirect")
            .matching(Match::dport(Protocol::Tcp, *port))
            .then(redirect.clone()));
    }
    if options.ports_to_redirect.is_empty() {
        add(rule("in.all")
            .option("incoming-proxy-port")
            .matching(Match::Protocol(Protocol::Tcp))
            .then(redirect));
    }
}

fn outbound(rules: &mut Builder, options: &Options) {
    let mut add = |rule: Rule| {
        rules.base(TableKind::Nat, Hook::Output, rule);
    };
    add(rule("out.proxy-uid")
        .option("proxy-uid")
        .matching(Match::uid(options.proxy_uid, false))
        .then(Action::Return));
    if let Some(gid) = options.proxy_gid {
        add(rule("out.proxy-gid").option("proxy-gid").matching(Match::gid(gid, false)).then(Action::Return));
    }
    add(rule("out.loopback").matching(Match::OutInterface(InterfaceName::loopback())).then(Action::Return));
    for ports in chunks(&options.outbound_ports_to_ignore) {
        add(rule("out.ignore-ports")
            .option("outbound-ports-to-ignore")
            .matching(Match::ports(Protocol::Tcp, Side::Destination, ports, false))
            .then(Action::Return));
    }
    add(rule("out.all")
        .option("outgoing-proxy-port")
        .matching(Match::Protocol(Protocol::Tcp))
        .then(Action::Redirect(options.outgoing_proxy_port)));
}

/// Ports in their order, as many to a rule as it can hold (`makeMultiportDestinations`).
fn chunks(ports: &[PortRange]) -> Vec<Vec<PortRange>> {
    let mut chunks: Vec<Vec<PortRange>> = Vec::new();
    let mut free = 0;
    for range in ports {
        let slots = if range.is_single() { 1 } else { 2 };
        match chunks.last_mut() {
            Some(chunk) if slots <= free => chunk.push(*range),
            _ => {
                chunks.push(vec![*range]);
                free = SLOTS;
            }
        }
        free -= slots;
    }
    chunks
}
