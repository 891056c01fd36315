//! DNS capture (`SetupDNSRedir` in run.go): queries go to the agent's port, and the two conversations that then share
//! addresses and ports, application to agent and agent to server, are tracked in zones of their own (istio#33469).

use std::net::IpAddr;

use ipnet::IpNet;

use super::{DNS_PORT, INBOUND, OUTPUT_DNS, owners_output};
use crate::builder::{Builder, RuleStart, rule};
use crate::dialect::istio::options::{Dns, Options};
use crate::net::{Family, Protocol};
use crate::ruleset::{Action, Hook, Match, Side, TableKind};

/// Where the agent listens for DNS (`IstioAgentDNSListenerPort` in Istio's constants.go).
const AGENT_PORT: u16 = 15053;

/// Conversations between the agent and DNS servers.
const SERVER_ZONE: u16 = 1;

/// Conversations between applications and the agent.
const APPLICATION_ZONE: u16 = 2;

pub(super) fn capture(rules: &mut Builder, options: &Options) {
    let servers: Vec<Option<IpNet>> = match options.dns() {
        Dns::Off => return,
        Dns::All => vec![None],
        Dns::Servers(servers) => {
            // IPv4 first: Istio keeps a list for each family.
            let of = |family| servers.iter().filter(move |server| Family::of(**server) == family);
            of(Family::Ipv4).chain(of(Family::Ipv6)).map(|server: &IpAddr| Some((*server).into())).collect()
        }
    };
    redirect(rules, options, &servers);
    zones(rules, options, &servers);
}

fn start(name: &'static str) -> RuleStart {
    rule(name).option("redirect-dns")
}

/// A jump for each family that has servers; one for both when every server is captured.
fn jumps(name: &'static str, servers: &[Option<IpNet>]) -> Vec<RuleStart> {
    if servers.contains(&None) {
        return vec![start(name)];
    }
    Family::BOTH
        .into_iter()
        .filter(|family| servers.iter().flatten().any(|net| Family::of_net(net) == *family))
        .map(|family| start(name).matching(Match::Family(family)))
        .collect()
}

fn on_side(start: RuleStart, side: Side, server: &Option<IpNet>) -> RuleStart {
    match server {
        Some(net) => start.matching(Match::Address { side, net: *net, negate: false }),
        None => start,
    }
}

fn udp_from(port: u16) -> Match {
    Match::ports(Protocol::Udp, Side::Source, vec![port.into()], false)
}

fn redirect(rules: &mut Builder, options: &Options, servers: &[Option<IpNet>]) {
    for jump in jumps("out.dns", servers) {
        owners_output(rules, options, jump.then(Action::Jump(OUTPUT_DNS)));
    }
    for (name, protocol) in [("out.dns-tcp", Protocol::Tcp), ("out.dns-udp", Protocol::Udp)] {
        for server in servers {
            let query = start(name).matching(Match::dport(protocol, DNS_PORT));
            let query = on_side(query, Side::Destination, server).then(Action::Redirect(AGENT_PORT));
            rules.chain(TableKind::Nat, OUTPUT_DNS, query);
        }
    }
}

/// A later CT rule finds the packet already tracked and does nothing, so the first zone counts: the agent's own rules
/// stand above those of applications.
fn zones(rules: &mut Builder, options: &Options, servers: &[Option<IpNet>]) {
    rules.base(TableKind::Raw, Hook::Output, start("zone.out").then(Action::Jump(OUTPUT_DNS)));
    let users = options.proxy_uid.iter().map(|id| ("proxy-uid", Match::uid(*id, false)));
    let groups = options.proxy_gid.iter().map(|id| ("proxy-gid", Match::gid(*id, false)));
    for (option, owner) in users.chain(groups) {
        let agent = |name, port: Match, zone| {
            rule(name).option(option).matching(port).matching(owner.clone()).then(Action::CtZone(zone))
        };
        let query = agent("zone.agent-query", Match::dport(Protocol::Udp, DNS_PORT), SERVER_ZONE);
        let answer = agent("zone.agent-answer", udp_from(AGENT_PORT), APPLICATION_ZONE);
        rules.chain(TableKind::Raw, OUTPUT_DNS, query);
        rules.chain(TableKind::Raw, OUTPUT_DNS, answer);
    }
    for jump in jumps("zone.in", servers) {
        rules.base(TableKind::Raw, Hook::Prerouting, jump.then(Action::Jump(INBOUND)));
    }
    for server in servers {
        let query = start("zone.app-query").matching(Match::dport(Protocol::Udp, DNS_PORT));
        let query = on_side(query, Side::Destination, server).then(Action::CtZone(APPLICATION_ZONE));
        rules.chain(TableKind::Raw, OUTPUT_DNS, query);
        let answer = start("zone.server-answer").matching(udp_from(DNS_PORT));
        let answer = on_side(answer, Side::Source, server).then(Action::CtZone(SERVER_ZONE));
        rules.chain(TableKind::Raw, INBOUND, answer);
    }
}
