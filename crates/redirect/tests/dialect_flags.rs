//! The tables of flags: each flag does what its row says, by argument, by environment and by default.

use std::collections::BTreeSet;

use meshward_redirect::dialect::flags::{args, environment, parse_arguments};
use meshward_redirect::dialect::{Effect, Flag, Origin, Settings, Surroundings, build, istio, linkerd};
use meshward_redirect::{Mesh, RuleSet};

fn variable(name: &str) -> Origin {
    Origin::Environment { container: "istio-init".into(), variable: name.into() }
}

fn istio_rules(settings: &Settings) -> RuleSet {
    let both = Surroundings { global_ipv4: Some(true), global_ipv6: Some(true) };
    build(Mesh::Istio, settings, both).expect("valid options").rules
}

fn linkerd_rules(settings: &Settings) -> RuleSet {
    linkerd::rules(&linkerd::Options::from_settings(settings).expect("valid options"))
}

fn settings(flags: &'static [Flag], values: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::new(flags);
    for (option, value) in values {
        settings.set(option, *value, Origin::Default);
    }
    settings
}

fn with_environment(flags: &'static [Flag], variables: &[(&str, &str)]) -> Settings {
    let variables: Vec<(String, String)> =
        variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    let mut settings = Settings::new(flags);
    environment(&variables, &mut settings, variable);
    settings
}

#[test]
fn tables_make_command_lines() {
    for flags in [istio::FLAGS, linkerd::FLAGS] {
        for taken in [&[][..], &['o'][..]] {
            clap::Command::new("rules").args(args(flags, taken)).debug_assert();
        }
        let variables: Vec<&str> = flags.iter().flat_map(|flag| flag.environment).copied().collect();
        assert_eq!(
            variables.len(),
            variables.iter().collect::<BTreeSet<_>>().len(),
            "a variable sets two flags"
        );
    }
}

/// A row that says it changes rules has a value here that does, beside the other options given; the rest do not.
#[test]
fn effects_are_as_stated() {
    let captured = &[("istio-inbound-ports", "*"), ("istio-service-cidr", "*")][..];
    let tproxy = &[("istio-inbound-ports", "*"), ("istio-inbound-interception-mode", "TPROXY")][..];
    let dns = &[("redirect-dns", "true"), ("dns-servers", "10.0.0.1")][..];
    for flag in istio::FLAGS {
        let (beside, value) = match flag.long {
            "envoy-port" | "inbound-capture-port" | "inbound-tunnel-port" => (captured, "1"),
            "proxy-uid" | "proxy-gid" => (captured, "7"),
            "istio-inbound-interception-mode" => (captured, "NONE"),
            "istio-inbound-ports" | "istio-outbound-ports" | "istio-local-outbound-ports-exclude" => {
                (&[][..], "80")
            }
            "istio-local-exclude-ports" => (captured, "80"),
            "istio-exclude-interfaces" | "kube-virt-interfaces" => (&[][..], "eth1"),
            "istio-service-cidr" | "istio-service-exclude-cidr" => (&[][..], "10.0.0.0/8"),
            "istio-inbound-tproxy-mark" | "istio-inbound-tproxy-route-table" => (tproxy, "9"),
            "redirect-dns" | "drop-invalid" => (&[][..], "true"),
            "capture-all-dns" => (dns, "true"),
            "dns-servers" => (&dns[..1], "10.0.0.1"),
            "outbound-owner-groups" | "outbound-owner-groups-exclude" => (&[][..], "5"),
            "dual-stack" => (&[][..], "true"),
            "outbound-ipv4-loopback-cidr" => (&[][..], "127.0.0.0/8"),
            "ipv6" => (&[][..], "on"),
            // It decides whether options are accepted.
            "envoy-user" => continue,
            _ => (captured, if flag.default == "false" { "true" } else { "9" }),
        };
        let before = settings(istio::FLAGS, beside);
        let mut after = before.clone();
        after.set(flag.long, value, Origin::Default);
        let changes = istio_rules(&before) != istio_rules(&after);
        assert_eq!(changes, flag.effect == Effect::Rules, "{} {value}", flag.long);
    }
    for flag in linkerd::FLAGS {
        let value = match flag.long {
            "subnets-to-ignore" => "10.0.0.0/8",
            _ if flag.default == "false" => "true",
            _ if flag.default == "true" => "false",
            _ => "9",
        };
        let changes = linkerd_rules(&Settings::new(linkerd::FLAGS))
            != linkerd_rules(&settings(linkerd::FLAGS, &[(flag.long, value)]));
        assert_eq!(changes, flag.effect == Effect::Rules, "{} {value}", flag.long);
    }
}

