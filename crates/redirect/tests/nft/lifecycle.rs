//! Putting in force, replacing, refusing, removing.

use meshward_redirect::net::Protocol;
use meshward_redirect::nft::{self, ForeignChain, Lock, NftError, Refused, Step};
use meshward_redirect::{Action, Hook, Match, Mesh};
use rustix::io::Errno;

use crate::bed::{Bed, has_nft};
use crate::sets::{self, chain, rule, rule_set};

#[test]
fn replace_creates_then_replaces_and_remove_leaves_nothing() {
    let Some(bed) = Bed::new() else { return };
    let socket = bed.socket();
    let rules = sets::istio();
    assert_eq!(nft::fingerprint(&socket, Mesh::Istio).unwrap(), None);
    assert!(!nft::remove(&socket, Mesh::Istio).unwrap());

    let first = nft::replace(&socket, &rules, Lock::Off).unwrap();
    assert!(first.created && !first.locked);
    assert_eq!(nft::fingerprint(&socket, Mesh::Istio).unwrap(), Some(rules.fingerprint()));
    assert_eq!(nft::compare(&socket, &rules).unwrap(), None);

    let again = nft::replace(&socket, &sets::everything(), Lock::Off).unwrap();
    assert!(!again.created);
    assert_eq!(again.fingerprint, sets::everything().fingerprint());
    assert!(nft::compare(&socket, &rules).unwrap().is_some());
    assert_eq!(nft::compare(&socket, &sets::everything()).unwrap(), None);

    assert!(nft::remove(&socket, Mesh::Istio).unwrap());
    assert_eq!(nft::state(&socket, Mesh::Istio).unwrap(), None);
}

#[test]
fn foreign_tables_are_not_touched() {
    let Some(bed) = Bed::new().filter(|_| has_nft()) else { return };
    bed.command(
        "table ip mine { chain c { type nat hook output priority -150; ip daddr 10.0.0.1 return; }; }",
    );
    bed.command("table inet meshward_linkerd { chain c { }; }");
    let before = bed.nft(&["list", "ruleset"], "");
    let socket = bed.socket();
    nft::replace(&socket, &sets::istio(), Lock::Off).unwrap();
    nft::replace(&socket, &sets::istio(), Lock::Off).unwrap();
    assert!(bed.nft(&["list", "ruleset"], "").contains(before.trim()));
    assert!(nft::remove(&socket, Mesh::Istio).unwrap());
    assert_eq!(bed.nft(&["list", "ruleset"], ""), before);
}

#[test]
fn nat_chains_of_others_on_our_hooks_are_told() {
    let Some(bed) = Bed::new().filter(|_| has_nft()) else { return };
    let socket = bed.socket();
    nft::replace(&socket, &sets::istio(), Lock::Off).unwrap();
    bed.command(
        "table ip a { chain early { type nat hook output priority -150; counter; };
            chain idle { type nat hook output priority -150; }; }
         table inet b { chain late { type nat hook prerouting priority 5; policy drop; }; }
         table ip6 c { chain after { type nat hook postrouting priority 100; }; }
         table inet d { chain other { type filter hook output priority 0; }; chain plain { }; }",
    );
    let foreign = |family, table: &str, chain: &str, hook, priority| ForeignChain {
        family,
        table: table.into(),
        chain: chain.into(),
        hook,
        priority,
    };
    let mut found = nft::foreign_nat_chains(&socket).unwrap();
    found.sort_by(|a, b| a.table.cmp(&b.table));
    let wanted = [foreign(2, "a", "early", Hook::Output, -150), foreign(1, "b", "late", Hook::Prerouting, 5)];
    assert_eq!(found, wanted);
}

#[test]
fn a_refused_rule_is_named_and_nothing_changes() {
    let Some(bed) = Bed::new() else { return };
    let socket = bed.socket();
    nft::replace(&socket, &sets::istio(), Lock::Off).unwrap();
    let mut bad = sets::everything();
    // The kernel takes no redirect outside of nat.
    let redirect = rule("bad.redirect", vec![Match::Protocol(Protocol::Tcp)], Action::Redirect(1));
    bad.tables[1].chains[1].rules.insert(1, redirect);
    for attempt in [nft::replace(&socket, &bad, Lock::Off).map(|_| ()), nft::probe(&socket, &bad)] {
        let Err(NftError::Refused(refused)) = attempt else { panic!("{attempt:?}") };
        assert_eq!(refused.errno, Errno::OPNOTSUPP);
        let Step::Rule { chain, rule, text } = &refused.step else { panic!("{refused:?}") };
        assert_eq!((&**chain, &**rule), ("mangle_output", "bad.redirect"));
        assert_eq!(text, "meta l4proto tcp counter redirect to :1");
    }
    assert_eq!(nft::compare(&socket, &sets::istio()).unwrap(), None);
    nft::probe(&socket, &sets::everything()).unwrap();
    assert_eq!(nft::compare(&socket, &sets::istio()).unwrap(), None);
}

