//! Kuma's dialect: equal in behaviour to what kumactl writes, for its goldens and for every option.

#[path = "support_kuma/compare.rs"]
mod compare;
#[path = "support_kuma/iptables.rs"]
mod iptables;
#[path = "support_kuma/kumactl.rs"]
mod kumactl;
#[path = "support_kuma/listing.rs"]
mod listing;
#[path = "support_kuma/packet.rs"]
mod packet;

use std::path::PathBuf;

use compare::{Expected, difference, redundant};
use meshward_redirect::dialect::flags::parse_arguments;
use meshward_redirect::dialect::kuma::{self, FLAGS, Options};
use meshward_redirect::dialect::{Effect, FlagKind, Origin, Settings};
use meshward_redirect::net::Family;
use meshward_redirect::{Rule, RuleSet};
use packet::{lattice, outcome};
use proptest::prelude::*;

fn settings(arguments: &[&str]) -> Settings {
    let mut settings = Settings::new(FLAGS);
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let origin = |flag: &str| Origin::Flag { flag: format!("--{flag}") };
    parse_arguments("kumactl", FLAGS, &arguments, &mut settings, origin).expect("known flags");
    settings
}

fn options(arguments: &[&str]) -> Options {
    Options::from_settings(&settings(arguments)).expect("valid options")
}

fn refusal(arguments: &[&str]) -> String {
    Options::from_settings(&settings(arguments)).expect_err("invalid options").to_string()
}

fn all_rules(rules: &RuleSet) -> Vec<Rule> {
    rules.rules().map(|(.., rule)| rule.clone()).collect()
}

/// What the peer's rules, one set for each family, do with every packet that could tell them from ours.
fn expected(ours: &RuleSet, ipv4: &RuleSet, ipv6: Option<&RuleSet>) -> Expected {
    let rules: Vec<Rule> = [Some(ours), Some(ipv4), ipv6].into_iter().flatten().flat_map(all_rules).collect();
    let peer = |packet: &packet::Packet| match (Family::of(packet.destination), ipv6) {
        (Family::Ipv6, Some(ipv6)) => outcome(ipv6, packet),
        _ => outcome(ipv4, packet),
    };
    lattice(&rules).into_iter().map(|packet| (packet.clone(), peer(&packet))).collect()
}

fn expected_of(options: &Options) -> Expected {
    let peer = |family| iptables::parse(&kumactl::text(options, family), family);
    let ipv6 = options.families().contains(&Family::Ipv6).then(|| peer(Family::Ipv6));
    expected(&kuma::rules(options), &peer(Family::Ipv4), ipv6.as_ref())
}

fn golden(name: &str) -> Option<String> {
    let suites = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    match std::fs::read_to_string(suites.join("kuma-install").join(name)) {
        Ok(text) => Some(
            text.replace("ifPlaceholder", "lo")
                .replace("-s subnetPlaceholder/mask", "-s 127.0.0.6/32")
                .replace("-d subnetPlaceholder/mask", "-d 127.0.0.1/32")
                .replace("inboundPort", "15006")
                .replace("dnsJumpTargetPlaceholder", "RETURN"),
        ),
        Err(_) => {
            meshward_netlab::skipped("no suites of the peers here");
            None
        }
    }
}

/// The first packet that our rules for `arguments` treat otherwise than the golden `text`.
fn against_golden(text: &str, arguments: &[&str]) -> Option<String> {
    let mut all = vec!["--ip-family-mode", "ipv4", "--kuma-dp-user", "0"];
    all.extend(arguments);
    let ours = kuma::rules(&options(&all));
    let peer = iptables::parse(text, Family::Ipv4);
    difference(&ours, &expected(&ours, &peer, None))
}

#[test]
fn golden_defaults() {
    let Some(text) = golden("install-transparent-proxy.defaults.golden.txt") else { return };
    assert_eq!(against_golden(&text, &[]), None);
}

