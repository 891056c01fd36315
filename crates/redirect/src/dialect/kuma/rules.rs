//! Kuma's rules in the order they end up in (`pkg/transparentproxy/iptables/builder`). Kuma numbers its inserted rules,
//! so they stand above the appended ones in the order in which they were written; in a table of our own that order can
//! be written down directly.
//!
//! ```text
//! output ─tcp─► outbound ─► to_outbound (redirect)        prerouting ─tcp─► inbound ─► to_inbound (redirect)
//!                  └─ the proxy calls its own pod ─► to_inbound
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::options::{Options, VirtualNetwork};
use crate::builder::{Builder, RuleStart, rule};
use crate::dialect::multiport::chunks;
use crate::net::{Family, InterfaceName, PortRange, Protocol};
use crate::ruleset::{Action, ChainName, CtState, Hook, Match, Mesh, Rule, RuleSet, Side, TableKind};

const INBOUND: ChainName = ChainName::new("inbound");
const OUTBOUND: ChainName = ChainName::new("outbound");
const TO_INBOUND: ChainName = ChainName::new("to_inbound");
const TO_OUTBOUND: ChainName = ChainName::new("to_outbound");

const DNS_PORT: u16 = 53;
/// The zones that Kuma uses: of queries on their way to the servers, and of queries that kuma-dp answers.
const FORWARDED: u16 = 1;
const CAPTURED: u16 = 2;

/// The rules for `options`.
pub fn rules(options: &Options) -> RuleSet {
    let ipv6 = options.families().contains(&Family::Ipv6);
    let mut builder = Builder::new(Mesh::Kuma, ipv6);
    // The proxy speaks to its own pod from ::6 (`configureIPv6OutboundAddress` in Kuma).
    builder.loopback_address(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6));
    if options.dns.zone_split {
        zones(&mut builder, options);
    }
    if options.drop_invalid_packets {
        let start = rule("in.drop-invalid").option("drop-invalid-packets");
        let drop = start.matching(Match::CtState(vec![CtState::Invalid])).then(Action::Drop);
        builder.base(TableKind::Mangle, Hook::Prerouting, drop);
    }
    prerouting(&mut builder, options);
    output(&mut builder, options);
    if options.inbound.enabled {
        inbound(&mut builder, options);
    }
    if options.outbound.enabled {
        outbound(&mut builder, options);
    }
    let redirect = |name, option, port| {
        rule(name).option(option).matching(Match::Protocol(Protocol::Tcp)).then(Action::Redirect(port))
    };
    let to_inbound = redirect("in.redirect", "redirect-inbound-port", options.inbound.port);
    let to_outbound = redirect("out.redirect", "redirect-outbound-port", options.outbound.port);
    builder.chain(TableKind::Nat, TO_INBOUND, to_inbound).chain(TableKind::Nat, TO_OUTBOUND, to_outbound);
    builder.finish()
}

fn localhost(family: Family) -> IpNet {
    match family {
        Family::Ipv4 => IpAddr::from(Ipv4Addr::LOCALHOST).into(),
        Family::Ipv6 => IpAddr::from(Ipv6Addr::LOCALHOST).into(),
    }
}

/// What the proxy speaks from when it passes on inbound connections.
fn passthrough_source(family: Family) -> IpNet {
    match family {
        Family::Ipv4 => IpAddr::from(Ipv4Addr::new(127, 0, 0, 6)).into(),
        Family::Ipv6 => IpAddr::from(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6)).into(),
    }
}

/// Kuma writes each family's rules on its own and some of them only where that family has servers or networks. Here
/// one rule stands for both families; this says which match, if any, it needs for that. None: no such rule at all.
fn scope(options: &Options, holds: impl Fn(Family) -> bool) -> Option<Option<Match>> {
    let (with, without): (Vec<Family>, Vec<Family>) =
        options.families().iter().partition(|family| holds(**family));
    let first = with.first()?;
    Some((!without.is_empty()).then_some(Match::Family(*first)))
}

fn within(start: RuleStart, family: &Option<Match>) -> RuleStart {
    family.iter().cloned().fold(start, RuleStart::matching)
}

fn dns_queries(start: RuleStart) -> RuleStart {
    start.matching(Match::dport(Protocol::Udp, DNS_PORT))
}

impl Options {
    /// The servers whose queries are captured; none for all of them.
    fn dns_servers(&self) -> Option<&[IpAddr]> {
        if self.dns.capture_all { None } else { self.dns.servers.as_deref() }
    }

    /// The option that decides which queries are captured.
    fn dns_option(&self) -> &'static str {
        match (self.dns.capture_all, &self.dns.servers) {
            (true, _) => "redirect-all-dns-traffic",
            (false, Some(_)) => "dns-servers",
            (false, None) => "redirect-dns",
        }
    }

    fn captures_dns(&self, family: Family) -> bool {
        let served = |servers: &[IpAddr]| servers.iter().any(|server| Family::of(*server) == family);
        self.dns.enabled && self.dns_servers().is_none_or(served)
    }

    fn networks_of(&self, family: Family) -> impl Iterator<Item = &VirtualNetwork> {
        self.virtual_networks.iter().filter(move |network| Family::of_net(&network.network) == family)
    }
}

