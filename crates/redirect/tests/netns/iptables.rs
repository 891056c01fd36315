//! The iptables renderer and backend, both variants, against the programs and the kernel.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use meshward_redirect::iptables::{Iptables, IptablesError, Ours, Variant};
use meshward_redirect::net::Family;
use meshward_redirect::netns::NetNs;
use meshward_redirect::render::iptables::{SEPARATOR, render, render_family};
use meshward_redirect::rtnl::RouteSocket;
use meshward_redirect::{Mesh, RuleSet};

use crate::bed::{feed, iptables_works, namespace, run};
use crate::fixture::{everything, small};

const VARIANTS: [Variant; 2] = [Variant::Nft, Variant::Legacy];

/// Both variants, each with a fresh namespace.
fn beds() -> impl Iterator<Item = (Iptables, NetNs)> {
    VARIANTS.into_iter().filter(|_| iptables_works()).filter_map(|variant| {
        let ns = namespace()?;
        match Iptables::find(variant) {
            Ok(programs) => Some((programs, ns)),
            Err(error) => {
                meshward_netlab::skipped(&error.to_string());
                None
            }
        }
    })
}

/// The rules in force in a family, without the lines that change by themselves and without empty tables, which the
/// programs leave behind.
fn saved(iptables: &Iptables, ns: &NetNs, family: Family) -> String {
    let stem = if family == Family::Ipv4 { "iptables" } else { "ip6tables" };
    let text = run(ns, &format!("{stem}-{}-save", iptables.variant().name()), &[]);
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.contains(" ACCEPT ["));
    let text: String = lines.map(|line| format!("{line}\n")).collect();
    let tables = text.split_inclusive("COMMIT\n").filter(|table| table.lines().count() > 2);
    tables.collect()
}

fn both(iptables: &Iptables, ns: &NetNs) -> [String; 2] {
    Family::BOTH.map(|family| saved(iptables, ns, family))
}

#[test]
fn every_match_and_action_has_its_conventional_spelling() {
    insta::assert_snapshot!(render(&everything()));
}

#[test]
fn ipv6_that_is_not_captured_leaves_no_trace_in_the_text() {
    let text = render(&small(Mesh::Consul, false, 15001));
    let (ipv4, ipv6) = text.split_once(SEPARATOR).unwrap();
    assert!(ipv6.is_empty() && !ipv4.contains("family.ipv6"), "{text}");
    assert!(ipv4.contains("-A OUTPUT -j MESHWARD_CONSUL_OUTPUT\n"), "{text}");
    assert!(!ipv4.contains("PREROUTING"), "{text}");
}

