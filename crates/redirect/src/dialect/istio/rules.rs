//! Istio's rules in Istio's order (`IptablesConfigurator.Run` in tools/istio-iptables/pkg/capture/run.go). What stands
//! in its ISTIO_OUTPUT chain stands directly in our base chain: nothing comes after that jump, so the two are equal.
//!
//! ```text
//! nat prerouting ─► inbound ─► in_redirect          mangle prerouting ─► drop
//!                └► redirect (virtual interfaces)                     └► inbound ─┬► divert      (TPROXY)
//! nat output ─┬► in_redirect (the proxy calls its pod)                            └► tproxy
//!             ├► output_dns                          raw prerouting ─► inbound     (DNS zones)
//!             ├► redirect                            raw output ─► output_dns
//!             └► owners (listed groups) ─► output_dns, redirect
//! ```

mod dns;
mod tproxy;

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

use super::options::{Dns, Interception, Options, Selection};
use crate::builder::{Builder, RuleStart, rule};
use crate::net::{InterfaceName, PortRange, Protocol};
use crate::ruleset::{Action, ChainName, Hook, Match, Mesh, Rule, RuleSet, Side, TableKind};

const INBOUND: ChainName = ChainName::new("inbound");
const IN_REDIRECT: ChainName = ChainName::new("in_redirect");
const REDIRECT: ChainName = ChainName::new("redirect");
const OUTPUT_DNS: ChainName = ChainName::new("output_dns");
const DROP: ChainName = ChainName::new("drop");
const OWNERS: ChainName = ChainName::new("owners");

/// DNS over UDP and TCP.
const DNS_PORT: u16 = 53;

/// The rules that `options` ask for; none at all when interception is off.
pub fn rules(options: &Options) -> RuleSet {
    let mut rules = Builder::new(Mesh::Istio, options.captures_ipv6());
    if options.interception == Interception::None {
        return rules.finish();
    }
    // The proxy binds its connections to the application to ::6; IPv4 needs nothing, lo has all of 127.0.0.0/8.
    rules.loopback_address(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6));
    interfaces(&mut rules, options);
    drop_invalid(&mut rules, options);
    inbound(&mut rules, options);
    redirect_chains(&mut rules, options);
    outbound_exemptions(&mut rules, options);
    for uid in &options.proxy_uid {
        proxy_owner(&mut rules, options, Owner::User(*uid));
    }
    for gid in &options.proxy_gid {
        proxy_owner(&mut rules, options, Owner::Group(*gid));
    }
    owner_groups(&mut rules, options);
    dns::capture(&mut rules, options);
    outbound_capture(&mut rules, options);
    if options.interception == Interception::Tproxy {
        tproxy::marks(&mut rules, options);
    }
    rules.finish()
}

fn tcp() -> Match {
    Match::Protocol(Protocol::Tcp)
}

fn from_port(interface: &InterfaceName) -> Match {
    Match::InInterface(interface.clone())
}

fn to_loopback() -> Match {
    Match::OutInterface(InterfaceName::loopback())
}

/// The loopback destinations of each family that stay uncaptured.
fn loopbacks(options: &Options) -> [IpNet; 2] {
    [IpNet::V4(options.loopback_cidr.trunc()), IpNet::from(IpAddr::V6(Ipv6Addr::LOCALHOST))]
}

/// The sources of each family that the proxy binds to when it connects to the application.
fn passthroughs() -> [IpNet; 2] {
    [IpAddr::from([127, 0, 0, 6]), IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0, 0, 6))].map(IpNet::from)
}

/// Virtual interfaces before excluded ones: Istio inserts the former one by one on top of the chain, so they end up
/// in reverse, and their redirects above their returns.
fn interfaces(rules: &mut Builder, options: &Options) {
    let virtual_rule =
        |name, interface| rule(name).option("kube-virt-interfaces").matching(from_port(interface));
    let mut inserted: Vec<Rule> = options
        .virtual_interfaces
        .iter()
        .map(|interface| virtual_rule("in.virtual-return", interface).then(Action::Return))
        .collect();
    let redirects = options.virtual_interfaces.iter().map(|one| virtual_rule("in.virtual", one));
    match &options.outbound_cidr {
        Selection::All => inserted.extend(redirects.map(|start| start.then(Action::Jump(REDIRECT)))),
        Selection::Only(nets) => inserted.extend(nets.iter().flat_map(|net| {
            let to = Match::destination(net.trunc(), false);
            redirects.clone().map(move |start| start.matching(to.clone()).then(Action::Jump(REDIRECT)))
        })),
    }
    for rule in inserted.into_iter().rev() {
        rules.base(TableKind::Nat, Hook::Prerouting, rule);
    }
    for interface in &options.exclude_interfaces {
        excluded_interface(rules, TableKind::Nat, interface);
        if options.interception == Interception::Tproxy {
            excluded_interface(rules, TableKind::Mangle, interface);
        }
    }
}

