//! What a look costs and finds, where that takes knowing the keeper's insides.

use std::process::Command;

use super::Keeper;
use crate::builder::{Builder, rule};
use crate::net::Protocol;
use crate::netns::{NetNs, OpenNetNs};
use crate::nft::Lock;
use crate::program::{LockState, Options};
use crate::{Action, Hook, Match, Mesh, RuleSet, TableKind};

fn namespace() -> Option<NetNs> {
    match NetNs::create() {
        Ok(namespace) => Some(namespace),
        Err(OpenNetNs::Create(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            // With the name under which skipped tests are listed.
            meshward_netlab::skipped("needs CAP_NET_ADMIN");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn rules() -> RuleSet {
    let mut builder = Builder::new(Mesh::Istio, true);
    let redirect = rule("out.redirect").matching(Match::Protocol(Protocol::Tcp));
    builder.base(TableKind::Nat, Hook::Output, redirect.then(Action::Redirect(15001)));
    builder.finish()
}

fn nft(namespace: &NetNs, script: &str) {
    let run = || Command::new("nft").args(script.split(' ')).status();
    assert!(namespace.run(run).unwrap().unwrap().success(), "{script}");
}

/// How many messages a look sends to nf_tables; it must find nothing.
fn questions(keeper: &mut Keeper) -> u32 {
    let next = |keeper: &Keeper| keeper.socket.as_ref().map_or(0, |socket| socket.take_sequence(1));
    let before = next(keeper);
    assert!(keeper.recheck().unwrap().is_none());
    next(keeper) - before - 1
}

#[test]
fn a_look_at_what_did_not_change_is_one_question() {
    let Some(namespace) = namespace() else { return };
    let (mut keeper, _) = Keeper::start(namespace.clone(), rules(), Options::default()).unwrap();
    assert!(questions(&mut keeper) > 1, "the first reads the rules back");
    assert_eq!([questions(&mut keeper), questions(&mut keeper)], [1, 1]);
    assert!(keeper.route.is_none(), "these rules need no routing");
    // Somebody else's table is a change like any other.
    nft(&namespace, "add table inet other");
    assert!(questions(&mut keeper) > 1);
    assert_eq!(questions(&mut keeper), 1);
}

#[test]
fn a_look_finds_what_nobody_told() {
    let Some(namespace) = namespace() else { return };
    let options = Options { lock: Lock::Off, ..Options::default() };
    let (mut keeper, _) = Keeper::start(namespace.clone(), rules(), options).unwrap();
    keeper.watch = None;
    assert!(keeper.descriptor().is_none());
    assert!(keeper.recheck().unwrap().is_none());
    for script in ["flush table inet meshward_istio", "delete table inet meshward_istio", "flush ruleset"] {
        nft(&namespace, script);
        assert!(keeper.recheck().unwrap().is_some(), "{script}");
        assert!(keeper.recheck().unwrap().is_none(), "{script}");
    }
}

#[test]
fn the_lock_passes_on_when_its_holder_is_gone() {
    let Some(namespace) = namespace() else { return };
    let start = || Keeper::start(namespace.clone(), rules(), Options::default()).unwrap();
    let (first, done) = start();
    if done.lock == LockState::Unavailable {
        return meshward_netlab::skipped("this kernel has no lasting table owner");
    }
    let (mut second, done) = start();
    assert_eq!(
        (done.changed, done.lock, second.lock()),
        (false, LockState::HeldByOther, LockState::HeldByOther)
    );
    assert!(second.recheck().unwrap().is_none());
    assert_eq!(second.lock(), LockState::HeldByOther);
    drop(first);
    // The kernel lets go of the table some time after the close.
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while second.lock() != LockState::Held {
        assert!(std::time::Instant::now() < deadline);
        assert!(second.recheck().unwrap().is_none(), "nothing was changed meanwhile");
    }
    assert_eq!(questions(&mut second).min(2), 2, "what was there without a lock is read back");
    assert_eq!(questions(&mut second), 1);
}
