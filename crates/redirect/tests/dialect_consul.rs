//! Consul's dialect: equal in behaviour to what `consul connect redirect-traffic` writes, for every option.

#[path = "support_kuma/compare.rs"]
mod compare;
#[path = "support_kuma/listing.rs"]
mod listing;
#[path = "support_kuma/packet.rs"]
mod packet;
#[path = "support_kuma/consul.rs"]
mod peer;

use compare::{Expected, difference, redundant};
use meshward_redirect::dialect::consul::{self, FLAGS, Options};
use meshward_redirect::dialect::flags::parse_arguments;
use meshward_redirect::dialect::{Effect, InvalidOption, Origin, Settings};
use meshward_redirect::{Rule, RuleSet};
use packet::{lattice, outcome};
use proptest::prelude::*;
use serde_json::{Value, json};

fn settings(arguments: &[&str]) -> Settings {
    let mut settings = Settings::new(FLAGS);
    let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
    let origin = |flag: &str| Origin::Flag { flag: format!("--{flag}") };
    parse_arguments("consul", FLAGS, &arguments, &mut settings, origin).expect("known flags");
    settings
}

fn options(arguments: &[&str]) -> Options {
    Options::from_settings(&settings(arguments)).expect("valid options")
}

fn expected_of(options: &Options) -> Expected {
    let (ours, peer) = (consul::rules(options), peer::setup(options));
    let rules: Vec<Rule> =
        [&ours, &peer].into_iter().flat_map(RuleSet::rules).map(|(.., rule)| rule.clone()).collect();
    lattice(&rules).into_iter().map(|packet| (packet.clone(), outcome(&peer, &packet))).collect()
}

/// Arguments that show every option at work, alone or with what it needs.
const CASES: &[&[&str]] = &[
    &[],
    &["--dual-stack"],
    &["--proxy-uid", "1234"],
    &["--proxy-inbound-port", "20001"],
    &["--proxy-outbound-port", "15002"],
    &["--consul-dns-ip", "10.0.34.16"],
    &["--consul-dns-port", "8600"],
    &["--consul-dns-ip", "10.0.34.16", "--consul-dns-port", "8600"],
    &["--consul-dns-ip", "fd00::53", "--dual-stack"],
    &["--consul-dns-port", "8600", "--dual-stack"],
    &["--consul-dns-ip", "::1", "--consul-dns-port", "8600", "--dual-stack"],
    &["--exclude-inbound-port", "22000", "--exclude-inbound-port", "8080:9000"],
    &[
        "--exclude-outbound-port",
        "1024:2048",
        "--exclude-outbound-port",
        ":22",
        "--exclude-outbound-port",
        "60000:",
    ],
    &["--exclude-outbound-cidr", "1.1.1.1", "--exclude-outbound-cidr", "2.2.2.2/24"],
    &["--exclude-outbound-cidr", "10.3.0.0/16", "--exclude-outbound-cidr", "fd03::/64", "--dual-stack"],
    &["--exclude-uid", "5996", "--exclude-uid", "1001"],
];

#[test]
fn every_option_behaves_as_consul() {
    for case in CASES {
        let options = options(case);
        assert_eq!(difference(&consul::rules(&options), &expected_of(&options)), None, "{case:?}");
    }
}

#[test]
fn no_rule_is_redundant() {
    for case in CASES {
        let options = options(case);
        let rules = consul::rules(&options);
        assert_eq!(redundant(&rules, &expected_of(&options)), Vec::<String>::new(), "{case:?}");
    }
}

#[test]
fn every_option_with_an_effect_changes_the_rules() {
    let plain = consul::rules(&options(&[]));
    for flag in FLAGS.iter().filter(|flag| flag.effect == Effect::Rules && flag.long != "proxy-id") {
        let long = format!("--{}", flag.long);
        let mut cases = CASES.iter().filter(|case| case.contains(&long.as_str()));
        assert!(cases.any(|case| consul::rules(&options(case)) != plain), "{long}");
    }
}

#[test]
fn listings() {
    let sections: Vec<String> = CASES
        .iter()
        .map(|case| format!("## {}\n{}", case.join(" "), listing::listing(&consul::rules(&options(case)))))
        .collect();
    insta::assert_snapshot!(sections.join("\n"));
}

#[test]
fn lints() {
    let found = |arguments: &[&str]| -> Vec<&'static str> {
        consul::lints(&options(arguments)).iter().map(|lint| lint.option).collect()
    };
    assert!(found(&[]).is_empty());
    assert_eq!(found(&["--proxy-uid", "0"]), ["proxy-uid"]);
    assert_eq!(found(&["--exclude-outbound-cidr", "fd00::/8"]), ["exclude-outbound-cidr"]);
    assert!(found(&["--exclude-outbound-cidr", "fd00::/8", "--dual-stack"]).is_empty());
    assert_eq!(found(&["--exclude-uid", "5995"]), ["exclude-uid"]);
}

