//! Linkerd's rules as its own program would write them, chains and comments of its own included, against ours: equal
//! behaviour in both families, and different behaviour when any of ours is missing.

use meshward_redirect::RuleSet;
use meshward_redirect::dialect::linkerd::{FLAGS, Options, rules};
use meshward_redirect::dialect::{Origin, Settings};
use meshward_redirect::net::Family;
use support::{Chains, difference, iptables_text, without_one};

#[path = "support/all.rs"]
mod support;

fn ours(values: &[(&str, &str)]) -> RuleSet {
    let mut settings = Settings::new(FLAGS);
    for (option, value) in values {
        settings.set(option, *value, Origin::Default);
    }
    rules(&Options::from_settings(&settings).expect("valid options"))
}

const JUMPS: &str = "-A PREROUTING -j PROXY_INIT_REDIRECT\n-A OUTPUT -j PROXY_INIT_OUTPUT\n";

/// `inbound` and `outbound` are the rules of Linkerd's two chains without their names.
fn theirs(inbound: &[&str], outbound: &[&str]) -> Chains {
    let lines = |chain: &str, rules: &[&str]| -> String {
        rules.iter().map(|rule| format!("-A {chain} {rule}\n")).collect()
    };
    let (inbound, outbound) = (lines("PROXY_INIT_REDIRECT", inbound), lines("PROXY_INIT_OUTPUT", outbound));
    iptables_text::parse(&format!("*nat\n{inbound}{JUMPS}{outbound}COMMIT\n"))
}

fn check(values: &[(&str, &str)], family: Family, theirs: &Chains) {
    let whole = ours(values);
    assert_eq!(difference(theirs, &Chains::from(&whole), family), None, "{values:?} {family}");
    for (place, less) in without_one(&whole) {
        let other = |family| difference(&Chains::from(&whole), &Chains::from(&less), family);
        let noticed = other(family).or_else(|| Family::BOTH.into_iter().find_map(other));
        assert!(noticed.is_some(), "{values:?}: nobody misses {place:?}");
    }
}

#[test]
fn everything_is_captured_by_default() {
    let inbound = ["-p tcp -j REDIRECT --to-port 4143"];
    let outbound =
        ["-m owner --uid-owner 2102 -j RETURN", "-o lo -j RETURN", "-p tcp -j REDIRECT --to-port 4140"];
    for family in Family::BOTH {
        check(&[], family, &theirs(&inbound, &outbound));
    }
    check(&[("ipv6", "false")], Family::Ipv4, &theirs(&inbound, &outbound));
    check(&[("ipv6", "false")], Family::Ipv6, &Chains::default());
}

#[test]
fn ports_and_ids_are_ignored() {
    let values = [
        ("inbound-ports-to-ignore", "4190,4191,22,8100-8102"),
        ("outbound-ports-to-ignore", "5432,0-3"),
        ("proxy-uid", "1"),
        ("proxy-gid", "2"),
        ("incoming-proxy-port", "1234"),
        ("outgoing-proxy-port", "1235"),
    ];
    let inbound = [
        "-p tcp --match multiport --dports 4190,4191,22,8100:8102 -j RETURN",
        "-p tcp -j REDIRECT --to-port 1234",
    ];
    let outbound = [
        "-m owner --uid-owner 1 -j RETURN",
        "-m owner --gid-owner 2 -j RETURN",
        "-o lo -j RETURN",
        "-p tcp --match multiport --dports 5432,0:3 -j RETURN",
        "-p tcp -j REDIRECT --to-port 1235",
    ];
    for family in Family::BOTH {
        check(&values, family, &theirs(&inbound, &outbound));
    }
}

/// A subnet counts in its own family only. Linkerd hands IPv4 subnets to ip6tables too, which refuses them.
#[test]
fn listed_ports_and_subnets() {
    let values = [
        ("ports-to-redirect", "80,443"),
        ("inbound-ports-to-ignore", "81"),
        ("subnets-to-ignore", "10.1.2.3/8,fd00::/8"),
    ];
    let inbound = |subnet| {
        [
            subnet,
            "-p tcp --destination-port 80 -j REDIRECT --to-port 4143",
            "-p tcp --destination-port 443 -j REDIRECT --to-port 4143",
        ]
    };
    let outbound =
        ["-m owner --uid-owner 2102 -j RETURN", "-o lo -j RETURN", "-p tcp -j REDIRECT --to-port 4140"];
    let whole = Chains::from(&ours(&values));
    for (family, subnet) in
        [(Family::Ipv4, "-s 10.0.0.0/8 -j RETURN"), (Family::Ipv6, "-s fd00::/8 -j RETURN")]
    {
        assert_eq!(difference(&theirs(&inbound(subnet), &outbound), &whole, family), None, "{family}");
        let without = theirs(&inbound(subnet)[1..], &outbound);
        assert!(difference(&without, &whole, family).is_some(), "{family}");
    }
}
