//! Text that a pod's author writes never breaks a dialect: it becomes options or an error, and options become rules that
//! hold together.

use std::collections::BTreeSet;

use meshward_redirect::dialect::{Flag, Origin, Settings, istio, linkerd};
use meshward_redirect::net::{Family, PortRange, parse_cidr};
use meshward_redirect::{Action, Match, RuleSet};
use proptest::prelude::*;

/// Anything at all, and things that look like what is expected.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[-*,.:/0-9a-f +!%]{0,40}",
        "([0-9]{1,5}(-[0-9]{1,5})?,){0,20}",
        "([0-9]{1,3}\\.){3}[0-9]{1,3}/[0-9]{1,2}",
        "[0-9a-f:]{2,20}/[0-9]{1,3}",
        "([0-9]{1,10},){0,70}[0-9]{0,10}",
        "[a-z]{1,6}[0-9+]?(,[a-z]{1,6}[0-9]){0,4}",
        Just("*".to_string()),
        Just("true".to_string()),
        Just("TPROXY".to_string()),
        Just("on".to_string()),
    ]
}

fn any_settings(flags: &'static [Flag]) -> impl Strategy<Value = Settings> {
    proptest::collection::vec((0..flags.len(), text()), 0..6).prop_map(move |values| {
        let mut settings = Settings::new(flags);
        for (index, value) in values {
            settings.set(flags[index].long, value, Origin::Default);
        }
        settings
    })
}

/// Invariants that the renderers rely on.
fn check(rules: &RuleSet) -> Result<(), TestCaseError> {
    for (table, chain, rule) in rules.rules() {
        let names: BTreeSet<&str> = table.chains.iter().map(|chain| chain.name.as_str()).collect();
        prop_assert_eq!(names.len(), table.chains.len(), "chain names repeat");
        if let Action::Jump(to) = &rule.action {
            prop_assert!(names.contains(to.as_str()), "{} jumps to nowhere", rule.name);
            prop_assert!(to != &chain.name);
        }
        prop_assert!(rules.ipv6 || rule.family() != Some(Family::Ipv6) || rule.action == Action::Return);
        let families: BTreeSet<Family> = rule.matches.iter().filter_map(Match::family).collect();
        prop_assert!(families.len() <= 1, "{} can never apply", rule.name);
        for one in &rule.matches {
            if let Match::Port { ports, .. } = one {
                let slots: usize = ports.iter().map(|range| if range.is_single() { 1 } else { 2 }).sum();
                prop_assert!((1..=15).contains(&slots), "{} has {slots} slots", rule.name);
            }
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn istio_takes_any_text(settings in any_settings(istio::FLAGS)) {
        match istio::Options::from_settings(&settings) {
            Ok(options) => {
                check(&istio::rules(&options))?;
                istio::lints(&options);
            }
            Err(error) => prop_assert!(!error.problem.is_empty()),
        }
    }

    #[test]
    fn linkerd_takes_any_text(settings in any_settings(linkerd::FLAGS)) {
        match linkerd::Options::from_settings(&settings) {
            Ok(options) => {
                check(&linkerd::rules(&options))?;
                linkerd::lints(&options);
            }
            Err(error) => prop_assert!(error.problem.contains("accepted"), "{error}"),
        }
    }

    #[test]
    fn ranges_read_what_they_print(start: u16, end: u16) {
        let text = format!("{start}-{end}");
        match PortRange::parse(&text, '-') {
            Ok(range) => {
                prop_assert!(start <= end);
                prop_assert_eq!((range.start(), range.end()), (start, end));
                prop_assert_eq!(PortRange::parse(&range.to_string(), '-'), Ok(range));
            }
            Err(_) => prop_assert!(start > end),
        }
    }

    #[test]
    fn cidrs_keep_their_host_bits(address: std::net::IpAddr, length in 0u8..=140) {
        let text = format!("{address}/{length}");
        let most = if address.is_ipv4() { 32 } else { 128 };
        match parse_cidr(&text) {
            Ok(net) => prop_assert!(net.addr() == address && net.prefix_len() == length && length <= most),
            Err(_) => prop_assert!(length > most),
        }
        prop_assert!(parse_cidr(&address.to_string()).is_err());
    }

    /// Whatever the list, every port of it is ignored and no other, in as few rules as Linkerd makes.
    #[test]
    fn linkerd_ignores_just_the_listed_ports(
        ranges in proptest::collection::vec((0u16..200, 0u16..5), 0..40),
        port in 0u16..210,
    ) {
        let list: Vec<String> = ranges.iter().map(|(start, more)| format!("{start}-{}", start + more)).collect();
        let mut settings = Settings::new(linkerd::FLAGS);
        settings.set("inbound-ports-to-ignore", list.join(","), Origin::Default);
        let rules = linkerd::rules(&linkerd::Options::from_settings(&settings).expect("valid options"));
        check(&rules)?;
        let ignored = rules.rules().filter(|(_, _, rule)| rule.name == "in.ignore-ports").any(|(_, _, rule)| {
            rule.matches.iter().any(|one| {
                matches!(one, Match::Port { ports, .. } if ports.iter().any(|range| range.contains(port)))
            })
        });
        prop_assert_eq!(ignored, ranges.iter().any(|(start, more)| (*start..=start + more).contains(&port)));
    }
}
