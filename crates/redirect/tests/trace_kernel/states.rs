//! Connection states other than new, one claim at a time: the property test sends first packets only.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};

use meshward_netlab::{Bed, Error, Layout};
use meshward_redirect::builder::{Builder, rule};
use meshward_redirect::net::Protocol;
use meshward_redirect::nft::{self, Lock, NfSocket};
use meshward_redirect::trace::{Direction, Environment, PacketSpec};
use meshward_redirect::{Action, CtState, Hook, Match, Mesh, Rule, RuleSet, TableKind};

use crate::counters;

/// One counting rule per state in mangle, and in nat a rule that every packet there matches.
fn counting(hook: Hook) -> RuleSet {
    let mut builder = Builder::new(Mesh::Istio, true);
    let log = || Action::Log { prefix: "states ".into(), level: 6 };
    let tcp = |name| -> meshward_redirect::builder::RuleStart {
        rule(name).matching(Match::Protocol(Protocol::Tcp))
    };
    for state in [CtState::New, CtState::Established, CtState::Invalid] {
        builder.base(TableKind::Mangle, hook, tcp("state").matching(Match::CtState(vec![state])).then(log()));
    }
    let every: Rule = tcp("nat").then(Action::Return);
    builder.base(TableKind::Nat, hook, every);
    builder.finish()
}

/// Matches of (mangle new, mangle established, mangle invalid, nat) as the kernel counted them.
fn counted(bed: &Bed, rules: &RuleSet, hook: Hook) -> Result<[u64; 4], Error> {
    let list = ["-j", "list", "table", "inet", &rules.mesh.table_name()];
    let found = counters::read(&bed.pod.command("nft", &list, "")?, rules);
    let of = |kind, position| found[&counters::key(kind, hook.name(), position)];
    Ok([of(TableKind::Mangle, 1), of(TableKind::Mangle, 2), of(TableKind::Mangle, 3), of(TableKind::Nat, 1)])
}

/// The same as one packet's trace has it.
fn traced(rules: &RuleSet, direction: Direction, state: &str) -> [u64; 4] {
    let packet = PacketSpec::new(direction, "tcp", "10.77.0.2:80").unwrap().state(state).unwrap();
    // An address that is not the pod's, so that what is sent leaves.
    let trace = packet.trace(rules, &Environment::default()).unwrap();
    let matched = |kind, position| {
        trace.rules().filter(|r| r.matched && r.table == kind && r.position == position).count() as u64
    };
    [
        matched(TableKind::Mangle, 1),
        matched(TableKind::Mangle, 2),
        matched(TableKind::Mangle, 3),
        matched(TableKind::Nat, 1),
    ]
}

fn programmed(hook: Hook) -> Result<Option<(Bed, RuleSet)>, Error> {
    let Some(bed) = Bed::or_skip(Layout::ipv4())? else { return Ok(None) };
    let rules = counting(hook);
    let socket = bed.pod.run(NfSocket::open)?.expect("a netfilter socket");
    nft::replace(&socket, &rules, Lock::Off).expect("rules in force");
    Ok(Some((bed, rules)))
}

/// nat is asked once for a connection, however many packets it has.
#[test]
fn nat_sees_the_first_packet_only() -> Result<(), Error> {
    let Some((bed, rules)) = programmed(Hook::Output)? else { return Ok(()) };
    let address = SocketAddrV4::new(Ipv4Addr::new(192, 0, 2, 7), 80);
    let listener = bed.peer.run(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)))?.expect("a listener");
    let mut client = bed.pod.run(|| TcpStream::connect(address))?.expect("a connection");
    let (mut server, _) = listener.accept().expect("a connection");
    for _ in 0..3 {
        client.write_all(b"x").expect("sent");
        server.read_exact(&mut [0]).expect("received");
    }
    let [new, established, invalid, nat] = counted(&bed, &rules, Hook::Output)?;
    assert_eq!([new, 0, invalid, nat], traced(&rules, Direction::Out, "new"));
    assert_eq!(traced(&rules, Direction::Out, "established"), [0, 1, 0, 0]);
    // The handshake's last packet and three times data; the kernel may count acknowledgements beside them.
    assert!(established >= 4, "{established}");
    Ok(())
}

/// A segment that fits no connection is invalid and passes nat by.
#[test]
fn nat_does_not_see_invalid_packets() -> Result<(), Error> {
    use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};
    let Some((bed, rules)) = programmed(Hook::Prerouting)? else { return Ok(()) };
    // A TCP header without a checksum: ports 4000 and 80, data offset 5, flags SYN and ACK.
    let mut segment = [0_u8; 20];
    segment[..4].copy_from_slice(&[0x0f, 0xa0, 0, 80]);
    segment[12..14].copy_from_slice(&[0x50, 0x12]);
    let sent = bed.peer.run(|| {
        let raw = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::TCP))?;
        sendto(&raw, &segment, SendFlags::empty(), &SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 2), 0))
    })?;
    assert_eq!(sent, Ok(segment.len()));
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    let mut found = counted(&bed, &rules, Hook::Prerouting)?;
    while found == [0; 4] && std::time::Instant::now() < deadline {
        found = counted(&bed, &rules, Hook::Prerouting)?;
    }
    assert_eq!(found, traced(&rules, Direction::In, "invalid"));
    assert_eq!(found, [0, 0, 1, 0]);
    Ok(())
}
