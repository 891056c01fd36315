//! The rule sets that Istio's CNI plugin writes, against ours for the same pods: equal behaviour, not equal text. And
//! against ours with one rule missing: then behaviour must differ, or the rule is one of the few known to be idle.

use std::collections::BTreeSet;
use std::path::PathBuf;

use meshward_redirect::builder::IPV6_GUARD;
use meshward_redirect::dialect::istio::{FLAGS, Options, rules};
use meshward_redirect::dialect::{Origin, Settings};
use meshward_redirect::net::Family;
use meshward_redirect::{RuleSet, TableKind};

use support::{Chains, difference, iptables_text, without_one};

#[path = "support/all.rs"]
mod support;

fn suite() -> Option<PathBuf> {
    let root = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    let folder = root.join("istio-cni");
    if !folder.is_dir() {
        meshward_netlab::skipped("no suites of the peers here");
        return None;
    }
    Some(folder)
}

/// What the plugin fills in for every pod (cni/pkg/plugin/sidecar_redirect.go), then what the pod asks for.
fn ours(extra: &[(&str, &str)]) -> RuleSet {
    let mut settings = Settings::new(FLAGS);
    let defaults = [
        ("istio-inbound-ports", "*"),
        ("istio-local-exclude-ports", "15020,15021,15090"),
        ("istio-local-outbound-ports-exclude", "15020"),
        ("istio-service-cidr", "*"),
        ("proxy-uid", "1337"),
        ("proxy-gid", "1337"),
        ("istio-inbound-interception-mode", "REDIRECT"),
    ];
    for (option, value) in defaults.iter().chain(extra) {
        settings.set(option, *value, Origin::Default);
    }
    rules(&Options::from_settings(&settings).expect("valid options"))
}

const CUSTOM_UID: [(&str, &str); 2] = [("proxy-uid", "1000670000"), ("proxy-gid", "1000670001")];
const TPROXY: (&str, &str) = ("istio-inbound-interception-mode", "TPROXY");

/// Golden, the pod's wishes, and the rules that are idle in this combination.
type Case = (&'static str, Vec<(&'static str, &'static str)>, &'static [&'static str]);

/// Without DNS capture nothing on loopback gets past the user's three rules: another user's packets return by the
/// second, the proxy's own by the third. The group's first two rules are there for nothing then. And UDP is not
/// captured, so it needs no exclusion.
const WITHOUT_DNS: &[&str] = &["out.app-loopback-gid", "out.self-call-gid", "out.exclude-port udp"];

fn cases() -> Vec<Case> {
    vec![
        ("basic", vec![], WITHOUT_DNS),
        (
            "include-exclude-ip",
            vec![("istio-service-cidr", "127.0.0.0/8"), ("istio-service-exclude-cidr", "10.0.0.0/8")],
            // Nothing is captured but 127.0.0.0/8, so an exclusion of anything else changes nothing.
            &["out.exclude-cidr", "out.exclude-port udp"],
        ),
        (
            "include-exclude-ports",
            vec![
                ("istio-inbound-ports", "1111,2222"),
                ("istio-local-exclude-ports", "3333,4444,15020,15021,15090"),
                ("istio-local-outbound-ports-exclude", "5555,6666"),
            ],
            // The tunnel's port is not among those captured.
            &["in.tunnel-port", "out.app-loopback-gid", "out.self-call-gid", "out.exclude-port udp"],
        ),
        ("tproxy", vec![TPROXY], WITHOUT_DNS),
        (
            "dns",
            vec![("redirect-dns", "true"), ("capture-all-dns", "true")],
            // TCP to port 53 gets past the user's rules now, but not past the group's second one, which lets it by.
            &["out.app-loopback-gid", "out.exclude-port udp"],
        ),
        ("invalid-drop", vec![("drop-invalid", "true")], WITHOUT_DNS),
        ("custom-uid", CUSTOM_UID.to_vec(), WITHOUT_DNS),
        ("custom-uid-tproxy", [&CUSTOM_UID[..], &[TPROXY]].concat(), WITHOUT_DNS),
    ]
}

#[test]
fn every_golden_has_a_case() {
    let Some(folder) = suite() else { return };
    let names: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("readable suite")
        .map(|entry| entry.expect("entry").file_name().to_string_lossy().replace(".txt.golden", ""))
        .collect();
    let covered: BTreeSet<String> = cases().iter().map(|case| case.0.to_string()).collect();
    assert_eq!(names, covered);
}

#[test]
fn behaviour_equals_the_golden() {
    let Some(folder) = suite() else { return };
    for (name, wishes, _) in cases() {
        let golden = std::fs::read_to_string(folder.join(format!("{name}.txt.golden"))).expect("golden");
        let golden = iptables_text::parse(&golden);
        let ours = Chains::from(&ours(&wishes));
        if let Some((packet, theirs, ours)) = difference(&golden, &ours, Family::Ipv4) {
            panic!("{name}: {packet:?}\n golden: {theirs:?}\n ours: {ours:?}");
        }
    }
}

/// IPv6 is not captured: whatever comes passes untouched, and would not without the rules that say so.
#[test]
fn uncaptured_ipv6_passes() {
    let nothing = Chains::default();
    let mut idle = Vec::new();
    for (name, wishes, _) in cases() {
        let whole = ours(&wishes);
        assert_eq!(difference(&Chains::from(&whole), &nothing, Family::Ipv6), None, "{name}");
        for (place, less) in without_one(&whole).into_iter().filter(|(place, _)| place.rule == IPV6_GUARD) {
            if difference(&Chains::from(&less), &nothing, Family::Ipv6).is_none() {
                idle.push((name, place.table, place.chain));
            }
        }
    }
    // There, only an IPv4 network is captured outbound.
    assert_eq!(idle, [("include-exclude-ip", TableKind::Nat, "output".to_string())]);
}

#[test]
fn every_rule_counts() {
    let Some(folder) = suite() else { return };
    for (name, wishes, idle) in cases() {
        let golden = std::fs::read_to_string(folder.join(format!("{name}.txt.golden"))).expect("golden");
        let golden = iptables_text::parse(&golden);
        let found: BTreeSet<String> = without_one(&ours(&wishes))
            .into_iter()
            .filter(|(place, _)| place.rule != IPV6_GUARD)
            .filter(|(_, less)| difference(&golden, &Chains::from(less), Family::Ipv4).is_none())
            .map(|(place, _)| if place.udp { format!("{} udp", place.rule) } else { place.rule })
            .collect();
        let idle: BTreeSet<String> = idle.iter().map(ToString::to_string).collect();
        assert_eq!(found, idle, "{name}: rules whose absence nobody notices");
    }
}