#[test]
fn golden_excluded_ports() {
    let Some(text) = golden("install-transparent-proxy.excludedports_wildcards.txt") else { return };
    assert_eq!(against_golden(&text, &["--exclude-outbound-ports-for-uids", "*:*:0"]), None);
}

/// The golden is older than kumahq/kuma#14557 and #15401, which let DNS over TCP pass.
#[test]
fn golden_dns() {
    let Some(text) = golden("install-transparent-proxy.dns.golden.txt") else { return };
    let arguments = ["--redirect-all-dns-traffic", "--redirect-dns-port", "12345"];
    let redirected = "-A KUMA_MESH_OUTBOUND -p tcp --dport 53 -j REDIRECT --to-ports 12345\n";
    let capture = "-A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND";
    assert!(text.contains(redirected) && text.contains(capture));
    assert!(against_golden(&text, &arguments).is_some_and(|packet| packet.contains("destination_port: 53")));
    let passes = format!("-A OUTPUT -p tcp --dport 53 -m owner ! --uid-owner 0 -j RETURN\n{capture}");
    let newer = text.replace(redirected, "").replace(capture, &passes);
    assert_eq!(against_golden(&newer, &arguments), None);
}

/// Arguments that show every option at work, alone or with what it needs.
const CASES: &[&[&str]] = &[
    &[],
    &["--ip-family-mode", "ipv4"],
    &["--kuma-dp-user", "1337"],
    &["--redirect-inbound=false"],
    &["--redirect-inbound-port", "20006"],
    &["--include-inbound-ports", "80,443"],
    &["--exclude-inbound-ports", "22,9000"],
    &["--exclude-inbound-ports", "1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31,33"],
    &["--exclude-inbound-ips", "10.1.0.0/16,fd01::/64"],
    &["--redirect-inbound-insert-instead-of-append", "--iptables-logs"],
    &["--redirect-outbound=false"],
    &["--redirect-outbound-port", "20001"],
    &["--include-outbound-ports", "80,443"],
    &["--exclude-outbound-ports", "5432,6379"],
    &[
        "--exclude-outbound-ports-for-uids",
        "tcp:22,8000-9000:2000-2002",
        "--exclude-outbound-ports-for-uids",
        "3000",
        "--redirect-all-dns-traffic",
    ],
    &["--exclude-outbound-ips", "10.2.0.0/16,fd02::5"],
    &["--redirect-dns"],
    &["--redirect-dns", "--dns-servers", "10.96.0.10,127.0.0.11,fd00::10"],
    &["--redirect-dns", "--dns-servers", "10.96.0.10"],
    &["--redirect-dns", "--dns-servers", ""],
    &["--redirect-all-dns-traffic"],
    &["--redirect-all-dns-traffic", "--redirect-dns-port", "5353"],
    &["--redirect-all-dns-traffic", "--skip-dns-conntrack-zone-split"],
    &["--redirect-all-dns-traffic", "--redirect-outbound-insert-instead-of-append"],
    &[
        "--vnet",
        "docker0:172.16.0.0/16,docker0:172.17.0.0/16,br+:172.18.0.0/16",
        "--vnet",
        "docker0:fd17::/64",
    ],
    &["--vnet", "docker0:172.17.0.0/16", "--iptables-logs"],
    &["--drop-invalid-packets"],
    &["--iptables-logs", "--iptables-log-level", "4"],
];

#[test]
fn every_option_behaves_as_kumactl() {
    for case in CASES {
        let options = options(case);
        assert_eq!(difference(&kuma::rules(&options), &expected_of(&options)), None, "{case:?}");
    }
}

/// Every rule of ours is needed: without it some packet goes another way than Kuma's.
#[test]
fn no_rule_is_redundant() {
    for case in CASES {
        let options = options(case);
        let rules = kuma::rules(&options);
        assert_eq!(redundant(&rules, &expected_of(&options)), Vec::<String>::new(), "{case:?}");
    }
}

