//! Consul's rules in the order they end up in (`SetupWithAdditionalRules` in sdk/nftables/nftables.go): each list of
//! exclusions is inserted at the top of its chain, after the others and element by element, so the last list stands
//! first. Elements of a list only return, so their order among each other means nothing and is left as it was given.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::options::Options;
use crate::builder::{Builder, RuleStart, rule};
use crate::dialect::multiport::chunks;
use crate::net::{Family, PortRange, Protocol};
use crate::ruleset::{Action, ChainName, Hook, Match, Mesh, Rule, RuleSet, Side, TableKind};

const INBOUND: ChainName = ChainName::new("inbound");
const OUTBOUND: ChainName = ChainName::new("outbound");

const DNS_PORT: u16 = 53;
const LOCALHOST: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// The rules for `options`.
pub fn rules(options: &Options) -> RuleSet {
    let mut builder = Builder::new(Mesh::Consul, options.dual_stack);
    let tcp = || Match::Protocol(Protocol::Tcp);
    for rule in dns(options) {
        builder.base(TableKind::Nat, Hook::Output, rule);
    }
    let capture = rule("out.capture").matching(tcp()).then(Action::Jump(OUTBOUND));
    builder.base(TableKind::Nat, Hook::Output, capture);
    for rule in outbound(options) {
        builder.chain(TableKind::Nat, OUTBOUND, rule);
    }
    let capture = rule("in.capture").matching(tcp()).then(Action::Jump(INBOUND));
    builder.base(TableKind::Nat, Hook::Prerouting, capture);
    let exclude = rule("in.exclude-port").option("exclude-inbound-port");
    for rule in excluded_ports(&exclude, &options.exclude_inbound_ports) {
        builder.chain(TableKind::Nat, INBOUND, rule);
    }
    let redirect = Action::Redirect(options.proxy_inbound_port);
    let all = rule("in.all").option("proxy-inbound-port").matching(tcp()).then(redirect);
    builder.chain(TableKind::Nat, INBOUND, all);
    builder.finish()
}

/// Without a port, every query goes to the given address. With one, only queries to that address (or, where none is
/// given, to the loopback addresses) are moved to the port.
fn dns(options: &Options) -> Vec<Rule> {
    let families = if options.dual_stack { 2 } else { 1 };
    let addresses = match (options.dns.address, options.dns.port) {
        (Some(address), _) => vec![address],
        (None, Some(_)) => LOCALHOST[..families].to_vec(),
        (None, None) => Vec::new(),
    };
    let mut rules = Vec::new();
    for address in addresses {
        for protocol in [Protocol::Udp, Protocol::Tcp] {
            let (option, to) = match options.dns.port {
                None => ("consul-dns-ip", Match::Family(Family::of(address))),
                Some(_) => ("consul-dns-port", Match::destination(IpNet::from(address), false)),
            };
            let queries =
                rule("out.dns").option(option).matching(to).matching(Match::dport(protocol, DNS_PORT));
            rules.push(queries.then(Action::Dnat { address, port: options.dns.port }));
        }
    }
    rules
}

fn excluded_ports(start: &RuleStart, ports: &[PortRange]) -> Vec<Rule> {
    chunks(ports.iter().copied())
        .into_iter()
        .map(|ports| Match::ports(Protocol::Tcp, Side::Destination, ports, false))
        .map(|ports| start.clone().matching(ports).then(Action::Return))
        .collect()
}

fn outbound(options: &Options) -> Vec<Rule> {
    let mut rules = Vec::new();
    for uid in &options.exclude_uids {
        let exclude = rule("out.exclude-uid").option("exclude-uid").matching(Match::uid(*uid, false));
        rules.push(exclude.then(Action::Return));
    }
    for net in &options.exclude_outbound_cidrs {
        let exclude = rule("out.exclude-ip").option("exclude-outbound-cidr");
        rules.push(exclude.matching(Match::destination(*net, false)).then(Action::Return));
    }
    let exclude = rule("out.exclude-port").option("exclude-outbound-port");
    rules.extend(excluded_ports(&exclude, &options.exclude_outbound_ports));
    let of_proxy = rule("out.proxy-uid").option("proxy-uid").matching(Match::uid(options.proxy_uid, false));
    rules.push(of_proxy.then(Action::Return));
    for address in LOCALHOST {
        let to_self = rule("out.loopback").matching(Match::destination(IpNet::from(address), false));
        rules.push(to_self.then(Action::Return));
    }
    let redirect = Action::Redirect(options.proxy_outbound_port);
    let all = rule("out.all").option("proxy-outbound-port").matching(Match::Protocol(Protocol::Tcp));
    rules.push(all.then(redirect));
    rules
}
