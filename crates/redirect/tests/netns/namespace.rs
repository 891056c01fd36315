//! Network namespaces and routing netlink against the kernel.

use std::net::{IpAddr, TcpListener, TcpStream};

use meshward_redirect::PolicyRouting;
use meshward_redirect::net::Family;
use meshward_redirect::netns::{EnterNetNs, Found, GuardError, NetNs, OpenNetNs, guard};
use meshward_redirect::rtnl::{Change, RouteSocket};

use crate::bed::{self, namespace};

fn routes(ns: &NetNs) -> RouteSocket {
    ns.run(RouteSocket::open).unwrap().unwrap()
}

#[test]
fn a_namespace_is_the_same_however_it_is_opened() {
    let Some(ns) = namespace() else { return };
    let again = ns.run(|| NetNs::open("/proc/thread-self/ns/net")).unwrap().unwrap();
    assert_eq!(ns, again);
    assert_ne!(ns, NetNs::current().unwrap());
    assert_eq!(NetNs::current().unwrap(), NetNs::of_pid(std::process::id()).unwrap());
    let text = ns.to_string();
    assert!(text.contains(&format!("net:[{}]", ns.id().inode)), "{text}");
}

#[test]
fn a_path_that_is_no_network_namespace_is_told_from_one_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    for path in [file.as_path(), &fifo, folder.path(), "/dev/null".as_ref()] {
        let error = NetNs::open(path).unwrap_err();
        assert!(matches!(&error, OpenNetNs::NotANamespace { found: Found::File, .. }), "{path:?}: {error}");
    }
    let error = NetNs::open("/proc/self/ns/mnt").unwrap_err();
    assert!(
        matches!(&error, OpenNetNs::NotANamespace { found: Found::OtherKind(name), .. } if name.starts_with("mnt:["))
    );
    for path in
        [folder.path().join("gone").as_path(), "/proc/4294967295/ns/net".as_ref(), &file.join("below")]
    {
        let error = NetNs::open(path).unwrap_err();
        assert!(matches!(error, OpenNetNs::Gone { .. }), "{path:?}: {error}");
    }
}

#[test]
fn work_runs_inside_and_a_panic_stays_there() {
    let Some(ns) = namespace() else { return };
    let before = NetNs::open("/proc/thread-self/ns/net").unwrap();
    assert_eq!(ns.run(|| routes_here().links().unwrap().len()).unwrap(), 1);
    let error = ns.run(|| panic!("of {}", "that")).map(|(): ()| ()).unwrap_err();
    assert!(matches!(&error, EnterNetNs::Panicked { message, .. } if message == "of that"), "{error}");
    assert_eq!(NetNs::open("/proc/thread-self/ns/net").unwrap(), before);
}

fn routes_here() -> RouteSocket {
    RouteSocket::open().unwrap()
}

#[test]
fn the_guard_refuses_the_host_and_foreign_pods() {
    let refused = guard(&NetNs::current().unwrap(), &[]);
    assert!(matches!(refused, Err(GuardError::HostNamespace { .. })));
    if let Ok(host) = NetNs::host() {
        assert!(matches!(guard(&host, &[]), Err(GuardError::HostNamespace { .. })));
    }
    let Some(ns) = namespace() else { return };
    guard(&ns, &[]).unwrap();
    let own: IpAddr = "10.8.0.7".parse().unwrap();
    let other: IpAddr = "fd00::7".parse().unwrap();
    let error = guard(&ns, &[own]).unwrap_err();
    assert!(error.to_string().ends_with("addresses 10.8.0.7: found none"), "{error}");
    let mut socket = routes(&ns);
    let loopback = socket.link("lo").unwrap();
    assert_eq!(socket.add_address(loopback.index, "10.8.0.7/24".parse().unwrap()).unwrap(), Change::Made);
    guard(&ns, &[other, own]).unwrap();
    let error = guard(&ns, &[other]).unwrap_err();
    assert!(error.to_string().ends_with("addresses fd00::7: found 10.8.0.7"), "{error}");
}

#[test]
fn addresses_come_and_go_once() {
    let Some(ns) = namespace() else { return };
    let mut socket = routes(&ns);
    let loopback = socket.link("lo").unwrap();
    assert_eq!(socket.link_up(&loopback).unwrap(), Change::Made);
    let loopback = socket.link("lo").unwrap();
    assert!(loopback.up);
    assert_eq!(socket.link_up(&loopback).unwrap(), Change::None);
    let six = "::6/128".parse().unwrap();
    assert_eq!(socket.add_address(loopback.index, six).unwrap(), Change::Made);
    assert_eq!(socket.add_address(loopback.index, six).unwrap(), Change::None);
    assert!(socket.addresses().unwrap().iter().any(|own| own.address == six.addr() && own.ours));
    assert!(!socket.has_global_ipv6().unwrap());
    assert_eq!(socket.remove_address(loopback.index, six).unwrap(), Change::Made);
    assert_eq!(socket.remove_address(loopback.index, six).unwrap(), Change::None);
    let _ = socket.add_address(loopback.index, "fd00::7/64".parse().unwrap()).unwrap();
    assert!(socket.has_global_ipv6().unwrap());
    let error = socket.link("eth9").unwrap_err();
    assert_eq!(error.to_string(), "there is no network interface eth9");
}

