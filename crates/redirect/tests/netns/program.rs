//! Programming, checking and cleaning a namespace by each backend.

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use meshward_redirect::net::Family;
use meshward_redirect::netns::{GuardError, NetNs};
use meshward_redirect::nft::{self, Lock, NfSocket};
use meshward_redirect::program::{
    Backend, Fate, LockState, Options, ProgramError, Programmed, RoutingItem, Target, check, cleanup,
    program, usable,
};
use meshward_redirect::rtnl::RouteSocket;
use meshward_redirect::{Mesh, PolicyRouting, RuleSet};

use crate::bed::{feed, iptables_works, namespace, run};
use crate::fixture::{everything, small};

const BACKENDS: [Backend; 3] = [Backend::Nft, Backend::IptablesNft, Backend::IptablesLegacy];

fn options(backend: Backend) -> Options {
    Options { backend, lock: Lock::Off, ..Options::default() }
}

/// A fresh namespace for each backend.
fn beds() -> impl Iterator<Item = (Backend, Options, NetNs)> {
    let works = |backend: &Backend| *backend == Backend::Nft || iptables_works();
    BACKENDS.into_iter().filter(works).filter_map(|backend| Some((backend, options(backend), namespace()?)))
}

fn put(ns: &NetNs, rules: &RuleSet, options: &Options) -> Programmed {
    program(ns, rules, options).unwrap_or_else(|error| panic!("{:?}: {error}", options.backend))
}

/// Everything that is in force anywhere, in a form that does not change by itself.
fn whole(ns: &NetNs) -> String {
    let mut text = run(ns, "nft", &["-s", "list", "ruleset"]);
    for stem in ["iptables", "ip6tables"].into_iter().filter(|_| iptables_works()) {
        let saved = run(ns, &format!("{stem}-legacy-save"), &[]);
        text.extend(saved.lines().filter(|line| line.starts_with("-A")).map(|line| format!("{line}\n")));
    }
    for family in ["-4", "-6"] {
        text += &run(ns, "ip", &[family, "rule"]);
        text += &run(ns, "ip", &[family, "route", "show", "table", "all", "type", "local", "default"]);
    }
    text += &run(ns, "ip", &["-6", "addr", "show", "dev", "lo"]);
    text
}

/// Opens a connection to a port of this namespace that nobody listens on, and says whether it got through to
/// `listener` all the same.
fn captured(ns: &NetNs, address: &str) -> bool {
    match ns.run(|| TcpStream::connect(address)).unwrap() {
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => false,
        Err(error) => panic!("{address}: {error}"),
    }
}

fn up(ns: &NetNs) {
    let mut socket = ns.run(RouteSocket::open).unwrap().unwrap();
    let loopback = socket.link("lo").unwrap();
    let _ = socket.link_up(&loopback).unwrap();
}

#[test]
fn rules_come_once_capture_traffic_and_go_without_a_trace() {
    for (backend, options, ns) in beds() {
        up(&ns);
        let rules = small(Mesh::Linkerd, true, 4140);
        let _proxy =
            ns.run(|| ["127.0.0.1:4140", "[::1]:4140"].map(|at| TcpListener::bind(at).unwrap())).unwrap();
        let before = whole(&ns);
        assert!(!captured(&ns, "127.0.0.1:80"));
        assert!(check(&ns, &rules, &options).unwrap().is_some());

        let done = put(&ns, &rules, &options);
        assert_eq!((done.backend, done.changed), (backend, true));
        assert_eq!((done.routing, done.older), (vec![], vec![]));
        assert!(captured(&ns, "127.0.0.1:80") && captured(&ns, "[::1]:80"), "{backend}");
        assert!(!captured(&ns, "127.0.0.1:9999"), "{backend}: excluded port");
        drop(done.socket);
        let after = whole(&ns);
        assert_eq!(check(&ns, &rules, &options).unwrap(), None);
        assert_eq!(check(&ns, &rules, &Options::default()).unwrap(), None, "{backend} found by itself");
        assert!(!put(&ns, &rules, &options).changed);
        assert_eq!(whole(&ns), after);

        let removed = cleanup(&ns, Some(Mesh::Istio), &options).unwrap();
        assert!(removed.is_empty(), "another mesh's: {removed:?}");
        assert!(!cleanup(&ns, None, &options).unwrap().is_empty());
        assert!(cleanup(&ns, Some(Mesh::Linkerd), &options).unwrap().is_empty());
        assert!(!captured(&ns, "127.0.0.1:80"), "{backend}");
        // Empty tables and chains of iptables stay; they do nothing.
        let rest: String = whole(&ns)
            .lines()
            .filter(|line| line.contains("MESHWARD") || line.contains("meshward"))
            .collect();
        assert_eq!(rest, "", "{before}");
    }
}