/// A query that kuma-dp forwards has the same addresses and ports as the one it captured when the application's port is
/// used again; only zones keep the two apart. The first zone a packet gets is the one that counts.
fn zones(builder: &mut Builder, options: &Options) {
    let Some(family) = scope(options, |family| options.captures_dns(family)) else { return };
    let from_port = |port: u16| Match::ports(Protocol::Udp, Side::Source, vec![port.into()], false);
    let of_proxy = Match::uid(options.kuma_dp_user, false);
    let start = |name| rule(name).option(options.dns_option());
    let mut zone = |hook, start: RuleStart, zone| {
        builder.base(TableKind::Raw, hook, start.then(Action::CtZone(zone)));
    };
    let proxy_query = dns_queries(within(start("zone.proxy-query"), &family)).matching(of_proxy.clone());
    zone(Hook::Output, proxy_query, FORWARDED);
    let proxy_answer =
        within(start("zone.proxy-answer"), &family).matching(from_port(options.dns.port)).matching(of_proxy);
    zone(Hook::Output, proxy_answer, CAPTURED);
    let Some(servers) = options.dns_servers() else {
        zone(Hook::Output, dns_queries(start("zone.query")), CAPTURED);
        zone(Hook::Prerouting, start("zone.answer").matching(from_port(DNS_PORT)), FORWARDED);
        return;
    };
    for server in servers {
        let net = IpNet::from(*server);
        let query = start("zone.query").matching(Match::destination(net, false));
        zone(Hook::Output, dns_queries(query), CAPTURED);
        // Docker's resolver on 127.0.0.11 answers from another port than 53.
        if server.is_loopback() {
            let answer = start("zone.local-answer")
                .matching(Match::source(net, false))
                .matching(Match::destination(localhost(Family::of(*server)), false))
                .matching(Match::Protocol(Protocol::Udp));
            zone(Hook::Output, answer, FORWARDED);
        }
        let answer = start("zone.answer").matching(Match::source(net, false)).matching(from_port(DNS_PORT));
        zone(Hook::Prerouting, answer, FORWARDED);
    }
}

/// The log rule is appended and so are redirections, unless the family has virtual networks or inserting is asked for:
/// then the log only sees what is not redirected.
fn prerouting(builder: &mut Builder, options: &Options) {
    let inserts = |family| options.inbound.insert || options.networks_of(family).next().is_some();
    let mut nat = |rule: Rule| {
        builder.base(TableKind::Nat, Hook::Prerouting, rule);
    };
    let log = |level, family: &Option<Match>| {
        within(rule("log.inbound").option("iptables-logs"), family)
            .then(Action::Log { prefix: "PREROUTING:".into(), level })
    };
    if let (Some(level), Some(family)) = (options.log_level, scope(options, |family| !inserts(family))) {
        nat(log(level, &family));
    }
    virtual_networks(options).into_iter().for_each(&mut nat);
    if options.inbound.enabled {
        let jump = rule("in.capture").option("redirect-inbound").matching(Match::Protocol(Protocol::Tcp));
        nat(jump.then(Action::Jump(INBOUND)));
    }
    if let (Some(level), Some(family)) = (options.log_level, scope(options, inserts)) {
        nat(log(level, &family));
    }
}

/// By interface name, and of several networks of one interface and family the last one only (a map in Kuma).
fn virtual_networks(options: &Options) -> Vec<Rule> {
    let mut rules = Vec::new();
    for family in options.families() {
        let mut networks: Vec<&VirtualNetwork> = Vec::new();
        for network in options.networks_of(*family) {
            networks.retain(|earlier| earlier.interface != network.interface);
            networks.push(network);
        }
        networks.sort_by_key(|network| network.interface.to_string());
        for network in networks {
            let start =
                |name| rule(name).option("vnet").matching(Match::InInterface(network.interface.clone()));
            let both = options.families().len() > 1;
            let family = both.then_some(Match::Family(*family));
            let dns =
                dns_queries(within(start("vnet.dns"), &family)).then(Action::Redirect(options.dns.port));
            let outbound = start("vnet.out")
                .matching(Match::destination(network.network, true))
                .matching(Match::Protocol(Protocol::Tcp))
                .then(Action::Redirect(options.outbound.port));
            rules.extend([dns, outbound]);
        }
    }
    rules
}

fn output(builder: &mut Builder, options: &Options) {
    let mut nat = |rule: Rule| {
        builder.base(TableKind::Nat, Hook::Output, rule);
    };
    if let Some(level) = options.log_level {
        let log = rule("log.outbound").option("iptables-logs");
        nat(log.then(Action::Log { prefix: "OUTPUT:".into(), level }));
    }
    for exclusion in &options.outbound.exclude_for_uids {
        for ports in chunks(exclusion.ports.iter().copied()) {
            let start = rule("out.exclude-uid").option("exclude-outbound-ports-for-uids");
            let rule = start
                .matching(Match::ports(exclusion.protocol, Side::Destination, ports, false))
                .matching(Match::Uid { ids: exclusion.uids, negate: false });
            nat(rule.then(Action::Return));
        }
    }
    for net in &options.outbound.exclude_ips {
        let start = rule("out.exclude-ip").option("exclude-outbound-ips");
        nat(start.matching(Match::destination(*net, false)).then(Action::Return));
    }
    dns(options).into_iter().for_each(&mut nat);
    if options.outbound.enabled {
        let jump = rule("out.capture").option("redirect-outbound").matching(Match::Protocol(Protocol::Tcp));
        nat(jump.then(Action::Jump(OUTBOUND)));
    }
}

