//! What Consul's `Setup` (sdk/nftables) writes, call by call as its source says, without any of our code for rules.

use std::net::IpAddr;

use ipnet::IpNet;
use meshward_redirect::dialect::consul::Options;
use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, Chain, ChainName, Hook, Match, Mesh, Rule, RuleSet, Table, TableKind};

const OUTPUT: ChainName = ChainName::new("output");
const PREROUTING: ChainName = ChainName::new("prerouting");
const PROXY_OUTPUT: ChainName = ChainName::new("p_output");
const PROXY_REDIRECT: ChainName = ChainName::new("p_redirect");
const PROXY_INBOUND: ChainName = ChainName::new("p_inbound");
const IN_REDIRECT: ChainName = ChainName::new("in_redirect");
const DNS: ChainName = ChainName::new("dns");

struct Script(Vec<Chain>);

impl Script {
    fn at(&mut self, chain: &ChainName) -> &mut Vec<Rule> {
        &mut self.0.iter_mut().find(|one| one.name == *chain).expect("a chain").rules
    }

    fn add(&mut self, chain: &ChainName, matches: &[Match], action: Action) {
        self.at(chain).push(Rule { name: "peer".into(), option: None, matches: matches.to_vec(), action });
    }

    fn insert(&mut self, chain: &ChainName, one: Match) {
        let rule = Rule { name: "peer".into(), option: None, matches: vec![one], action: Action::Return };
        self.at(chain).insert(0, rule);
    }
}

pub(crate) fn setup(options: &Options) -> RuleSet {
    let hook = |name: &ChainName| match name.as_str() {
        "output" => Some(Hook::Output),
        "prerouting" => Some(Hook::Prerouting),
        _ => None,
    };
    let names = [OUTPUT, PREROUTING, PROXY_OUTPUT, PROXY_REDIRECT, PROXY_INBOUND, IN_REDIRECT, DNS];
    let chains = names.into_iter().map(|name| Chain { hook: hook(&name), name, rules: Vec::new() });
    let mut script = Script(chains.collect());
    if !options.dual_stack {
        script.add(&OUTPUT, &[Match::Family(Family::Ipv6)], Action::Return);
        script.add(&PREROUTING, &[Match::Family(Family::Ipv6)], Action::Return);
    }
    let tcp = Match::Protocol(Protocol::Tcp);
    script.add(&PROXY_REDIRECT, std::slice::from_ref(&tcp), Action::Redirect(options.proxy_outbound_port));
    dns(&mut script, options);
    script.add(&OUTPUT, std::slice::from_ref(&tcp), Action::Jump(PROXY_OUTPUT));
    script.add(&PROXY_OUTPUT, &[Match::uid(options.proxy_uid, false)], Action::Return);
    for localhost in ["127.0.0.1/32", "::1/128"] {
        let net: IpNet = localhost.parse().expect("a net");
        script.add(&PROXY_OUTPUT, &[Match::destination(net, false)], Action::Return);
    }
    script.add(&PROXY_OUTPUT, &[], Action::Jump(PROXY_REDIRECT));
    let to_ports = |range| Match::ports(Protocol::Tcp, Side::Destination, vec![range], false);
    for range in &options.exclude_outbound_ports {
        script.insert(&PROXY_OUTPUT, to_ports(*range));
    }
    for net in &options.exclude_outbound_cidrs {
        script.insert(&PROXY_OUTPUT, Match::destination(*net, false));
    }
    for uid in &options.exclude_uids {
        script.insert(&PROXY_OUTPUT, Match::uid(*uid, false));
    }
    script.add(&IN_REDIRECT, std::slice::from_ref(&tcp), Action::Redirect(options.proxy_inbound_port));
    script.add(&PREROUTING, std::slice::from_ref(&tcp), Action::Jump(PROXY_INBOUND));
    script.add(&PROXY_INBOUND, &[tcp], Action::Jump(IN_REDIRECT));
    for range in &options.exclude_inbound_ports {
        script.insert(&PROXY_INBOUND, to_ports(*range));
    }
    let table = Table { kind: TableKind::Nat, chains: script.0 };
    RuleSet {
        mesh: Mesh::Consul,
        ipv6: true,
        tables: vec![table],
        routing: None,
        loopback_addresses: Vec::new(),
    }
}

fn dns(script: &mut Script, options: &Options) {
    let protocols = [Protocol::Udp, Protocol::Tcp];
    let dnat = |address, port| Action::Dnat { address, port };
    if let (Some(address), None) = (options.dns.address, options.dns.port) {
        for protocol in protocols {
            let queries = Match::dport(protocol, 53);
            // `dnat ip to` only meets packets of that family.
            let family = Match::Family(Family::of(address));
            script.add(&DNS, &[queries.clone(), family], dnat(address, None));
            script.add(&OUTPUT, &[queries], Action::Jump(DNS));
        }
    }
    let Some(port) = options.dns.port else { return };
    let addresses: Vec<IpAddr> = match (options.dns.address, options.dual_stack) {
        (Some(address), _) => vec![address],
        (None, true) => vec!["127.0.0.1".parse().expect("IPv4"), "::1".parse().expect("IPv6")],
        (None, false) => vec!["127.0.0.1".parse().expect("IPv4")],
    };
    for address in addresses {
        for protocol in protocols {
            let queries = [Match::destination(address.into(), false), Match::dport(protocol, 53)];
            script.add(&DNS, &queries, dnat(address, Some(port)));
            script.add(&OUTPUT, &queries, Action::Jump(DNS));
        }
    }
}
