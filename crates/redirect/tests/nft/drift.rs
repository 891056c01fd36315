//! Every way a table can differ is told, by name.

use meshward_redirect::nft::{self, Difference, Lock};

use crate::bed::{Bed, has_nft};
use crate::sets;

/// The handle of the n-th rule (from 1) of a chain.
fn handle(bed: &Bed, chain: &str, n: usize) -> String {
    let listed = bed.nft(&["-a", "list", "chain", "inet", "meshward_istio", chain], "");
    let rules: Vec<&str> = listed.lines().filter(|line| line.contains("counter")).collect();
    rules[n - 1].rsplit(' ').next().unwrap().to_string()
}

/// `{chain:n}` in a command stands for the handle of that rule.
fn with_handles(bed: &Bed, command: &str) -> String {
    let mut text = command.to_string();
    while let Some((before, rest)) = text.split_once('<') {
        let (place, after) = rest.split_once('>').unwrap();
        let (chain, n) = place.split_once(':').unwrap();
        text = format!("{before}{}{after}", handle(bed, chain, n.parse().unwrap()));
    }
    text
}

/// What was done to the table, and lines of the report.
const TABLE: &[(&str, &[&str])] = &[
    ("delete table inet meshward_istio", &["- the table is not there"]),
    ("add table inet meshward_istio { flags dormant; }", &["+ the table is switched off: flags dormant"]),
    (
        "delete rule inet meshward_istio nat_outbound handle <nat_outbound:3>",
        &[
            "chain nat_outbound",
            "- 3: oifname \"lo\" ip daddr != 127.0.0.1/32 tcp dport != 15008 meta skuid 1337 counter jump nat_in_redirect  [out.proxy-to-self]",
        ],
    ),
    (
        "insert rule inet meshward_istio nat_output ip daddr 10.0.0.0/9 tcp dport { 80, 443 } counter accept",
        &[
            "chain nat_output",
            "+ 1: meta nfproto ipv4 ip daddr 10.0.0.0/9 meta l4proto tcp tcp dport { 80, 443 } counter accept",
        ],
    ),
    (
        "replace rule inet meshward_istio nat_redirect handle <nat_redirect:1> meta l4proto tcp counter redirect to :1 comment \"redirect\"",
        &[
            "- 1: meta l4proto tcp counter redirect to :15001  [redirect]",
            "+ 1: meta l4proto tcp counter redirect to :1 comment \"redirect\"",
        ],
    ),
    (
        "replace rule inet meshward_istio nat_redirect handle <nat_redirect:1> meta l4proto tcp counter redirect to :15001",
        &[
            "- 1: meta l4proto tcp counter redirect to :15001  [redirect]",
            "+ 1: meta l4proto tcp counter redirect to :15001",
        ],
    ),
    (
        "delete rule inet meshward_istio nat_inbound handle <nat_inbound:1>; add rule inet meshward_istio nat_inbound tcp dport 15008 counter return comment \"in.exclude-port\"",
        &["chain nat_inbound", "~ 1 stands at 5: tcp dport 15008 counter return  [in.exclude-port]"],
    ),
    (
        "add chain inet meshward_istio evil { type filter hook input priority 5 ; policy drop ; }; add rule inet meshward_istio evil udp dport 53 limit rate 5/second counter drop",
        &[
            "chain evil",
            "+ the chain was not meant: type filter hook input priority 5; policy drop;",
            "+ 1: meta l4proto udp udp dport 53 [limit of",
        ],
    ),
    (
        "add chain inet meshward_istio nat_output { policy drop ; }",
        &[
            "chain nat_output",
            "- type nat hook output priority -100; policy accept; comment \"packets that are sent from here\"",
            "+ type nat hook output priority -100; policy drop; comment",
        ],
    ),
    (
        "flush chain inet meshward_istio nat_output; flush chain inet meshward_istio nat_outbound; delete chain inet meshward_istio nat_outbound",
        &[
            "chain nat_output\n",
            "- 1: counter jump nat_outbound  [out]",
            "chain nat_outbound\n    - the chain is not there",
        ],
    ),
    (
        "add rule inet meshward_istio nat_output meta skuid 5-7 ct state new meta mark and 0xf == 2 ip6 daddr fe80::/10 udp sport != 5-9 counter dnat ip6 to [::2]:5",
        &[
            "+ 2: meta skuid >= 5 meta skuid <= 7 ct state new meta mark & 0xf == 0x2 meta nfproto ipv6 ip6 daddr fe80::/10 meta l4proto udp udp sport != 5-9 counter dnat ip6 to [::2]:5",
        ],
    ),
];

