//! From a manifest to traffic: the pods of `examples/pods` are read, planned, built, put in force and really captured;
//! what the meshes' own injectors write is put in force for each of its pods, where those manifests are at hand.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

use std::path::{Path, PathBuf};

use meshward_manifest::{Documents, Options};
use meshward_mesh::{Plan, Wanted, plan, pods};
use meshward_netlab::{Bed, Layout, Outcome, Place, Probe, Protocol, can_switch_users, skipped};
use meshward_redirect::dialect::{Surroundings, build};
use meshward_redirect::netns::{NetNs, OpenNetNs};
use meshward_redirect::nft::Lock;
use meshward_redirect::program::{self, Backend};
use meshward_redirect::{Action, RuleSet};
use serde_json::Value;

fn documents(path: &Path) -> Vec<Value> {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let read = Documents::new(&text, Options::default());
    read.map(|document| document.unwrap_or_else(|error| panic!("{}: {error}", path.display())).value)
        .collect()
}

fn example(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pods").join(name);
    documents(&path).remove(0)
}

fn rules(plan: &Plan) -> RuleSet {
    let surroundings = Surroundings { global_ipv4: Some(true), global_ipv6: Some(true) };
    build(plan.mesh, &plan.settings, surroundings).unwrap_or_else(|error| panic!("{error}")).rules
}

fn options() -> program::Options {
    program::Options { backend: Backend::Nft, lock: Lock::Off, ..program::Options::default() }
}

/// `in tcp 8080` or `out tcp 203.0.113.9:80 1337` (the user), and where it ends: `peer` or a port of the pod.
type Packet = (&'static str, &'static str);

fn probe(text: &str) -> Probe {
    let words: Vec<&str> = text.split(' ').collect();
    let protocol = if words[1] == "tcp" { Protocol::Tcp } else { Protocol::Udp };
    match words[..] {
        ["in", _, port] => Probe::inbound(protocol, ([10, 77, 0, 2], port.parse::<u16>().unwrap())),
        ["out", _, to, uid] => {
            let to: std::net::SocketAddr = to.parse().unwrap();
            let uid: u32 = uid.parse().unwrap();
            Probe::out(protocol, to).owner(uid, uid)
        }
        _ => panic!("{text}"),
    }
}

fn listen(bed: &mut Bed, rules: &RuleSet, probes: &[Probe]) {
    for (.., rule) in rules.rules() {
        match rule.action {
            Action::Redirect(port) => {
                bed.listen(Place::Pod, Protocol::Udp, port).unwrap();
                if !rules.rules().any(|(.., rule)| matches!(rule.action, Action::Tproxy { .. })) {
                    bed.listen(Place::Pod, Protocol::Tcp, port).unwrap();
                } else {
                    bed.listen_transparent(Place::Pod, Protocol::Tcp, port).unwrap();
                }
            }
            Action::Dnat { port: Some(port), .. } => {
                bed.listen(Place::Pod, Protocol::Udp, port).unwrap();
                bed.listen(Place::Pod, Protocol::Tcp, port).unwrap();
            }
            _ => {}
        }
    }
    for probe in probes {
        for place in [Place::Pod, Place::Peer] {
            bed.listen(place, probe.protocol, probe.destination.port()).unwrap();
        }
    }
}

fn captured(manifest: &str, namespace: Option<&str>, packets: &[Packet]) {
    if !can_switch_users() {
        return skipped(&format!("traffic of examples/pods/{manifest}: one mapped user id only"));
    }
    let document = example(manifest);
    let pods = pods(&document);
    let [pod] = &pods[..] else { panic!("{manifest}: one pod") };
    let namespace = namespace.map(example);
    let Ok(Wanted::Redirect(plan)) = plan(pod, namespace.as_ref()) else { panic!("{manifest}: rules") };
    let rules = rules(&plan);
    let Some(mut bed) = Bed::or_skip(Layout::dual_stack()).unwrap() else { return };
    let probes: Vec<Probe> = packets.iter().map(|(text, _)| probe(text)).collect();
    listen(&mut bed, &rules, &probes);
    let netns = NetNs::open(bed.pod.path()).unwrap();
    let programmed = program::program(&netns, &rules, &options()).unwrap();
    assert!(programmed.changed);
    for ((text, end), (probe, outcome)) in
        packets.iter().zip(probes.iter().zip(bed.probe_all(&probes).unwrap()))
    {
        let expected = match *end {
            "peer" => (Place::Peer, probe.destination.port()),
            port => (Place::Pod, port.parse().unwrap()),
        };
        assert_eq!(outcome.reached(), Some(expected), "{manifest}: {text}: {outcome:?}");
        let Outcome::Reached(arrival) = outcome else { unreachable!() };
        if arrival.place == Place::Pod && probe.protocol == Protocol::Tcp {
            assert_eq!(arrival.original.or(arrival.local), Some(probe.destination), "{manifest}: {text}");
        }
    }
    assert!(program::check(&netns, &rules, &options()).unwrap().is_none(), "{manifest}");
}

