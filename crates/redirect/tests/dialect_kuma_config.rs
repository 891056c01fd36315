//! Kuma's configuration object says the same as its flags, or says what is wrong with it.

use meshward_redirect::dialect::kuma::{self, FLAGS, Options};
use meshward_redirect::dialect::{InvalidOption, Origin, Settings};
use proptest::prelude::*;
use serde_json::{Value, json};

/// The options of a command line with these flags.
fn options(flags: &[(&str, &str)]) -> Options {
    let mut settings = Settings::new(FLAGS);
    for (flag, value) in flags {
        settings.set(flag, *value, Origin::Flag { flag: format!("--{flag}") });
    }
    Options::from_settings(&settings).expect("valid options")
}

fn origin(path: &str) -> Origin {
    Origin::Annotation {
        object: "pod",
        key: "traffic.kuma.io/transparent-proxy-config".into(),
        path: Some(path.into()),
    }
}

/// The configuration of a pod as Kuma's injector writes it.
fn injected() -> Value {
    json!({
        "ipFamilyMode": "dualstack",
        "kumaDPUser": "5678",
        "redirect": {
            "dns": {
                "captureAll": false, "enabled": false, "port": 0,
                "resolvConfigPath": "/etc/resolv.conf", "skipConntrackZoneSplit": false,
            },
            "inbound": {"enabled": true, "excludePorts": [9000], "port": 15006},
            "outbound": {"enabled": true, "port": 15001},
        },
        "retry": {"maxRetries": 4, "sleepBetweenRetries": "2s"},
        "wait": 5,
        "waitInterval": 0,
    })
}

fn configured(documents: &[Value]) -> Result<(Options, Vec<String>), InvalidOption> {
    let mut settings = Settings::new(FLAGS);
    let mut messages = Vec::new();
    for document in documents {
        let lints = kuma::config::apply(document, &mut settings, origin)?;
        messages.extend(lints.into_iter().map(|lint| lint.message));
    }
    Ok((Options::from_settings(&settings)?, messages))
}

#[test]
fn an_injected_configuration_is_the_same_as_its_flags() {
    let (read, messages) = configured(&[injected()]).expect("valid");
    assert_eq!(read, options(&[("exclude-inbound-ports", "9000"), ("redirect-dns-port", "0")]));
    assert!(messages.is_empty());
}

#[test]
fn every_path_sets_its_option() {
    let document = json!({
        "kumaDPUser": 7777, "ipFamilyMode": "ipv4", "dropInvalidPackets": true,
        "log": {"enabled": true, "level": 4},
        "redirect": {
            "inbound": {
                "enabled": false, "port": 1, "includePorts": "2, 3", "excludePorts": ["4", 5],
                "excludePortsForIPs": ["10.0.0.1", "fd00::/8"], "excludePortsForUIDs": ["6"],
                "insertRedirectInsteadOfAppend": true,
            },
            "outbound": {
                "enabled": false, "port": 7, "includePorts": [8], "excludePorts": 9,
                "excludePortsForIPs": ["10.0.0.2"], "excludePortsForUIDs": ["tcp:22,23:1000", "1001"],
                "insertRedirectInsteadOfAppend": true,
            },
            "dns": {
                "enabled": true, "captureAll": true, "port": 10, "resolvConfigPath": "/x",
                "skipConntrackZoneSplit": true,
            },
            "vnet": {"networks": ["docker0:172.17.0.0/16"]},
        },
        "comments": {"disabled": true}, "storeFirewalld": true, "wait": 1, "waitInterval": 2,
        "retry": {"maxRetries": 3, "sleepBetweenRetries": "4s"}, "dryRun": true, "verbose": true,
        "cniMode": true, "iptablesExecutables": {"iptables": "/sbin/iptables"}, "ebpf": {"enabled": false},
    });
    let mut settings = Settings::new(FLAGS);
    assert_eq!(kuma::config::apply(&document, &mut settings, origin).expect("valid"), []);
    let options = Options::from_settings(&settings).expect("valid");
    insta::assert_snapshot!(serde_json::to_string_pretty(&options).expect("JSON"));
    let mut unset: Vec<&str> =
        FLAGS.iter().map(|flag| flag.long).filter(|long| !settings.is_set(long)).collect();
    // Flags of the command alone, what other keys of this document stand for, and ours.
    unset.retain(|long| {
        !long.starts_with("ebpf") && !["config", "iptables-executables", "dns-servers"].contains(long)
    });
    assert_eq!(unset, ["redirect-dns-upstream-target-chain"]);
}