#[test]
fn everything_is_put_in_force_by_every_backend() {
    for (backend, options, ns) in beds() {
        let rules = everything();
        let done = put(&ns, &rules, &options);
        assert!(done.changed);
        assert_eq!(done.routing.len(), 5, "{backend}");
        assert_eq!(check(&ns, &rules, &options).unwrap(), None, "{backend}");
        let done = put(&ns, &rules, &options);
        assert_eq!((done.changed, done.routing), (false, vec![]), "{backend}");

        // Less routing: what is no longer wanted goes with the rules that needed it.
        let less = RuleSet { routing: Some(PolicyRouting { mark: 7, table: 7 }), ..everything() };
        assert_eq!(put(&ns, &less, &options).routing.len(), 4);
        let rules4 = run(&ns, "ip", &["rule"]);
        assert!(rules4.contains("fwmark 0x7 lookup 7") && !rules4.contains("0x539"), "{rules4}");
        put(&ns, &small(Mesh::Istio, false, 1), &options);
        let text = whole(&ns);
        assert!(
            !text.contains("fwmark") && !text.contains("local default") && !text.contains("::6"),
            "{text}"
        );
    }
}

#[test]
fn routing_outlives_a_table_that_somebody_removed_until_the_next_time() {
    let Some(ns) = namespace() else { return };
    let options = options(Backend::Nft);
    let wanted = [
        RuleSet { loopback_addresses: vec!["::6".parse().unwrap()], ..small(Mesh::Istio, true, 1) },
        RuleSet { routing: Some(PolicyRouting { mark: 7, table: 7 }), ..small(Mesh::Istio, true, 1) },
    ];
    for rules in wanted {
        put(&ns, &everything(), &options);
        run(&ns, "nft", &["delete", "table", "inet", "meshward_istio"]);
        put(&ns, &rules, &options);
        let text = whole(&ns);
        assert!(!text.contains("0x539") && !text.contains("table 133"), "{text}");
        assert_eq!(check(&ns, &rules, &options).unwrap(), None);
    }
}

#[test]
fn missing_routing_is_drift_and_comes_back() {
    for (backend, options, ns) in beds() {
        let rules = everything();
        put(&ns, &rules, &options);
        run(&ns, "ip", &["rule", "del", "fwmark", "1337"]);
        run(&ns, "ip", &["-6", "addr", "del", "::6/128", "dev", "lo"]);
        let drift = check(&ns, &rules, &options).unwrap().unwrap();
        assert_eq!(drift.rules, None, "{backend}");
        let routing = PolicyRouting { mark: 1337, table: 133 };
        let expected = [
            RoutingItem::LoopbackAddress("::6".parse().unwrap()),
            RoutingItem::MarkRule { family: Family::Ipv4, routing },
        ];
        assert_eq!(drift.routing, expected);
        assert_eq!(
            drift.to_string(),
            "missing address ::6/128 on lo\nmissing ipv4 policy rule fwmark 0x539 lookup 133"
        );
        let done = put(&ns, &rules, &options);
        assert_eq!((done.changed, done.routing.as_slice()), (false, &expected[..]));
        assert_eq!(check(&ns, &rules, &options).unwrap(), None);
    }
}