fn excluded_interface(rules: &mut Builder, table: TableKind, interface: &InterfaceName) {
    let excluded =
        |name, one| rule(name).option("istio-exclude-interfaces").matching(one).then(Action::Return);
    rules.base(table, Hook::Prerouting, excluded("in.exclude-interface", from_port(interface)));
    rules.base(
        table,
        Hook::Output,
        excluded("out.exclude-interface", Match::OutInterface(interface.clone())),
    );
}

fn drop_invalid(rules: &mut Builder, options: &Options) {
    if options.drop_invalid {
        let invalid = Match::CtState(vec![crate::ruleset::CtState::Invalid]);
        let start = |name| rule(name).option("drop-invalid");
        rules.base(
            TableKind::Mangle,
            Hook::Prerouting,
            start("in.invalid").matching(invalid).then(Action::Jump(DROP)),
        );
        rules.chain(TableKind::Mangle, DROP, start("in.invalid-drop").then(Action::Drop));
    }
}

fn inbound(rules: &mut Builder, options: &Options) {
    if options.inbound_ports.is_empty() {
        return;
    }
    if options.interception == Interception::Tproxy {
        return tproxy::inbound(rules, options);
    }
    let jump = rule("in.tcp").option("istio-inbound-ports").matching(tcp()).then(Action::Jump(INBOUND));
    rules.base(TableKind::Nat, Hook::Prerouting, jump);
    let tunnel = rule("in.tunnel-port")
        .option("inbound-tunnel-port")
        .matching(Match::dport(Protocol::Tcp, options.inbound_tunnel_port))
        .then(Action::Return);
    rules.chain(TableKind::Nat, INBOUND, tunnel);
    inbound_exclusions(rules, TableKind::Nat, options);
    for (name, one) in inbound_captures(options) {
        let capture = rule(name).option("istio-inbound-ports").matching(one).then(Action::Jump(IN_REDIRECT));
        rules.chain(TableKind::Nat, INBOUND, capture);
    }
}

/// Istio reads exclusions only beside `*`.
fn inbound_exclusions(rules: &mut Builder, table: TableKind, options: &Options) {
    let ports = options.inbound_exclude_ports.iter().filter(|_| options.inbound_ports == Selection::All);
    for port in ports {
        let exclude = rule("in.exclude-port")
            .option("istio-local-exclude-ports")
            .matching(Match::dport(Protocol::Tcp, *port))
            .then(Action::Return);
        rules.chain(table, INBOUND, exclude);
    }
}

/// What is captured inbound: name of the rule and match.
fn inbound_captures(options: &Options) -> Vec<(&'static str, Match)> {
    match &options.inbound_ports {
        Selection::All => vec![("in.all", tcp())],
        Selection::Only(ports) => {
            ports.iter().map(|port| ("in.include-port", Match::dport(Protocol::Tcp, *port))).collect()
        }
    }
}

fn redirect_chains(rules: &mut Builder, options: &Options) {
    let to = |name, option, port| rule(name).option(option).matching(tcp()).then(Action::Redirect(port));
    rules.chain(
        TableKind::Nat,
        IN_REDIRECT,
        to("in.redirect", "inbound-capture-port", options.inbound_capture_port),
    );
    rules.chain(TableKind::Nat, REDIRECT, to("out.redirect", "envoy-port", options.envoy_port));
}

fn output(rules: &mut Builder, rule: Rule) {
    rules.base(TableKind::Nat, Hook::Output, rule);
}

fn outbound_exemptions(rules: &mut Builder, options: &Options) {
    for port in &options.outbound_exclude_ports {
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let exclude = rule("out.exclude-port")
                .option("istio-local-outbound-ports-exclude")
                .matching(Match::dport(protocol, *port));
            output(rules, exclude.then(Action::Return));
        }
    }
    for source in passthroughs() {
        let passthrough = rule("out.inbound-passthrough").matching(to_loopback());
        output(rules, passthrough.matching(Match::source(source, false)).then(Action::Return));
    }
}

/// One id of the proxy. Istio treats users and groups alike but for one detail, see [`proxy_owner`].
#[derive(Clone, Copy)]
enum Owner {
    User(u32),
    Group(u32),
}

impl Owner {
    fn is(self) -> Match {
        match self {
            Owner::User(id) => Match::uid(id, false),
            Owner::Group(id) => Match::gid(id, false),
        }
    }

