//! Keeping rules: replacing, adopting and removing them while somebody listens.

use std::process::Command;

use meshward_redirect::keep::{Keeper, Repair};
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::Lock;
use meshward_redirect::program::{LockState, Options, ProgramError};
use meshward_redirect::{Mesh, RuleSet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bed::{feed, namespace, run};
use crate::fixture::{everything, small};

fn start(namespace: &NetNs, rules: RuleSet, lock: Lock) -> Keeper {
    let options = Options { lock, ..Options::default() };
    Keeper::start(namespace.clone(), rules, options).unwrap().0
}

/// The repair of the next change that is told.
fn told(keeper: &mut Keeper) -> Repair {
    let timeout = Timespec { tv_sec: 10, tv_nsec: 0 };
    loop {
        let descriptor = keeper.descriptor().unwrap();
        let ready = poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], Some(&timeout)).unwrap();
        assert_ne!(ready, 0, "nothing was told");
        if let Some(repair) = keeper.react().unwrap() {
            return repair;
        }
    }
}

fn tables(namespace: &NetNs) -> String {
    run(namespace, "nft", &["list", "tables"])
}

#[test]
fn other_rules_take_the_place_of_those_before() {
    let Some(namespace) = namespace() else { return };
    let mut keeper = start(&namespace, small(Mesh::Linkerd, true, 4140), Lock::Off);
    let done = keeper.replace(small(Mesh::Linkerd, true, 4141)).unwrap();
    assert!(done.changed && run(&namespace, "nft", &["list", "ruleset"]).contains(":4141"));
    assert!(keeper.react().unwrap().is_none(), "our own change is no drift");
    assert!(!keeper.replace(small(Mesh::Linkerd, true, 4141)).unwrap().changed);

    // Another mesh, with all it needs besides rules, and back.
    keeper.replace(everything()).unwrap();
    assert_eq!(tables(&namespace), "table inet meshward_istio\n");
    assert_eq!(keeper.rules(), &everything());
    assert!(keeper.recheck().unwrap().is_none());
    run(&namespace, "nft", &["flush", "table", "inet", "meshward_istio"]);
    assert_eq!(told(&mut keeper).by.unwrap().name, "nft");
    keeper.replace(small(Mesh::Kuma, true, 15001)).unwrap();
    assert_eq!(tables(&namespace), "table inet meshward_kuma\n");
    assert!(!run(&namespace, "ip", &["rule"]).contains("fwmark"));
}

#[test]
fn a_refused_replacement_leaves_what_was_kept() {
    let Some(namespace) = namespace() else { return };
    let rules = small(Mesh::Linkerd, true, 4140);
    let mut keeper = start(&namespace, rules.clone(), Lock::Off);
    // TPROXY stands in prerouting only, which it is the kernel that refuses.
    let mut broken = everything();
    let tproxy = broken.rules().find(|(_, _, rule)| rule.name == "in.tproxy4").unwrap().2.clone();
    broken.tables[1].chains[1].rules.push(tproxy);
    assert!(matches!(keeper.replace(broken), Err(ProgramError::Nft(_))));
    assert_eq!((keeper.rules(), tables(&namespace).as_str()), (&rules, "table inet meshward_linkerd\n"));
    run(&namespace, "nft", &["delete", "table", "inet", "meshward_linkerd"]);
    told(&mut keeper);
    assert!(keeper.recheck().unwrap().is_none());
}

#[test]
fn what_is_kept_goes_for_good_though_it_is_locked() {
    let Some(namespace) = namespace() else { return };
    let keeper = start(&namespace, everything(), Lock::IfAvailable);
    if keeper.lock() == LockState::Held {
        let tamper = || Command::new("nft").args(["delete", "table", "inet", "meshward_istio"]).output();
        assert!(!namespace.run(tamper).unwrap().unwrap().status.success());
    }
    let removed = keeper.remove().unwrap();
    assert_eq!((removed.rules.len(), removed.routing.len()), (1, 5));
    assert!(keeper.remove().unwrap().is_empty());
    drop(keeper);
    assert_eq!(tables(&namespace), "");
}