/// Kuma lets a user's UDP pass by even where no UDP is redirected.
#[test]
fn exclusions_of_udp_need_dns_capture_to_matter() {
    let options = options(&["--exclude-outbound-ports-for-uids", "3000"]);
    assert_eq!(redundant(&kuma::rules(&options), &expected_of(&options)), ["out.exclude-uid"]);
}

#[test]
fn every_option_with_an_effect_changes_the_rules() {
    let plain = kuma::rules(&options(&[]));
    for flag in FLAGS.iter().filter(|flag| flag.effect == Effect::Rules && flag.long != "config") {
        let long = format!("--{}", flag.long);
        let mut cases = CASES
            .iter()
            .filter(|case| case.iter().any(|word| *word == long || word.starts_with(&format!("{long}="))));
        assert!(cases.any(|case| kuma::rules(&options(case)) != plain), "{long}");
    }
}

#[test]
fn rules_name_options_that_exist() {
    for (.., rule) in CASES
        .iter()
        .map(|case| kuma::rules(&options(case)))
        .collect::<Vec<_>>()
        .iter()
        .flat_map(RuleSet::rules)
    {
        if let Some(option) = &rule.option {
            assert!(FLAGS.iter().any(|flag| flag.long == option), "{option}");
        }
    }
}

#[test]
fn listings() {
    let sections: Vec<String> = CASES
        .iter()
        .map(|case| format!("## {}\n{}", case.join(" "), listing::listing(&kuma::rules(&options(case)))))
        .collect();
    insta::assert_snapshot!(sections.join("\n"));
}

#[test]
fn lints() {
    let found = |arguments: &[&str]| -> Vec<&'static str> {
        kuma::lints(&options(arguments)).iter().map(|lint| lint.option).collect()
    };
    assert!(found(&[]).is_empty());
    assert_eq!(found(&["--kuma-dp-user", "0"]), ["kuma-dp-user"]);
    let both = ["--include-inbound-ports", "80", "--exclude-inbound-ports", "22"];
    assert_eq!(found(&both), ["exclude-inbound-ports"]);
    let both = ["--include-outbound-ports", "80", "--exclude-outbound-ports", "22"];
    assert_eq!(found(&both), ["exclude-outbound-ports"]);
    let ipv4 = ["--ip-family-mode=ipv4", "--exclude-inbound-ips=fd00::1", "--exclude-outbound-ips=fd00::1"];
    assert_eq!(found(&ipv4), ["exclude-inbound-ips", "exclude-outbound-ips"]);
    assert_eq!(found(&["--redirect-dns"]), ["redirect-dns"]);
    assert!(found(&["--redirect-dns", "--dns-servers", "10.0.0.1"]).is_empty());
    let insert = ["--redirect-all-dns-traffic", "--redirect-outbound-insert-instead-of-append"];
    assert_eq!(found(&insert), ["redirect-outbound-insert-instead-of-append"]);
}

#[test]
fn refusals_say_where_what_was_found_and_what_is_accepted() {
    let cases: Vec<String> = [
        &["--kuma-dp-user", "kuma-dp"][..],
        &["--ip-family-mode", "ipv6"],
        &["--redirect-inbound=maybe"],
        &["--redirect-inbound-port", "0"],
        &["--redirect-outbound-port", "65536"],
        &["--exclude-inbound-ports", "22,http"],
        &["--include-outbound-ports", "8000-9000"],
        &["--exclude-inbound-ips", "10.0.0.0/33"],
        &["--exclude-outbound-ips", "example.org"],
        &["--exclude-outbound-ports-for-uids", "http:22:1000"],
        &["--exclude-outbound-ports-for-uids", "22:*"],
        &["--exclude-outbound-ports-for-uids", "22:1000,1001"],
        &["--exclude-outbound-ports-for-uids", "90-80:1000"],
        &["--exclude-outbound-ports-for-uids", "a:b:c:d"],
        &["--redirect-dns", "--redirect-all-dns-traffic"],
        &["--redirect-dns", "--redirect-dns-port", "0"],
        &["--vnet", "docker0:172.17.0.0/16", "--redirect-dns-port", "0"],
        &["--redirect-dns", "--dns-servers", "kube-dns"],
        &["--vnet", "docker0"],
        &["--vnet", "docker0:172.17.0.1"],
        &["--vnet", "a/b:172.17.0.0/16"],
        &["--iptables-log-level", "8"],
    ]
    .map(|arguments| format!("{}\n  {}", arguments.join(" "), refusal(arguments)))
    .into();
    insta::assert_snapshot!(cases.join("\n"));
}