#[test]
fn documents_merge_and_null_keeps() {
    let second = json!({"REDIRECT": {"Inbound": {"Port": 2222, "excludePorts": null}}, "log": null});
    let (read, _) = configured(&[injected(), second]).expect("valid");
    assert_eq!((read.inbound.port, read.inbound.exclude_ports), (2222, vec![9000]));
    let (read, _) =
        configured(&[injected(), json!({"redirect": {"inbound": {"excludePorts": []}}})]).expect("valid");
    assert!(read.inbound.exclude_ports.is_empty());
    assert_eq!(configured(&[Value::Null]).expect("valid").0, options(&[]));
}

#[test]
fn dns_of_a_configuration() {
    let dns = |enabled: Option<bool>, all: bool| {
        let mut dns = json!({"captureAll": all});
        if let Some(enabled) = enabled {
            dns["enabled"] = enabled.into();
        }
        let dns = configured(&[json!({"redirect": {"dns": dns}})]).expect("valid").0.dns;
        (dns.enabled, dns.capture_all)
    };
    assert_eq!(dns(Some(true), true), (true, true));
    assert_eq!(dns(Some(true), false), (true, false));
    assert_eq!(dns(Some(false), true), (false, true));
    assert_eq!(dns(None, true), (true, true));
}

#[test]
fn unknown_keys_are_told_with_the_nearest() {
    let document = json!({"redirect": {"inbound": {"exludePorts": [1]}, "sidecar": 1}, "kumaDPUsr": 1});
    let (_, messages) = configured(&[document]).expect("valid");
    assert_eq!(
        messages,
        [
            "unknown key redirect.inbound.exludePorts: ignored (the nearest known one is redirect.inbound.excludePorts)",
            "unknown key redirect.sidecar: ignored",
            "unknown key kumaDPUsr: ignored (the nearest known one is kumaDPUser)",
        ]
    );
}

#[test]
fn a_wrong_type_names_its_path_and_sets_nothing() {
    let refused = |document: Value| {
        let mut settings = Settings::new(FLAGS);
        let error = kuma::config::apply(&document, &mut settings, origin).expect_err("invalid");
        assert!(settings.all().all(|setting| setting.origin == Origin::Default));
        error.to_string()
    };
    let cases = [
        refused(json!({"verbose": true, "redirect": {"inbound": {"enabled": "true"}}})),
        refused(json!({"redirect": {"inbound": {"excludePorts": [[1]]}}})),
        refused(json!({"redirect": {"outbound": {"excludePortsForIPs": "10.0.0.1"}}})),
        refused(json!({"redirect": {"outbound": {"excludePortsForUIDs": ["1;2"]}}})),
        refused(json!({"redirect": {"dns": []}})),
        refused(json!("redirect")),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

proptest! {
    #[test]
    fn any_document_is_read_or_refused(document in document()) {
        if let Ok((options, _)) = configured(&[document]) {
            kuma::rules(&options);
        }
    }
}

/// JSON of any shape whose keys are often Kuma's.
fn document() -> impl Strategy<Value = Value> {
    let keys = "redirect|inbound|outbound|dns|vnet|enabled|port|log|level|[a-zA-Z.]{0,12}|\\PC{0,4}";
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((keys, inner), 0..6).prop_map(|entries| entries.into_iter().collect()),
        ]
    })
}