/// Istio's variables are the flags' names in capitals, but for those it reads with no flag and for `--envoy-port`.
#[test]
fn istio_variables_follow_the_names() {
    let own = ["ipv6", "dns-servers", "envoy-port", "enable-inbound-ipv6"];
    for flag in istio::FLAGS.iter().filter(|flag| !own.contains(&flag.long) && !flag.long.contains("log")) {
        let derived = flag.long.to_uppercase().replace('-', "_");
        let found =
            flag.environment.iter().any(|name| *name == derived || *name == format!("ISTIO_{derived}"));
        assert!(found, "{} has no variable {derived}", flag.long);
    }
}

#[test]
fn environment_sets_options() {
    let settings = with_environment(
        istio::FLAGS,
        &[
            ("PATH", "/bin"),
            ("ISTIO_INBOUND_PORTS", "80"),
            ("ISTIO_INBOUND_PORTS", "*"),
            ("ENVOY_PORT", "1"),
            ("ISTIO_OUTBOUND_OWNER_GROUPS", ""),
            ("DROP_INVALID", "true"),
        ],
    );
    let inbound = settings.get("istio-inbound-ports");
    assert_eq!((inbound.value.as_str(), inbound.origin), ("*", variable("ISTIO_INBOUND_PORTS")));
    assert!(!settings.is_set("envoy-port"), "Istio binds no variable to --envoy-port");
    let options = istio::Options::from_settings(&settings).expect("valid options");
    assert!(options.owner_groups.is_empty(), "an empty list of groups is a list");
    assert!(options.drop_invalid);
    assert!(
        with_environment(linkerd::FLAGS, &[("IPV6", "false")]).all().all(|one| one.origin == Origin::Default)
    );
}

#[test]
fn the_strongest_variable_counts() {
    let dns = |variables: &[(&str, &str)]| with_environment(istio::FLAGS, variables).get("redirect-dns");
    assert_eq!(dns(&[("REDIRECT_DNS", "true"), ("ISTIO_META_DNS_CAPTURE", "false")]).value, "false");
    // Istio ignores a switch that is set to nothing.
    assert_eq!(dns(&[("REDIRECT_DNS", "true"), ("ISTIO_META_DNS_CAPTURE", "")]).value, "true");
    assert_eq!(dns(&[("ISTIO_META_DNS_CAPTURE", "")]).origin, Origin::Default);
}

#[test]
fn arguments_beat_the_environment() {
    let mut settings = with_environment(istio::FLAGS, &[("PROXY_UID", "5"), ("PROXY_GID", "6")]);
    let arguments = ["-u".to_string(), "7".to_string()];
    let origin = |flag: &str| Origin::Argument { container: "istio-init".into(), flag: format!("--{flag}") };
    parse_arguments("istio-iptables", istio::FLAGS, &arguments, &mut settings, origin).expect("arguments");
    let options = istio::Options::from_settings(&settings).expect("valid options");
    assert_eq!((options.proxy_uid, options.proxy_gid), (vec![7], vec![6]));
    assert_eq!(settings.get("proxy-uid").origin.to_string(), "argument --proxy-uid of container istio-init");
}

#[test]
fn errors_name_their_source() {
    let settings = with_environment(istio::FLAGS, &[("ISTIO_OUTBOUND_OWNER_GROUPS", "java")]);
    let error = istio::Options::from_settings(&settings).expect_err("a name");
    assert_eq!(
        error.to_string(),
        "environment variable ISTIO_OUTBOUND_OWNER_GROUPS of container istio-init: found \"java\", accepted: a numeric \
         user or group id, 0 to 4294967294 (names are not looked up) (option outbound-owner-groups)"
    );
}

#[test]
fn an_absent_list_of_dns_servers_is_not_an_empty_one() {
    let asked = |servers: &[(&str, &str)]| {
        let values = [&[("redirect-dns", "true")], servers].concat();
        istio::Options::from_settings(&settings(istio::FLAGS, &values)).expect("valid options")
    };
    assert_eq!(asked(&[]).dns(), istio::Dns::All);
    assert_eq!(asked(&[("dns-servers", "")]).dns(), istio::Dns::Off);
    let server = "10.0.0.1".parse().expect("an address");
    assert_eq!(asked(&[("dns-servers", "10.0.0.1")]).dns(), istio::Dns::Servers(&[server]));
}