#[test]
fn policy_routing_is_never_doubled_and_foreign_rules_stay() {
    let Some(ns) = namespace() else { return };
    let mut socket = routes(&ns);
    let loopback = socket.link("lo").unwrap();
    let _ = socket.link_up(&loopback).unwrap();
    for (family, option, table) in
        [(Family::Ipv4, "-4", 133), (Family::Ipv6, "-6", 133), (Family::Ipv4, "-4", 70_000)]
    {
        let routing = PolicyRouting { mark: 1337, table };
        let rules = || bed::run(&ns, "ip", &[option, "rule"]);
        let count = |text: &str| text.matches(&format!("fwmark 0x539 lookup {table}")).count();
        // Alike but not equal: inverted, masked, bound to an interface.
        let table_text = table.to_string();
        for extra in [
            vec!["not", "fwmark", "1337"],
            vec!["fwmark", "1337/0xffff"],
            vec!["fwmark", "1337", "iif", "lo"],
        ] {
            bed::run(&ns, "ip", &[&[option, "rule", "add"][..], &extra, &["lookup", &table_text]].concat());
        }
        assert_eq!(socket.add_mark_rule(family, routing).unwrap(), Change::Made);
        let text = rules();
        assert_eq!(socket.add_mark_rule(family, routing).unwrap(), Change::None);
        assert_eq!(rules(), text);
        assert_eq!(socket.add_local_route(family, table, loopback.index).unwrap(), Change::Made);
        assert_eq!(socket.add_local_route(family, table, loopback.index).unwrap(), Change::None);
        let listed = bed::run(&ns, "ip", &[option, "route", "show", "table", &table_text]);
        assert!(listed.starts_with("local default dev lo"), "{listed}");

        // An equal rule of somebody else, before ours: only ours goes.
        bed::run(&ns, "ip", &[option, "rule", "add", "fwmark", "1337", "lookup", &table_text, "pref", "10"]);
        let before = count(&rules());
        assert_eq!(socket.remove_mark_rule(family, routing).unwrap(), Change::Made);
        assert_eq!(socket.remove_mark_rule(family, routing).unwrap(), Change::None);
        let text = rules();
        assert_eq!(count(&text), before - 1);
        assert!(text.contains("10:\tfrom all fwmark 0x539 lookup"), "{text}");
        assert_eq!(socket.add_mark_rule(family, routing).unwrap(), Change::None);

        assert_eq!(socket.remove_local_route(family, table, loopback.index).unwrap(), Change::Made);
        assert_eq!(socket.remove_local_route(family, table, loopback.index).unwrap(), Change::None);
    }
}

#[test]
fn a_veth_pair_carries_traffic_between_two_namespaces() {
    let (Some(pod), Some(world)) = (namespace(), namespace()) else { return };
    let (mut inside, mut outside) = (routes(&pod), routes(&world));
    inside.add_veth(&"eth0".parse().unwrap(), &"pod0".parse().unwrap(), &world).unwrap();
    for (socket, name, net) in [(&mut inside, "eth0", "10.8.0.2/24"), (&mut outside, "pod0", "10.8.0.1/24")] {
        let link = socket.link(name).unwrap();
        let _ = socket.add_address(link.index, net.parse().unwrap()).unwrap();
        let _ = socket.link_up(&link).unwrap();
    }
    // An address behind the gateway proves the default route.
    let loopback = outside.link("lo").unwrap();
    let _ = outside.link_up(&loopback).unwrap();
    let _ = outside.add_address(loopback.index, "192.0.2.9/32".parse().unwrap()).unwrap();
    assert_eq!(inside.add_default_route("10.8.0.1".parse().unwrap()).unwrap(), Change::Made);
    assert_eq!(inside.add_default_route("10.8.0.1".parse().unwrap()).unwrap(), Change::None);

    let listener = world.run(|| TcpListener::bind("192.0.2.9:80")).unwrap().unwrap();
    let client = pod.run(|| TcpStream::connect("192.0.2.9:80")).unwrap().unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer, client.local_addr().unwrap());

    let link = inside.link("eth0").unwrap();
    assert_eq!(inside.remove_link(&link).unwrap(), Change::Made);
    assert!(outside.link("pod0").is_err());
}
