//! Tables that only their owner can change.

use std::time::{Duration, Instant};

use meshward_redirect::Mesh;
use meshward_redirect::nft::{self, Lock, NfSocket, NftError};

use crate::bed::{Bed, has_nft};
use crate::sets;

/// A namespace where locking works; says so where the kernel has no locks.
fn lockable() -> Option<Bed> {
    let bed = Bed::new()?;
    let probe = Bed::new()?;
    match nft::replace(&probe.socket(), &sets::istio(), Lock::Required) {
        Ok(replaced) => assert!(replaced.locked),
        Err(NftError::LockUnavailable { .. }) => {
            meshward_netlab::skipped("needs Linux 6.9");
            return None;
        }
        Err(error) => panic!("{error}"),
    }
    Some(bed)
}

#[test]
fn only_the_owner_changes_a_locked_table() {
    let Some(bed) = lockable() else { return };
    let (owner, other) = (bed.socket(), bed.socket());
    let rules = sets::istio();
    assert!(nft::replace(&owner, &rules, Lock::IfAvailable).unwrap().locked);
    let state = nft::state(&other, Mesh::Istio).unwrap().unwrap();
    assert_eq!(state.owner, Some(owner.port().unwrap()));
    assert!(state.persistent && !state.dormant);

    for error in [
        nft::replace(&other, &sets::everything(), Lock::Required).unwrap_err(),
        nft::replace(&other, &sets::everything(), Lock::Off).unwrap_err(),
        nft::remove(&other, Mesh::Istio).unwrap_err(),
        nft::adopt(&other, Mesh::Istio).unwrap_err(),
        nft::probe(&other, &rules).unwrap_err(),
    ] {
        let NftError::Locked { owner: holder, .. } = &error else { panic!("{error}") };
        assert_eq!(*holder, Some(owner.port().unwrap()), "{error}");
    }
    if has_nft() {
        assert!(bed.try_nft(&["add", "rule", "inet", "meshward_istio", "nat_output", "accept"], "").is_err());
        assert!(bed.try_nft(&["delete", "table", "inet", "meshward_istio"], "").is_err());
        bed.nft(&["flush", "ruleset"], "");
    }
    assert_eq!(nft::compare(&other, &rules).unwrap(), None);

    assert!(nft::replace(&owner, &sets::everything(), Lock::Required).unwrap().locked);
    assert_eq!(nft::compare(&other, &sets::everything()).unwrap(), None);
    assert!(!nft::replace(&owner, &rules, Lock::Off).unwrap().locked);
    assert_eq!(nft::state(&other, Mesh::Istio).unwrap().unwrap().owner, None);
    assert!(nft::remove(&other, Mesh::Istio).unwrap());
}

#[test]
fn a_locked_table_outlives_its_owner_and_is_adopted_as_it_is() {
    let Some(bed) = lockable() else { return };
    let rules = sets::istio();
    let owner = bed.socket();
    nft::replace(&owner, &rules, Lock::Required).unwrap();
    assert!(nft::adopt(&owner, Mesh::Istio).unwrap(), "one's own table");
    drop(owner);

    let next = bed.socket();
    wait_for_orphan(&next);
    assert_eq!(nft::compare(&next, &rules).unwrap(), None);
    assert!(nft::adopt(&next, Mesh::Istio).unwrap());
    assert_eq!(nft::state(&next, Mesh::Istio).unwrap().unwrap().owner, Some(next.port().unwrap()));
    assert_eq!(nft::compare(&next, &rules).unwrap(), None);
    drop(next);

    // An orphan is replaced like any table.
    let last = bed.socket();
    wait_for_orphan(&last);
    assert!(nft::replace(&last, &sets::everything(), Lock::Required).unwrap().locked);
    assert_eq!(nft::compare(&last, &sets::everything()).unwrap(), None);
    assert!(nft::remove(&last, Mesh::Istio).unwrap());
}

/// A socket closes when its last descriptor does, and a child that another test is just starting has a copy until it
/// runs its program.
fn wait_for_orphan(socket: &NfSocket) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let state = nft::state(socket, Mesh::Istio).unwrap().unwrap();
        assert!(state.persistent);
        if state.owner.is_none() {
            return;
        }
        assert!(Instant::now() < deadline, "the table is still owned by port {:?}", state.owner);
        std::thread::yield_now();
    }
}

#[test]
fn tables_that_were_never_locked_are_not_adopted() {
    let Some(bed) = lockable() else { return };
    let socket = bed.socket();
    assert!(!nft::adopt(&socket, Mesh::Istio).unwrap());
    nft::replace(&socket, &sets::istio(), Lock::Off).unwrap();
    assert!(!nft::adopt(&socket, Mesh::Istio).unwrap());
    assert!(nft::replace(&socket, &sets::istio(), Lock::Required).unwrap().locked);
}