#[test]
fn refusals_say_where_what_was_found_and_what_is_accepted() {
    let cases: Vec<String> = [
        &["--proxy-uid", "envoy"][..],
        &["--proxy-uid", ""],
        &["--proxy-id", "web-sidecar-proxy"],
        &["--proxy-inbound-port", "0"],
        &["--proxy-outbound-port", "65536"],
        &["--consul-dns-ip", "consul-dns"],
        &["--consul-dns-ip", "10.0.0.53", "--dual-stack"],
        &["--consul-dns-ip", "fd00::53"],
        &["--consul-dns-port", "dns"],
        &["--exclude-inbound-port", "ssh"],
        &["--exclude-outbound-port", "9000:8080"],
        &["--exclude-outbound-port", "80-"],
        &["--exclude-outbound-cidr", "10.0.0.0/33"],
        &["--exclude-uid", "-1"],
        &["--dual-stack=both"],
    ]
    .map(|arguments| {
        let problem = Options::from_settings(&settings(arguments)).expect_err("invalid options");
        format!("{}\n  {problem}", arguments.join(" "))
    })
    .into();
    insta::assert_snapshot!(cases.join("\n"));
}

fn origin(path: &str) -> Origin {
    Origin::Annotation {
        object: "pod",
        key: "consul.hashicorp.com/redirect-traffic-config".into(),
        path: Some(path.into()),
    }
}

fn configured(document: &Value) -> Result<(Options, Vec<String>), InvalidOption> {
    let mut settings = Settings::new(FLAGS);
    let lints = consul::config::apply(document, &mut settings, origin)?;
    let messages = lints.into_iter().map(|lint| lint.message).collect();
    Ok((Options::from_settings(&settings)?, messages))
}

/// The configuration of a pod as consul-k8s writes it: every field of the Go struct, zero values included.
fn injected() -> Value {
    json!({
        "ConsulDNSIP": "127.0.0.1", "ConsulDNSPort": 8600, "ProxyUserID": "5995", "ProxyInboundPort": 20000,
        "ProxyOutboundPort": 15001, "ExcludeInboundPorts": ["20200", "21000"], "ExcludeOutboundPorts": null,
        "ExcludeOutboundCIDRs": ["10.0.0.0/8"], "ExcludeUIDs": ["5996", "1000"], "NetNS": "",
        "IptablesProvider": null,
    })
}

#[test]
fn an_injected_configuration_is_the_same_as_its_flags() {
    let (read, messages) = configured(&injected()).expect("valid");
    let same = [
        "--consul-dns-ip=127.0.0.1",
        "--consul-dns-port=8600",
        "--exclude-inbound-port=20200",
        "--exclude-inbound-port=21000",
        "--exclude-outbound-cidr=10.0.0.0/8",
        "--exclude-uid=5996",
        "--exclude-uid=1000",
    ];
    assert_eq!(read, options(&same));
    assert!(messages.is_empty());
}

#[test]
fn zero_values_are_absent() {
    let document = json!({
        "consuldnsip": "", "ConsulDNSPort": 0, "ProxyUserID": "0", "ProxyInboundPort": 20000, "ProxyOutboundPort": 0,
    });
    assert_eq!(configured(&document).expect("valid").0, options(&["--proxy-uid", "0"]));
}

#[test]
fn what_consul_refuses_or_ignores() {
    let refused = |document: Value| configured(&document).expect_err("invalid").to_string();
    let with = |key: &str, value: Value| {
        let mut document = injected();
        document[key] = value;
        document
    };
    let mut cases = vec![
        refused(json!({"ProxyInboundPort": 20000})),
        refused(with("ProxyUserID", "".into())),
        refused(with("ProxyInboundPort", 0.into())),
        refused(with("ProxyInboundPort", 70000.into())),
        refused(with("ConsulDNSIP", "dns".into())),
        refused(with("ConsulDNSIP", "::1".into())),
        refused(with("ExcludeInboundPorts", "22".into())),
        refused(with("ExcludeUIDs", json!([{}]))),
        refused(json!([])),
    ];
    cases.extend(configured(&with("ExcludeUID", json!(["1"]))).expect("valid").1);
    insta::assert_snapshot!(cases.join("\n"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_combination_behaves_as_consul(cases in proptest::sample::subsequence(CASES.to_vec(), 0..6)) {
        // Several cases may give the same single value; the last one counts.
        if let Ok(options) = Options::from_settings(&settings(&cases.concat())) {
            prop_assert_eq!(difference(&consul::rules(&options), &expected_of(&options)), None);
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_parsed_or_refused(option in proptest::sample::select(FLAGS), text in "\\PC{0,40}|[0-9,:/.a-f-]{0,40}") {
        let mut settings = Settings::new(FLAGS);
        settings.set(option.long, text, Origin::Default);
        if let Ok(options) = Options::from_settings(&settings) {
            consul::rules(&options);
            consul::lints(&options);
        }
    }

    #[test]
    fn any_value_of_any_key_is_read_or_refused(
        key in "ConsulDNSIP|ConsulDNSPort|Proxy(UserID|InboundPort|OutboundPort)|Exclude(UIDs|InboundPorts|OutboundCIDRs)|\\PC{0,9}",
        value in prop_oneof![
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            "\\PC{0,20}".prop_map(Value::from),
            proptest::collection::vec("\\PC{0,8}|[0-9:,-]{0,9}", 0..5).prop_map(Value::from),
            Just(json!([[], {}, null])),
        ],
    ) {
        let mut document = injected();
        document[key.as_str()] = value;
        if let Ok((options, _)) = configured(&document) {
            consul::rules(&options);
        }
    }
}