#[test]
fn changing_the_backend_leaves_one_set_of_rules() {
    let Some(ns) = namespace().filter(|_| iptables_works()) else { return };
    let rules = small(Mesh::Kuma, true, 15001);
    for backend in BACKENDS.into_iter().chain(BACKENDS.into_iter().rev()) {
        let done = put(&ns, &rules, &options(backend));
        assert_eq!(done.backend, backend);
        let text = whole(&ns);
        let table = text.contains("table inet meshward_kuma");
        let nft_chains = text.contains("chain MESHWARD_KUMA_OUTPUT");
        let legacy = text.contains("-A OUTPUT -j MESHWARD_KUMA_OUTPUT");
        assert_eq!(
            (table, nft_chains, legacy),
            (backend == Backend::Nft, backend == Backend::IptablesNft, backend == Backend::IptablesLegacy),
            "{text}"
        );
    }
}

#[test]
fn a_refused_set_changes_nothing() {
    for (backend, options, ns) in beds() {
        up(&ns);
        let old = small(Mesh::Istio, true, 15001);
        put(&ns, &old, &options);
        let before = whole(&ns);
        // TPROXY stands in prerouting only, which it is the kernel that refuses. Only nf_tables says by which rule.
        let mut bad = everything();
        let tproxy = bad.rules().find(|(_, _, rule)| rule.name == "in.tproxy4").unwrap().2.clone();
        bad.tables[1].chains[1].rules.push(tproxy);
        let error = program(&ns, &bad, &options).unwrap_err();
        assert!(matches!(error, ProgramError::Nft(_) | ProgramError::Iptables(_)), "{backend}: {error}");
        assert!(backend != Backend::Nft || error.to_string().contains("in.tproxy4"), "{backend}: {error}");
        assert_eq!(whole(&ns), before, "{backend}");
        assert_eq!(check(&ns, &old, &options).unwrap(), None);
    }
}

#[test]
fn the_host_is_refused_by_every_verb() {
    let host = NetNs::current().unwrap();
    let rules = small(Mesh::Istio, false, 1);
    let refused =
        |error: ProgramError| matches!(error, ProgramError::Guard(GuardError::HostNamespace { .. }));
    let options = Options::default();
    assert!(refused(program(&host, &rules, &options).unwrap_err()));
    assert!(refused(check(&host, &rules, &options).unwrap_err()));
    assert!(refused(cleanup(&host, None, &options).unwrap_err()));
    let Some(ns) = namespace() else { return };
    let options = Options { expect_ips: vec!["10.8.0.7".parse().unwrap()], ..options };
    let error = program(&ns, &rules, &options).unwrap_err();
    assert!(matches!(error, ProgramError::Guard(GuardError::OtherPod { .. })), "{error}");
}