#[test]
fn rules_that_nf_tables_cannot_say_are_refused_before_it_is_asked() {
    let Some(bed) = Bed::new() else { return };
    let socket = bed.socket();
    let many = vec![Match::uid(1, true); 70];
    let table = [
        (rule("a", vec![], Action::Redirect(1)), "must match a protocol"),
        (rule("b", vec![], sets::jump("nowhere")), "jumps to a chain that is not there"),
        (rule("c", many, Action::Return), "more matches than"),
    ];
    for (rule, problem) in table {
        let output = chain("output", Some(Hook::Output), vec![rule]);
        let rules = rule_set(vec![meshward_redirect::Table {
            kind: meshward_redirect::TableKind::Nat,
            chains: vec![output],
        }]);
        let error = nft::replace(&socket, &rules, Lock::Off).unwrap_err();
        assert!(matches!(error, NftError::Inexpressible { .. }), "{error:?}");
        assert!(error.to_string().contains(problem), "{error}");
        assert!(error.to_string().contains("nat_output"), "{error}");
    }
    assert_eq!(nft::state(&socket, Mesh::Istio).unwrap(), None);
}

#[test]
fn thousands_of_rules_fit_in_one_batch() {
    let Some(bed) = Bed::new() else { return };
    let socket = bed.socket();
    let mut rules = sets::istio();
    let ports =
        |n: u16| vec![(n % 7 * 1000).into(), meshward_redirect::net::PortRange::new(n, n + 1).unwrap()];
    let many = (0..2000).map(|n| {
        let one =
            Match::ports(Protocol::Tcp, meshward_redirect::ruleset::Side::Destination, ports(n), n % 2 == 0);
        rule(&format!("many.{n}"), vec![one], Action::Return)
    });
    rules.tables[0].chains[2].rules.extend(many);
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    assert_eq!(nft::compare(&socket, &rules).unwrap(), None);
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    assert_eq!(nft::compare(&socket, &rules).unwrap(), None);

    // Two thousand refusals do not fit in a receive buffer; the first must still be told.
    rules.tables[0].kind = meshward_redirect::TableKind::Mangle;
    for rule in &mut rules.tables[0].chains[2].rules {
        rule.matches = vec![Match::Protocol(Protocol::Tcp)];
        rule.action = Action::Redirect(5);
    }
    let error = nft::replace(&socket, &rules, Lock::Off).unwrap_err();
    assert!(matches!(&error, NftError::Refused(Refused { errno: Errno::OPNOTSUPP, .. })), "{error}");
}

#[test]
fn a_missing_privilege_is_named() {
    let Some(bed) = Bed::new() else { return };
    let owned = bed.socket();
    nft::replace(&owned, &sets::istio(), Lock::Off).unwrap();
    let errors = bed.run(|| {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let socket = nft::NfSocket::open().unwrap();
        let mut sets_of_thread = capabilities(None).unwrap();
        sets_of_thread.effective.remove(CapabilitySet::NET_ADMIN);
        set_capabilities(None, sets_of_thread).unwrap();
        [
            nft::replace(&socket, &sets::istio(), Lock::Off).unwrap_err(),
            nft::compare(&socket, &sets::istio()).unwrap_err(),
            nft::remove(&socket, Mesh::Istio).unwrap_err(),
            nft::Watch::open(Mesh::Istio).unwrap_err(),
        ]
    });
    for error in errors {
        assert!(error.to_string().contains("CAP_NET_ADMIN"), "{error}");
        assert!(!error.is_unsupported(), "{error}");
    }
}

#[test]
fn tproxy_without_a_listener_leaves_the_packet_as_it_came() {
    let Some(bed) = Bed::new() else { return };
    let tcp = || vec![Match::Protocol(Protocol::Tcp)];
    let marked = Match::Mark { mark: meshward_redirect::net::MaskedMark::exact(0x539), negate: false };
    let prerouting = vec![
        rule("tproxy", tcp(), Action::Tproxy { port: 15006, mark: 0x539 }),
        rule("trace-of-it", vec![marked], Action::Drop),
        rule("fell-through", tcp(), Action::SetMark(7)),
    ];
    let rules = rule_set(vec![meshward_redirect::Table {
        kind: meshward_redirect::TableKind::Mangle,
        chains: vec![chain("prerouting", Some(Hook::Prerouting), prerouting)],
    }]);
    nft::replace(&bed.socket(), &rules, Lock::Off).unwrap();
    bed.run(|| {
        let up = std::process::Command::new("ip").args(["link", "set", "lo", "up"]).status();
        if !up.is_ok_and(|status| status.success()) {
            meshward_netlab::skipped("needs iproute2");
            return;
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let timeout = std::time::Duration::from_secs(5);
        std::net::TcpStream::connect_timeout(&address, timeout).unwrap();
    });
}