#[test]
fn istio() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "15001"),
        ("out tcp [2001:db8::9]:80 1000", "15001"),
        ("out tcp 203.0.113.9:80 1337", "peer"),
        ("out tcp 203.0.113.9:5432 1000", "peer"),
        ("out tcp 10.77.0.2:8080 1337", "15006"),
        ("in tcp 8080", "15006"),
        ("in tcp 15020", "15020"),
        ("in udp 8080", "8080"),
    ];
    captured("istio.yaml", None, &packets);
}

#[test]
fn istio_by_annotations() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "15001"),
        ("out udp 203.0.113.53:53 1000", "15053"),
        ("out tcp 203.0.113.9:80 1000670000", "peer"),
        ("out tcp 10.20.0.9:80 1000", "peer"),
        ("in tcp 8080", "15006"),
        ("in tcp 9090", "9090"),
        ("in tcp 15090", "15090"),
    ];
    captured("istio-cni.yaml", None, &packets);
}

#[test]
fn istio_tproxy() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "15001"),
        ("out tcp 203.0.113.9:80 1337", "peer"),
        ("in tcp 8080", "15006"),
        ("in tcp 7070", "7070"),
    ];
    captured("istio-tproxy.yaml", None, &packets);
}

#[test]
fn linkerd() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "4140"),
        ("out tcp 203.0.113.9:3306 1000", "peer"),
        ("out tcp 203.0.113.9:80 2102", "peer"),
        ("out tcp [2001:db8::9]:80 1000", "peer"),
        ("in tcp 8080", "4143"),
        ("in tcp 4190", "4190"),
    ];
    captured("linkerd.yaml", None, &packets);
}

#[test]
fn linkerd_by_annotations_of_pod_and_namespace() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "4140"),
        ("out tcp 203.0.113.9:9250 1000", "peer"),
        ("out tcp 203.0.113.9:80 2102", "peer"),
        ("in tcp 8080", "4143"),
        ("in tcp 587", "587"),
    ];
    captured("linkerd-cni.yaml", Some("linkerd-namespace.yaml"), &packets);
}

#[test]
fn kuma() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "15001"),
        ("out tcp 203.0.113.9:9901 1000", "peer"),
        ("out tcp 203.0.113.9:80 5678", "peer"),
        ("out udp 203.0.113.53:53 1000", "15053"),
        ("out tcp [2001:db8::9]:80 1000", "peer"),
        ("in tcp 8080", "15006"),
        ("in tcp 9000", "9000"),
    ];
    captured("kuma.yaml", None, &packets);
}

#[test]
fn consul() {
    let packets = [
        ("out tcp 203.0.113.9:80 1000", "15001"),
        ("out tcp 203.0.113.9:80 5995", "peer"),
        ("out tcp 203.0.113.9:80 5996", "peer"),
        ("out tcp 10.20.0.9:80 1000", "peer"),
        ("out udp 127.0.0.1:53 1000", "8600"),
        ("out tcp 127.0.0.1:53 1000", "8600"),
        ("in tcp 8080", "20000"),
        ("in tcp 20200", "20200"),
    ];
    captured("consul.yaml", None, &packets);
}

fn suites() -> Option<PathBuf> {
    let root = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    let there = root.is_dir();
    if !there {
        skipped(&format!("pods as the meshes' injectors write them: no suites at {}", root.display()));
    }
    there.then_some(root)
}

/// Every manifest of the suites that yields rules: they go in, are found as they were meant, and come out again.
#[test]
fn what_injectors_write_can_be_put_in_force() {
    let Some(root) = suites() else { return };
    match NetNs::create() {
        Err(OpenNetNs::Create(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return skipped("needs CAP_NET_ADMIN");
        }
        other => drop(other.unwrap()),
    }
    let mut programmed = 0;
    for folder in ["istio", "linkerd", "kuma"] {
        for entry in std::fs::read_dir(root.join("pods").join(folder)).unwrap() {
            let path = entry.unwrap().path();
            for document in documents(&path) {
                for pod in pods(&document) {
                    let Ok(Wanted::Redirect(plan)) = plan(&pod, None) else { continue };
                    in_force(&rules(&plan), &format!("{} {}", path.display(), pod.name()));
                    programmed += 1;
                }
            }
        }
    }
    assert!(programmed > 0);
    println!("{programmed} pods programmed");
}

fn in_force(rules: &RuleSet, name: &str) {
    let netns = NetNs::create().unwrap();
    let put =
        || program::program(&netns, rules, &options()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert!(put().changed, "{name}");
    assert_eq!(program::check(&netns, rules, &options()).unwrap(), None, "{name}");
    assert!(!put().changed, "{name}: again");
    assert!(!program::cleanup(&netns, None, &options()).unwrap().is_empty(), "{name}");
}