#[test]
fn text_from_data_cannot_leave_its_quotes() {
    let mut rules = small(Mesh::Istio, false, 15001);
    rules.tables[0].chains[0].rules[1].name = "x\"\nCOMMIT\n*filter\n\\".into();
    let text = render(&rules);
    assert!(text.contains(r#"--comment "meshward:x\"?COMMIT?*filter?\\" -j"#), "{text}");
}

#[test]
fn both_variants_take_the_text() {
    for (iptables, ns) in beds() {
        for (family, stem) in [(Family::Ipv4, "iptables"), (Family::Ipv6, "ip6tables")] {
            let program = format!("{stem}-{}-restore", iptables.variant().name());
            let text = render_family(&everything(), family);
            feed(&ns, &program, &["--test"], &text);
            assert_eq!(saved(&iptables, &ns, family).matches("-A").count(), 0);
            feed(&ns, &program, &[], &text);
            let rules = |text: &str| text.matches("\n-A ").count();
            assert_eq!(rules(&saved(&iptables, &ns, family)), rules(&text), "{program}");
        }
    }
}

#[test]
fn rules_are_put_in_force_once_and_compared_with_the_kernel() {
    for (iptables, ns) in beds() {
        let rules = everything();
        assert!(!iptables.compare(&ns, &rules).unwrap().is_empty());
        assert!(iptables.replace(&ns, &rules).unwrap());
        let first = both(&iptables, &ns);
        assert_eq!(iptables.compare(&ns, &rules).unwrap(), []);
        assert!(!iptables.replace(&ns, &rules).unwrap());
        assert_eq!(both(&iptables, &ns), first);

        // Another set takes the place of the first: no chain and no jump of it stays, IPv6 goes altogether.
        let other = small(Mesh::Istio, false, 15001);
        assert!(iptables.replace(&ns, &other).unwrap());
        assert_eq!(iptables.compare(&ns, &other).unwrap(), []);
        let [ipv4, ipv6] = both(&iptables, &ns);
        assert_eq!(ipv4.matches("-A").count(), other.rules().count() - 1 + 1, "{ipv4}");
        assert!(!ipv6.contains("-A"), "{ipv6}");
        assert!(!iptables.remove(&ns, &Ours::meshward(Mesh::Istio)).unwrap().is_empty());
        assert!(iptables.remove(&ns, &Ours::meshward(Mesh::Istio)).unwrap().is_empty());
        assert_eq!(both(&iptables, &ns).concat().matches("MESHWARD").count(), 0);
    }
}

#[test]
fn foreign_rules_stay_through_everything() {
    const FOREIGN: &str = "*nat\n:FOREIGN - [0:0]\n:MESHWARD_LINKERD_OUTPUT - [0:0]\n-A OUTPUT -p tcp -m tcp --dport 1 -j RETURN\n\
        -A OUTPUT -j FOREIGN\n-A OUTPUT -m comment --comment \"meshward:-j MESHWARD_ISTIO_OUTPUT\" -j RETURN\n\
        -A FOREIGN -p udp -j REDIRECT --to-ports 7\n-A FOREIGN -j MESHWARD_LINKERD_OUTPUT\nCOMMIT\n\
        *filter\n-A INPUT -p tcp -m tcp --dport 99 -j DROP\nCOMMIT\n";
    for (iptables, ns) in beds() {
        for stem in ["iptables", "ip6tables"] {
            feed(&ns, &format!("{stem}-{}-restore", iptables.variant().name()), &[], FOREIGN);
        }
        let before = both(&iptables, &ns);
        let foreign = |text: &String| {
            text.lines()
                .filter(|line| !line.contains("_ISTIO_") || line.contains("--comment \"meshward:-j"))
                .map(|line| format!("{line}\n"))
                .collect::<String>()
        };
        assert!(iptables.replace(&ns, &small(Mesh::Istio, true, 1)).unwrap());
        assert_eq!(both(&iptables, &ns).each_ref().map(foreign), before);
        assert!(iptables.replace(&ns, &small(Mesh::Istio, true, 2)).unwrap());
        let before_ours = iptables.foreign_rules(&ns, Mesh::Istio).unwrap();
        assert_eq!(before_ours.len(), 6, "{before_ours:?}");
        assert_eq!(before_ours[1], "ipv4 nat OUTPUT: -j FOREIGN");
        assert!(!iptables.remove(&ns, &Ours::meshward(Mesh::Istio)).unwrap().is_empty());
        assert_eq!(both(&iptables, &ns), before);
    }
}

/// Runs one `iptables` command of the variant.
fn tamper(iptables: &Iptables, ns: &NetNs, command: &str) {
    let arguments: Vec<&str> = command.split(' ').collect();
    run(ns, &format!("iptables-{}", iptables.variant().name()), &arguments);
}

#[test]
fn every_kind_of_drift_is_seen_and_repaired() {
    let cases = [
        (vec!["-t nat -D MESHWARD_ISTIO_OUTPUT 2"], "ipv4 nat MESHWARD_ISTIO_OUTPUT: missing rule -p tcp"),
        (
            vec!["-t nat -I MESHWARD_ISTIO_REDIRECT -j RETURN"],
            "ipv4 nat MESHWARD_ISTIO_REDIRECT: unexpected rule -j RETURN",
        ),
        (vec!["-t nat -D OUTPUT 1"], "ipv4 nat OUTPUT: missing rule -j MESHWARD_ISTIO_OUTPUT"),
        (
            vec!["-t nat -A OUTPUT -j MESHWARD_ISTIO_OUTPUT"],
            "ipv4 nat OUTPUT: unexpected rule -j MESHWARD_ISTIO_OUTPUT",
        ),
        (
            vec!["-t nat -A OUTPUT -p udp -j MESHWARD_ISTIO_REDIRECT"],
            "ipv4 nat OUTPUT: unexpected rule -p udp -j MESHWARD_ISTIO_REDIRECT",
        ),
        (vec!["-t nat -N MESHWARD_ISTIO_OLD"], "ipv4 nat MESHWARD_ISTIO_OLD: the chain should not be there"),
        (
            vec![
                "-t nat -F MESHWARD_ISTIO_OUTPUT",
                "-t nat -F MESHWARD_ISTIO_REDIRECT",
                "-t nat -X MESHWARD_ISTIO_REDIRECT",
            ],
            "ipv4 nat MESHWARD_ISTIO_REDIRECT: the chain is missing",
        ),
        (vec!["-t nat -F"], "ipv4 nat OUTPUT: missing rule"),
        (
            vec!["-t mangle -N MESHWARD_ISTIO_X", "-t mangle -A PREROUTING -j MESHWARD_ISTIO_X"],
            "ipv4 mangle MESHWARD_ISTIO_X: the chain should not be there",
        ),
    ];
    for (iptables, ns) in beds() {
        let rules = small(Mesh::Istio, true, 15001);
        assert!(iptables.replace(&ns, &rules).unwrap());
        let right = both(&iptables, &ns);
        for (commands, expected) in &cases {
            commands.iter().for_each(|command| tamper(&iptables, &ns, command));
            let found: Vec<String> =
                iptables.compare(&ns, &rules).unwrap().iter().map(ToString::to_string).collect();
            assert!(found.iter().any(|line| line.starts_with(expected)), "{commands:?}: {found:?}");
            assert!(iptables.replace(&ns, &rules).unwrap());
            assert_eq!(both(&iptables, &ns).concat(), right.concat(), "{commands:?}");
        }
        // The order alone.
        let line = saved(&iptables, &ns, Family::Ipv4)
            .lines()
            .find(|line| line.contains("out.proxy"))
            .unwrap()
            .to_string();
        let program = format!("iptables-{}-restore", iptables.variant().name());
        feed(
            &ns,
            &program,
            &["--noflush"],
            &format!("*nat\n{}\n{line}\nCOMMIT\n", line.replacen("-A", "-D", 1)),
        );
        let found: Vec<String> =
            iptables.compare(&ns, &rules).unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(found, ["ipv4 nat MESHWARD_ISTIO_OUTPUT: the rules are in another order"]);
        assert!(iptables.replace(&ns, &rules).unwrap());
        assert_eq!(iptables.compare(&ns, &rules).unwrap(), []);
    }
}

/// A folder with this variant's real programs, one of them wrapped by a shell script.
fn wrapped(variant: Variant, program: &str, script: &str) -> (tempfile::TempDir, Iptables) {
    let folder = tempfile::tempdir().unwrap();
    for stem in ["iptables", "ip6tables"] {
        for verb in ["restore", "save"] {
            let name = format!("{stem}-{}-{verb}", variant.name());
            symlink(Path::new("/usr/sbin").join(&name), folder.path().join(&name)).unwrap();
        }
    }
    let name = program.replace('*', variant.name());
    let path = folder.path().join(&name);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, format!("#!/bin/sh\nREAL=/usr/sbin/{name}\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    let iptables = Iptables::find_in(variant, &[folder.path().to_path_buf()]).unwrap();
    (folder, iptables)
}

/// A namespace that scripts can tell from the scratch namespace: it has an interface `eth7`.
fn marked() -> Option<NetNs> {
    let ns = namespace().filter(|_| iptables_works())?;
    ns.run(RouteSocket::open)
        .unwrap()
        .unwrap()
        .add_veth(&"eth7".parse().unwrap(), &"eth8".parse().unwrap(), &ns)
        .unwrap();
    Some(ns)
}

fn refused_and_put_back(iptables: &Iptables, ns: &NetNs, old: &RuleSet, new: &RuleSet) {
    let plain = Iptables::find(iptables.variant()).unwrap();
    assert!(plain.replace(ns, old).unwrap());
    let before = both(&plain, ns);
    let error = iptables.replace(ns, new).unwrap_err();
    assert!(matches!(&error, IptablesError::Refused { message, .. } if message == "no luck"), "{error}");
    assert_eq!(both(&plain, ns), before);
    assert_eq!(plain.compare(ns, old).unwrap(), []);
}

#[test]
fn when_ipv6_fails_ipv4_is_as_it_was() {
    let script = "grep -q eth7 /proc/net/dev && { echo no luck >&2; exit 4; }; exec $REAL \"$@\"";
    for variant in VARIANTS {
        let Some(ns) = marked() else { return };
        let (_folder, iptables) = wrapped(variant, "ip6tables-*-restore", script);
        refused_and_put_back(&iptables, &ns, &small(Mesh::Istio, false, 1), &everything());
    }
}

#[test]
fn when_a_later_table_fails_the_earlier_ones_are_as_they_were() {
    for variant in VARIANTS {
        let Some(ns) = marked() else { return };
        let once = tempfile::NamedTempFile::new().unwrap();
        // Fails once in the marked namespace, after everything has been committed.
        let script = format!(
            "$REAL \"$@\"; grep -q eth7 /proc/net/dev && rm {} 2>/dev/null && {{ echo no luck >&2; exit 4; }}; exit 0",
            once.path().display()
        );
        let (_folder, iptables) = wrapped(variant, "iptables-*-restore", &script);
        refused_and_put_back(&iptables, &ns, &small(Mesh::Istio, true, 1), &everything());
    }
}

#[test]
fn a_refusal_names_our_line() {
    for (iptables, ns) in beds() {
        let mut rules = small(Mesh::Istio, false, 15001);
        // REDIRECT without a protocol is nothing that iptables takes.
        rules.tables[0].chains[1].rules[0].matches.clear();
        let error = iptables.replace(&ns, &rules).unwrap_err().to_string();
        assert!(error.contains("out.redirect"), "{error}");
        assert!(!both(&iptables, &ns).concat().contains("MESHWARD"));
    }
}

#[test]
fn programs_are_found_by_variant_and_missed_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let empty = [folder.path().to_path_buf()];
    let error = Iptables::find_in(Variant::Legacy, &empty).unwrap_err().to_string();
    assert!(error.starts_with("cannot find iptables-restore of iptables-legacy in /"), "{error}");
    // Only plain names: what they are decides.
    for verb in ["restore", "save"] {
        let name = format!("iptables-{verb}");
        let target = format!("/usr/sbin/iptables-legacy-{verb}");
        symlink(target, folder.path().join(name)).unwrap();
    }
    assert_eq!(Iptables::find_in(Variant::Legacy, &empty).unwrap().variant(), Variant::Legacy);
    assert!(Iptables::find_in(Variant::Nft, &empty).is_err());
    // Without ip6tables a set that leaves IPv6 alone works, one that captures it is refused before anything is done.
    let Some(ns) = namespace().filter(|_| iptables_works()) else { return };
    let iptables = Iptables::find_in(Variant::Legacy, &empty).unwrap();
    assert!(iptables.replace(&ns, &small(Mesh::Istio, false, 1)).unwrap());
    let error = iptables.replace(&ns, &small(Mesh::Istio, true, 2)).unwrap_err();
    assert!(
        matches!(&error, IptablesError::Missing { program, .. } if program == "ip6tables-restore"),
        "{error}"
    );
    assert_eq!(iptables.compare(&ns, &small(Mesh::Istio, false, 1)).unwrap(), []);
    iptables.works_in(&ns).unwrap();
}

#[test]
fn chains_of_others_are_listed_and_removed_by_name() {
    const OLDER: &str = "*nat\n:ISTIO_OUTPUT - [0:0]\n:ISTIO_REDIRECT - [0:0]\n:KEEP - [0:0]\n-A OUTPUT -p tcp -j ISTIO_OUTPUT\n-A OUTPUT -j KEEP\n\
        -A ISTIO_OUTPUT -j ISTIO_REDIRECT\n-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001\n-A KEEP -j ISTIO_OUTPUT\nCOMMIT\n";
    let ours = Ours::prefixes(vec!["ISTIO_".into()]);
    for (iptables, ns) in beds() {
        feed(&ns, &format!("iptables-{}-restore", iptables.variant().name()), &[], OLDER);
        let found = iptables.chains(&ns, &ours).unwrap();
        assert_eq!(
            found,
            [
                "ipv4 nat ISTIO_OUTPUT",
                "ipv4 nat ISTIO_REDIRECT",
                "ipv4 nat OUTPUT: -p tcp -j ISTIO_OUTPUT",
                "ipv4 nat KEEP: -j ISTIO_OUTPUT",
            ]
        );
        assert_eq!(iptables.remove(&ns, &ours).unwrap(), found);
        assert!(iptables.remove(&ns, &ours).unwrap().is_empty());
        assert_eq!(saved(&iptables, &ns, Family::Ipv4), "*nat\n:KEEP - [0:0]\n-A OUTPUT -j KEEP\nCOMMIT\n");
    }
}