/// Queries over UDP go to kuma-dp, those over TCP to their server.
fn dns(options: &Options) -> Vec<Rule> {
    let Some(family) = scope(options, |family| options.captures_dns(family)) else { return Vec::new() };
    let option = options.dns_option();
    let start = |name| rule(name).option(option);
    let of_proxy = |negate| Match::uid(options.kuma_dp_user, negate);
    let redirect = Action::Redirect(options.dns.port);
    let mut rules = vec![
        dns_queries(within(start("out.dns-proxy"), &family)).matching(of_proxy(false)).then(Action::Return),
    ];
    match options.dns_servers() {
        None => rules.push(dns_queries(start("out.dns")).then(redirect)),
        Some(servers) => rules.extend(servers.iter().map(|server| {
            let to_server = start("out.dns").matching(Match::destination(IpNet::from(*server), false));
            dns_queries(to_server).then(redirect.clone())
        })),
    }
    // This one is appended. When the redirection is inserted it stands below it, where nothing is left to decide.
    if options.outbound.enabled && !options.outbound.insert {
        let over_tcp = within(start("out.dns-tcp"), &family)
            .matching(Match::dport(Protocol::Tcp, DNS_PORT))
            .matching(of_proxy(true));
        rules.push(over_tcp.then(Action::Return));
    }
    rules
}

/// One rule for each chunk of `ports`.
fn by_port(start: &RuleStart, ports: &[u16], action: &Action) -> Vec<Rule> {
    let matches = |ports: Vec<PortRange>| Match::ports(Protocol::Tcp, Side::Destination, ports, false);
    chunks(ports.iter().copied())
        .into_iter()
        .map(|ports| start.clone().matching(matches(ports)).then(action.clone()))
        .collect()
}

fn inbound(builder: &mut Builder, options: &Options) {
    let inbound = &options.inbound;
    let mut chain = |rule: Rule| {
        builder.chain(TableKind::Nat, INBOUND, rule);
    };
    for net in &inbound.exclude_ips {
        let start = rule("in.exclude-ip").option("exclude-inbound-ips");
        chain(start.matching(Match::source(*net, false)).then(Action::Return));
    }
    let capture = Action::Jump(TO_INBOUND);
    if inbound.include_ports.is_empty() {
        let exclude = rule("in.exclude-port").option("exclude-inbound-ports");
        by_port(&exclude, &inbound.exclude_ports, &Action::Return).into_iter().for_each(&mut chain);
        chain(rule("in.all").option("redirect-inbound").then(capture));
    } else {
        let include = rule("in.include-port").option("include-inbound-ports");
        by_port(&include, &inbound.include_ports, &capture).into_iter().for_each(&mut chain);
    }
}

fn outbound(builder: &mut Builder, options: &Options) {
    let outbound = &options.outbound;
    let mut chain = |rule: Rule| {
        builder.chain(TableKind::Nat, OUTBOUND, rule);
    };
    let over_loopback = || Match::OutInterface(InterfaceName::loopback());
    let of_proxy = |negate| Match::uid(options.kuma_dp_user, negate);
    let start = |name| rule(name).option("kuma-dp-user");
    if outbound.include_ports.is_empty() {
        let exclude = rule("out.exclude-port").option("exclude-outbound-ports");
        by_port(&exclude, &outbound.exclude_ports, &Action::Return).into_iter().for_each(&mut chain);
    }
    for family in Family::BOTH {
        let from = Match::source(passthrough_source(family), false);
        let passthrough = rule("out.inbound-passthrough").matching(from).matching(over_loopback());
        chain(passthrough.then(Action::Return));
    }
    for family in Family::BOTH {
        let self_call = start("out.self-call")
            .matching(over_loopback())
            .matching(Match::destination(localhost(family), true))
            .matching(of_proxy(false));
        chain(self_call.then(Action::Jump(TO_INBOUND)));
    }
    let loopback = start("out.loopback").matching(over_loopback()).matching(of_proxy(true));
    chain(loopback.then(Action::Return));
    chain(start("out.proxy-uid").matching(of_proxy(false)).then(Action::Return));
    for family in Family::BOTH {
        let to_self = rule("out.localhost").matching(Match::destination(localhost(family), false));
        chain(to_self.then(Action::Return));
    }
    let capture = Action::Jump(TO_OUTBOUND);
    if outbound.include_ports.is_empty() {
        chain(rule("out.all").option("redirect-outbound").then(capture));
    } else {
        let include = rule("out.include-port").option("include-outbound-ports");
        by_port(&include, &outbound.include_ports, &capture).into_iter().for_each(&mut chain);
    }
}