/// What each mesh's own set-up leaves, in one family of iptables.
fn older(mesh: Mesh) -> (&'static str, usize) {
    match mesh {
        Mesh::Istio => (
            "*nat\n:ISTIO_OUTPUT - [0:0]\n:ISTIO_REDIRECT - [0:0]\n-A OUTPUT -j ISTIO_OUTPUT\n-A ISTIO_OUTPUT -j ISTIO_REDIRECT\n\
            -A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 7001\nCOMMIT\n*mangle\n:ISTIO_DIVERT - [0:0]\n-A ISTIO_DIVERT -j ACCEPT\nCOMMIT\n",
            4,
        ),
        Mesh::Linkerd => (
            "*nat\n:PROXY_INIT_OUTPUT - [0:0]\n-A OUTPUT -m comment --comment \"proxy-init/install\" -j PROXY_INIT_OUTPUT\n\
            -A PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-ports 7001\nCOMMIT\n",
            2,
        ),
        Mesh::Kuma => (
            "*nat\n:KUMA_MESH_OUTBOUND - [0:0]\n-A OUTPUT -p udp --dport 53 -m comment --comment \"kuma/mesh/transparent/proxy/dns\" -j REDIRECT --to-ports 7001\n\
            -A OUTPUT -p tcp -j KUMA_MESH_OUTBOUND\n-A KUMA_MESH_OUTBOUND -p tcp -j REDIRECT --to-ports 7001\nCOMMIT\n",
            3,
        ),
        Mesh::Consul => (
            "*nat\n:CONSUL_PROXY_OUTPUT - [0:0]\n:CONSUL_PROXY_REDIRECT - [0:0]\n:CONSUL_DNS_REDIRECT - [0:0]\n-A OUTPUT -p tcp -j CONSUL_PROXY_OUTPUT\n\
            -A CONSUL_PROXY_OUTPUT -j CONSUL_PROXY_REDIRECT\n-A CONSUL_PROXY_REDIRECT -p tcp -j REDIRECT --to-ports 7001\nCOMMIT\n",
            4,
        ),
    }
}

#[test]
fn older_chains_of_the_mesh_go_after_ours_are_in_force() {
    const FOREIGN: &str = "*nat\n:MINE - [0:0]\n-A OUTPUT -p udp -j MINE\n-A MINE -j RETURN\nCOMMIT\n";
    for mesh in Mesh::ALL.into_iter().filter(|_| iptables_works()) {
        for (backend, options, ns) in beds() {
            let rules = small(mesh, false, 7002);
            let (text, places) = older(mesh);
            for variant in ["nft", "legacy"] {
                for text in [text, FOREIGN] {
                    feed(&ns, &format!("iptables-{variant}-restore"), &["--noflush"], text);
                }
            }
            let keep = Options { remove_older: false, ..options.clone() };
            let done = put(&ns, &rules, &keep);
            assert_eq!(done.older.len(), 2 * places, "{mesh} {backend}: {:?}", done.older);
            assert!(done.older.iter().all(|older| older.fate == Fate::Kept));
            let done = put(&ns, &rules, &options);
            assert_eq!((done.changed, done.older.len()), (false, 2 * places), "{mesh} {backend}");
            assert!(done.older.iter().all(|older| older.fate == Fate::Removed), "{:?}", done.older);
            let after = whole(&ns);
            assert!(!after.contains("7001"), "{mesh} {backend}: {after}");
            assert_eq!(after.matches("MINE").count(), 2 + 2, "{mesh} {backend}: {after}");
            assert_eq!(check(&ns, &rules, &options).unwrap(), None);
            assert_eq!(put(&ns, &rules, &options).older, []);
        }
    }
}

#[test]
fn older_nft_tables_of_the_mesh_go_too() {
    const TABLES: &str = "table inet istio-proxy-nat { chain output { type nat hook output priority -100; meta l4proto tcp redirect to :7001; }; }\n\
        table inet istio-proxy-raw { chain output { type filter hook output priority -300; }; }\n\
        table inet consul_tproxy { chain o { type nat hook output priority -100; meta l4proto tcp redirect to :7001; }; }\n\
        table inet mine { chain o { type nat hook output priority -101; counter; }; }\n";
    for (backend, options, ns) in beds() {
        feed(&ns, "nft", &["-f", "-"], TABLES);
        let done = put(&ns, &small(Mesh::Istio, true, 7002), &options);
        let told: Vec<String> = done.older.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["removed table inet istio-proxy-nat", "removed table inet istio-proxy-raw"],
            "{backend}"
        );
        let text = whole(&ns);
        assert!(
            !text.contains("istio-proxy")
                && text.contains("consul_tproxy")
                && text.contains("table inet mine")
        );
        if backend == Backend::Nft {
            assert_eq!(done.foreign.len(), 2, "{:?}", done.foreign);
            assert!(
                done.foreign
                    .iter()
                    .any(|chain| chain == "chain o of table inet mine (nat, output, priority -101)")
            );
        }
        drop(done.socket);
        let done = put(&ns, &small(Mesh::Consul, true, 7002), &options);
        assert_eq!(done.older.len(), 1);
        assert!(!whole(&ns).contains("7001"));
    }
}