    fn is_not(self) -> Match {
        match self {
            Owner::User(id) => Match::uid(id, true),
            Owner::Group(id) => Match::gid(id, true),
        }
    }

    /// A rule of the first name for a user, of the second for a group.
    fn rule(self, user: &'static str, group: &'static str) -> RuleStart {
        match self {
            Owner::User(_) => rule(user).option("proxy-uid"),
            Owner::Group(_) => rule(group).option("proxy-gid"),
        }
    }
}

/// The proxy's calls to its own pod enter it as inbound; the application's calls over loopback, and all else that the
/// proxy sends, pass by. With DNS capture, TCP to port 53 is none of these: it goes on to the DNS rules. Only users
/// have that exception in the first rule, groups do not.
fn proxy_owner(rules: &mut Builder, options: &Options, owner: Owner) {
    let dns = options.dns() != Dns::Off;
    let mut uncaptured = vec![PortRange::one(options.inbound_tunnel_port)];
    if dns && matches!(owner, Owner::User(_)) && options.inbound_tunnel_port != DNS_PORT {
        uncaptured.insert(0, PortRange::one(DNS_PORT));
    }
    for loopback in loopbacks(options) {
        let call = owner
            .rule("out.self-call-uid", "out.self-call-gid")
            .matching(to_loopback())
            .matching(Match::destination(loopback, true))
            .matching(Match::ports(Protocol::Tcp, Side::Destination, uncaptured.clone(), true))
            .matching(owner.is());
        output(rules, call.then(Action::Jump(IN_REDIRECT)));
    }
    if !options.captures_loopback() {
        let mut local = owner.rule("out.app-loopback-uid", "out.app-loopback-gid").matching(to_loopback());
        if dns {
            local =
                local.matching(Match::ports(Protocol::Tcp, Side::Destination, vec![DNS_PORT.into()], true));
        }
        output(rules, local.matching(owner.is_not()).then(Action::Return));
    }
    let own = owner.rule("out.proxy-uid", "out.proxy-gid").matching(owner.is());
    output(rules, own.then(Action::Return));
}

/// Listed groups go on in a chain of their own, and so nobody else does. Istio has one rule instead that returns for
/// everybody not listed, but its own limit of 64 groups is more than one rule of iptables (255 words) takes.
fn owner_groups(rules: &mut Builder, options: &Options) {
    match &options.owner_groups {
        Selection::All => {
            for gid in &options.owner_groups_exclude {
                let exclude = rule("out.owner-group-exclude").option("outbound-owner-groups-exclude");
                output(rules, exclude.matching(Match::gid(*gid, false)).then(Action::Return));
            }
        }
        Selection::Only(groups) => {
            for gid in groups {
                let include = rule("out.owner-group").option("outbound-owner-groups");
                output(rules, include.matching(Match::gid(*gid, false)).then(Action::Jump(OWNERS)));
            }
        }
    }
}

/// A rule that comes after the question whose traffic is captured.
fn owners_output(rules: &mut Builder, options: &Options, rule: Rule) {
    match options.owner_groups {
        Selection::All => output(rules, rule),
        Selection::Only(_) => _ = rules.chain(TableKind::Nat, OWNERS, rule),
    }
}

fn outbound_capture(rules: &mut Builder, options: &Options) {
    for loopback in loopbacks(options) {
        let local = rule("out.loopback").option("outbound-ipv4-loopback-cidr");
        owners_output(
            rules,
            options,
            local.matching(Match::destination(loopback, false)).then(Action::Return),
        );
    }
    for net in &options.outbound_exclude_cidr {
        let exclude = rule("out.exclude-cidr").option("istio-service-exclude-cidr");
        owners_output(
            rules,
            options,
            exclude.matching(Match::destination(net.trunc(), false)).then(Action::Return),
        );
    }
    for port in &options.outbound_ports {
        let include = rule("out.include-port").option("istio-outbound-ports");
        owners_output(
            rules,
            options,
            include.matching(Match::dport(Protocol::Tcp, *port)).then(Action::Jump(REDIRECT)),
        );
    }
    match &options.outbound_cidr {
        Selection::All => {
            owners_output(
                rules,
                options,
                rule("out.all").option("istio-service-cidr").then(Action::Jump(REDIRECT)),
            );
        }
        Selection::Only(nets) => {
            for net in nets {
                let include = rule("out.include-cidr").option("istio-service-cidr");
                let to = Match::destination(net.trunc(), false);
                owners_output(rules, options, include.matching(to).then(Action::Jump(REDIRECT)));
            }
        }
    }
}