/// A restart: the rules stay as they are, down to the numbers that the kernel gave them.
#[test]
fn rules_of_an_earlier_keeper_are_adopted_as_they_are() {
    let Some(namespace) = namespace() else { return };
    // The table's own line tells its owner, which is another one afterwards.
    let handles = || {
        let listing = run(&namespace, "nft", &["-a", "list", "ruleset"]);
        let lines = listing.lines().filter(|line| line.contains("# handle") && !line.starts_with("table"));
        lines.map(|line| format!("{line}\n")).collect::<String>()
    };
    drop(start(&namespace, everything(), Lock::IfAvailable));
    let before = handles();
    let (mut keeper, done) = Keeper::start(namespace.clone(), everything(), Options::default()).unwrap();
    assert_eq!((done.changed, done.routing), (false, vec![]));
    assert!(keeper.recheck().unwrap().is_none() && keeper.recheck().unwrap().is_none());
    assert_eq!(handles(), before);
}

#[test]
fn a_look_finds_missing_routing_though_no_rule_changed() {
    let Some(namespace) = namespace() else { return };
    let mut keeper = start(&namespace, everything(), Lock::IfAvailable);
    assert!(keeper.recheck().unwrap().is_none());
    for arguments in ["rule del fwmark 1337 lookup 133", "-6 addr del ::6/128 dev lo"] {
        run(&namespace, "ip", &arguments.split(' ').collect::<Vec<_>>());
        let repair = keeper.recheck().unwrap().unwrap();
        assert_eq!((repair.drift.rules, repair.drift.routing.len()), (None, 1), "{arguments}");
        assert!(keeper.recheck().unwrap().is_none(), "{arguments}");
    }
}

#[test]
fn chains_of_others_on_our_hooks_are_told() {
    let Some(namespace) = namespace() else { return };
    let mut keeper = start(&namespace, small(Mesh::Linkerd, true, 4140), Lock::IfAvailable);
    assert!(keeper.react().unwrap().is_none());
    assert_eq!((keeper.take_elsewhere(), keeper.foreign().unwrap()), (false, vec![]));
    let table = "table ip other {
        chain early { type nat hook output priority -150; tcp dport 80 accept; }
    }";
    feed(&namespace, "nft", &["-f", "-"], table);
    assert!(keeper.react().unwrap().is_none());
    assert_eq!([keeper.take_elsewhere(), keeper.take_elsewhere()], [true, false]);
    let told = "chain early of table ip other (nat, output, priority -150)";
    assert_eq!(keeper.foreign().unwrap(), [told]);
}

#[test]
fn a_keeper_changes_its_rules_its_mesh_and_lets_go() {
    let Some(namespace) = namespace() else { return };
    let tables = || run(&namespace, "nft", &["list", "tables"]);
    let options = Options { lock: Lock::IfAvailable, ..Options::default() };
    let (mut keeper, done) = Keeper::start(namespace.clone(), small(Mesh::Istio, true, 1), options).unwrap();
    assert!(done.changed);
    assert!(!keeper.replace(small(Mesh::Istio, true, 1)).unwrap().changed);
    assert!(keeper.replace(small(Mesh::Istio, true, 2)).unwrap().changed);
    assert_eq!(keeper.rules(), &small(Mesh::Istio, true, 2));
    assert!(keeper.recheck().unwrap().is_none());

    keeper.replace(small(Mesh::Linkerd, true, 3)).unwrap();
    assert_eq!(tables().trim(), "table inet meshward_linkerd");
    // What it wrote itself is no change of somebody else's.
    assert!(keeper.react().unwrap().is_none());
    assert!(!keeper.take_elsewhere());
    feed(
        &namespace,
        "nft",
        &["-f", "-"],
        "table ip x { chain y { type nat hook output priority -150; accept; }; }",
    );
    assert!(keeper.react().unwrap().is_none());
    assert!(keeper.take_elsewhere());
    assert_eq!(keeper.foreign().unwrap(), ["chain y of table ip x (nat, output, priority -150)"]);

    assert!(!keeper.remove().unwrap().is_empty());
    assert_eq!(tables().trim(), "table ip x");
}
