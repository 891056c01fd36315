//! Changes as they happen.

use std::time::{Duration, Instant};

use meshward_redirect::Mesh;
use meshward_redirect::nft::{self, Event, Lock, NfSocket, Watch};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bed::{Bed, has_nft};
use crate::sets;

fn next(watch: &mut Watch) -> Event {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(event) = watch.next_event().unwrap() {
            return event;
        }
        let left = deadline.checked_duration_since(Instant::now()).expect("no event came");
        let timeout = Timespec { tv_sec: left.as_secs() as i64 + 1, tv_nsec: 0 };
        poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&timeout)).unwrap();
    }
}

fn watched() -> Option<(Bed, NfSocket, Watch)> {
    let bed = Bed::new()?;
    let (socket, watch) = (bed.socket(), bed.run(|| Watch::open(Mesh::Istio).unwrap()));
    Some((bed, socket, watch))
}

#[test]
fn our_own_change_is_one_event_that_carries_our_port() {
    let Some((_bed, socket, mut watch)) = watched() else { return };
    assert_eq!(watch.next_event().unwrap(), None);
    nft::replace(&socket, &sets::everything(), Lock::Off).unwrap();
    let Event::Change { ours, tables, by, port } = next(&mut watch) else { panic!("overflow") };
    assert!(ours);
    assert_eq!(tables.len(), 1);
    assert_eq!((tables[0].family, &*tables[0].name), (1, "meshward_istio"));
    assert_eq!(port, socket.port().unwrap());
    assert!(by.pid > 0 && !by.name.is_empty(), "{by:?}");
    assert_eq!(watch.next_event().unwrap(), None);
}

#[test]
fn changes_by_others_tell_the_process_and_the_tables() {
    let Some((bed, socket, mut watch)) = watched().filter(|_| has_nft()) else { return };
    nft::replace(&socket, &sets::istio(), Lock::Off).unwrap();
    next(&mut watch);
    bed.command("add rule inet meshward_istio nat_output accept");
    let Event::Change { ours, by, port, .. } = next(&mut watch) else { panic!("overflow") };
    assert!(ours && port != socket.port().unwrap());
    assert_eq!(by.name, "nft");

    bed.command("table ip meshward_istio { chain a { }; }\n table inet other { set s { type ipv4_addr; }; }");
    let Event::Change { ours, tables, .. } = next(&mut watch) else { panic!("overflow") };
    assert!(!ours);
    let names: Vec<(u8, &str)> = tables.iter().map(|table| (table.family, &*table.name)).collect();
    assert_eq!(names, [(2, "meshward_istio"), (1, "other")]);
}

#[test]
fn a_change_is_told_in_time_to_repair_it() {
    let Some((bed, socket, mut watch)) = watched().filter(|_| has_nft()) else { return };
    let rules = sets::istio();
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    next(&mut watch);
    bed.command("flush chain inet meshward_istio nat_outbound");
    assert!(matches!(next(&mut watch), Event::Change { ours: true, .. }));
    assert!(nft::compare(&socket, &rules).unwrap().is_some());
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    let Event::Change { port, .. } = next(&mut watch) else { panic!("overflow") };
    assert_eq!(port, socket.port().unwrap());
    assert_eq!(nft::compare(&socket, &rules).unwrap(), None);
}

#[test]
fn lost_changes_are_an_event_of_their_own() {
    let Some((_bed, socket, mut watch)) = watched() else { return };
    let mut rules = sets::istio();
    let more = rules.tables[0].chains[3].rules.clone();
    (0..100).for_each(|_| rules.tables[0].chains[3].rules.extend(more.clone()));
    // Nobody reads: the notes of a few such transactions are more than any buffer holds.
    for _ in 0..12 {
        nft::replace(&socket, &rules, Lock::Off).unwrap();
    }
    let mut overflowed = false;
    while let Some(event) = watch.next_event().unwrap() {
        overflowed |= event == Event::Overflow;
    }
    assert!(overflowed);
    // And it goes on.
    nft::remove(&socket, Mesh::Istio).unwrap();
    assert!(matches!(next(&mut watch), Event::Change { ours: true, .. }));
}