/// A socket closes when its last descriptor does, and a child that another test is just starting has a copy until it
/// runs its program.
fn wait_for_orphan(ns: &NetNs) {
    let socket = ns.run(NfSocket::open).unwrap().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while nft::state(&socket, Mesh::Istio).unwrap().unwrap().owner.is_some() {
        assert!(Instant::now() < deadline, "the table is still owned");
        std::thread::yield_now();
    }
}

#[test]
fn a_lock_lasts_as_long_as_the_socket() {
    let Some(ns) = namespace() else { return };
    let rules = small(Mesh::Istio, true, 15001);
    let other_rules = small(Mesh::Istio, true, 1);
    let with = |lock| Options { lock, ..options(Backend::Nft) };
    let done = match program(&ns, &rules, &with(Lock::Required)) {
        Ok(done) => done,
        Err(error) => return meshward_netlab::skipped(&error.to_string()),
    };
    assert_eq!(done.lock, LockState::Held);
    for lock in [Lock::Off, Lock::IfAvailable] {
        let other = put(&ns, &rules, &with(lock));
        assert_eq!((other.changed, other.lock), (false, LockState::HeldByOther));
    }
    for lock in [Lock::Off, Lock::Required] {
        assert!(matches!(program(&ns, &other_rules, &with(lock)), Err(ProgramError::Nft(_))));
    }
    assert!(cleanup(&ns, None, &with(Lock::Off)).is_err());
    assert_eq!(check(&ns, &rules, &with(Lock::Off)).unwrap(), None);

    // Whoever holds the socket can do all of it.
    let held = done.socket.unwrap();
    let target = Target { namespace: &ns, socket: Some(&held) };
    for (rules, changed) in [(&rules, false), (&other_rules, true), (&rules, true)] {
        let again = program(target, rules, &with(Lock::IfAvailable)).unwrap();
        assert_eq!((again.changed, again.lock), (changed, LockState::Held));
        assert!(again.socket.is_none());
    }
    assert!(!cleanup(target, None, &with(Lock::Off)).unwrap().is_empty());
    assert_eq!(program(target, &rules, &with(Lock::Required)).unwrap().lock, LockState::Held);

    drop(held);
    wait_for_orphan(&ns);
    let adopted = put(&ns, &rules, &with(Lock::Required));
    assert_eq!((adopted.changed, adopted.lock), (false, LockState::Held));
    drop(adopted.socket);
    wait_for_orphan(&ns);
    assert!(!cleanup(&ns, None, &with(Lock::Off)).unwrap().is_empty());
    assert_eq!(put(&ns, &rules, &with(Lock::Off)).lock, LockState::Open);
    let done = put(&ns, &rules, &with(Lock::Required));
    assert_eq!((done.changed, done.lock), (true, LockState::Held));
}

#[test]
fn backends_have_one_name_each() {
    for backend in Backend::ALL {
        assert_eq!(backend.name().parse::<Backend>().unwrap(), backend);
    }
    let error = "ebpf".parse::<Backend>().unwrap_err().to_string();
    assert_eq!(error, r#"found "ebpf", accepted: auto, nft, iptables-nft or iptables-legacy"#);
}

#[test]
fn what_the_kernel_lets_us_use_is_known_before_it_is_needed() {
    if namespace().is_none() {
        return;
    }
    for backend in [Backend::Auto, Backend::Nft] {
        assert_eq!(usable(backend).unwrap(), Backend::Nft);
    }
    let host = run(&NetNs::create().unwrap(), "nft", &["list", "ruleset"]);
    assert_eq!(host, "", "a new namespace begins empty");
}