#[test]
fn every_difference_is_told_and_repaired() {
    if !has_nft() {
        return;
    }
    for (command, lines) in TABLE {
        let Some(bed) = Bed::new() else { return };
        let socket = bed.socket();
        let rules = sets::istio();
        nft::replace(&socket, &rules, Lock::Off).unwrap();
        bed.command(&with_handles(&bed, &command.replace("; ", "\n").replace(" ;", ";")));
        let drift =
            nft::compare(&socket, &rules).unwrap().unwrap_or_else(|| panic!("no drift after {command}"));
        let text = drift.to_string();
        assert!(text.starts_with("table inet meshward_istio\n"), "{text}");
        for line in *lines {
            assert!(text.contains(line), "after {command}\nwanted {line}\nin {text}");
        }
        nft::replace(&socket, &rules, Lock::Off).unwrap();
        assert_eq!(nft::compare(&socket, &rules).unwrap(), None, "after {command}");
    }
}

#[test]
fn the_elements_of_sets_count() {
    let Some(bed) = Bed::new().filter(|_| has_nft()) else { return };
    let socket = bed.socket();
    let rules = sets::everything();
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    let n = rules.tables[0].chains[0].rules.iter().filter(|rule| rule.can_match()).position(|rule| {
        meshward_redirect::render::nft::render(&sets::rule_set(vec![meshward_redirect::Table {
            kind: meshward_redirect::TableKind::Raw,
            chains: vec![sets::chain("output", None, vec![rule.clone()])],
        }]))
        .contains("{ 80, 90-100 }")
    });
    let handle = handle(&bed, "raw_prerouting", n.unwrap() + 1);
    let rule = "tcp dport { 80, 90-101 } counter return comment \"match\"";
    // nft 1.0.6 cannot replace a rule by one with a set.
    bed.command(&format!("add rule inet meshward_istio raw_prerouting handle {handle} {rule}"));
    bed.command(&format!("delete rule inet meshward_istio raw_prerouting handle {handle}"));
    let drift = nft::compare(&socket, &rules).unwrap().unwrap();
    assert!(
        matches!(&drift.differences[..], [Difference::RuleChanged { meant, found, .. }]
            if meant.contains("{ 80, 90-100 }") && found.contains("{ 80, 90-101 }")),
        "{drift}"
    );
}

#[test]
fn other_rules_have_another_fingerprint() {
    let Some(bed) = Bed::new() else { return };
    let socket = bed.socket();
    let mut rules = sets::istio();
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    rules.tables[0].chains[0].rules[0].name = "another".into();
    let drift = nft::compare(&socket, &rules).unwrap().unwrap();
    let [
        Difference::Fingerprint { meant, found },
        Difference::RuleMissing { .. },
        Difference::RuleUnexpected { .. },
    ] = &drift.differences[..]
    else {
        panic!("{drift}")
    };
    assert_eq!(*meant, rules.fingerprint());
    assert_eq!(found.as_ref(), Some(&sets::istio().fingerprint()));
}

#[test]
fn a_flood_of_rules_is_counted_not_told() {
    let Some(bed) = Bed::new().filter(|_| has_nft()) else { return };
    let socket = bed.socket();
    let rules = sets::istio();
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    bed.command(&"add rule inet meshward_istio nat_output udp dport 1 accept\n".repeat(300));
    let drift = nft::compare(&socket, &rules).unwrap().unwrap();
    assert_eq!(drift.differences.len(), 101);
    assert_eq!(drift.differences.last(), Some(&Difference::TooManyRules { beyond: 200 }));
}