/// Pieces of command lines that may stand together.
fn arguments() -> impl Strategy<Value = Vec<&'static str>> {
    proptest::sample::subsequence(CASES.to_vec(), 0..6).prop_map(|cases| cases.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_combination_behaves_as_kumactl(arguments in arguments()) {
        if let Ok(options) = Options::from_settings(&settings(&arguments)) {
            prop_assert_eq!(difference(&kuma::rules(&options), &expected_of(&options)), None);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(option in proptest::sample::select(FLAGS), text in "\\PC{0,40}|[0-9,:;*+/.a-f-]{0,40}") {
        let mut settings = Settings::new(FLAGS);
        settings.set("redirect-dns", "true", Origin::Default);
        settings.set(option.long, text, Origin::Default);
        if let Ok(options) = Options::from_settings(&settings) {
            kuma::rules(&options);
            kuma::lints(&options);
        }
    }
}

#[test]
fn the_table_is_well_formed() {
    for flag in FLAGS {
        assert_eq!(FLAGS.iter().filter(|other| other.long == flag.long).count(), 1, "{}", flag.long);
        assert!(!matches!(flag.kind, FlagKind::Switch) || ["true", "false"].contains(&flag.default));
    }
}

/// Thousands of protocols times thousands of ports, and items times ports, stay lists.
#[test]
fn exclusions_by_user_do_not_multiply_without_end() {
    let list = |word: &str, count: usize| vec![word; count].join(",");
    let repeated = format!("{}:1:7", list("tcp,udp", 10_000));
    let exclusions = options(&["--exclude-outbound-ports-for-uids", &repeated]).outbound.exclude_for_uids;
    assert_eq!(exclusions.len(), 2, "one for each protocol");
    let most = format!("tcp:{}:7", list("1", 4096));
    options(&["--exclude-outbound-ports-for-uids", &most]);
    for more in [
        format!("tcp:{}:7", list("1", 4097)),
        format!("{}:7", list("1", 2049)),
        format!("tcp:{}:7", list("1", 80_000)),
        vec!["tcp:1,2,3,4,5:7"; 1024].join(";"),
    ] {
        let text = refusal(&["--exclude-outbound-ports-for-uids", &more]);
        assert!(text.contains("found more ports, accepted: at most 4096"), "{text}");
    }
}

/// Written down and read back, no value was typed any more.
#[test]
fn settled_settings_mean_the_same_whoever_wrote_them() {
    for arguments in [
        &["--redirect-all-dns-traffic", "--redirect-dns=false"][..],
        &["--redirect-all-dns-traffic"],
        &["--redirect-all-dns-traffic=false", "--redirect-dns=false"],
        &["--redirect-dns", "--redirect-all-dns-traffic=false"],
    ] {
        let typed = settings(arguments);
        let mut settled = typed.clone();
        kuma::settle(&mut settled);
        let mut written = Settings::new(FLAGS);
        for setting in settled.all().filter(|setting| settled.is_set(setting.option)) {
            written.set(setting.option, setting.value, Origin::File { file: "f".into(), path: "p".into() });
        }
        let wanted = Options::from_settings(&typed).expect("valid options");
        assert_eq!(Options::from_settings(&settled).as_ref(), Ok(&wanted), "{arguments:?}");
        assert_eq!(Options::from_settings(&written).as_ref(), Ok(&wanted), "{arguments:?}");
    }
}
