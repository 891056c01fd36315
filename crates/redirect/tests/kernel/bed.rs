//! A pod for one case: listeners where packets could end, and the packets really sent.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use meshward_netlab::{Bed, Connection, Outcome, Place, Probe, Stray};
use meshward_redirect::net::Protocol;
use meshward_redirect::trace::Direction;
use meshward_redirect::{Action, RuleSet};

use crate::case::{Case, End, Sent};

/// What the kernel made of a packet.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Its end, or something stranger.
    pub(crate) end: Result<End, String>,
    /// The port it came from, where it got somewhere.
    pub(crate) source_port: Option<u16>,
}

pub(crate) fn netlab(protocol: Protocol) -> meshward_netlab::Protocol {
    match protocol {
        Protocol::Tcp => meshward_netlab::Protocol::Tcp,
        Protocol::Udp => meshward_netlab::Protocol::Udp,
    }
}

/// A pod and a peer that listen on every port that a packet is sent to and on every port that a rule sends to.
/// Nothing where namespaces are not allowed.
pub(crate) fn furnished(case: &Case, rules: &RuleSet) -> Option<Bed> {
    let mut bed = Bed::or_skip(case.layout.clone()).unwrap()?;
    let mut wanted = BTreeSet::new();
    for sent in case.packets.iter().filter(|sent| !sent.stray) {
        let protocol = netlab(sent.protocol);
        wanted.extend([(Place::Pod, protocol, sent.destination.port())]);
        if sent.direction == Direction::Out {
            wanted.insert((Place::Peer, protocol, sent.destination.port()));
        }
        match sent.expected.end {
            End::Peer(to) => _ = wanted.insert((Place::Peer, protocol, to.port())),
            End::Pod(port) => _ = wanted.insert((Place::Pod, protocol, port)),
            End::Refused | End::Nothing => {}
        }
    }
    let transparent: Vec<u16> = rules
        .rules()
        .filter_map(|(.., rule)| match rule.action {
            Action::Tproxy { port, .. } => Some(port),
            _ => None,
        })
        .collect();
    for (.., rule) in rules.rules() {
        if let Action::Redirect(port) = rule.action {
            wanted.insert((Place::Pod, meshward_netlab::Protocol::Tcp, port));
            wanted.insert((Place::Pod, meshward_netlab::Protocol::Udp, port));
        }
    }
    for port in transparent.iter().filter(|_| case.proxy_listens) {
        bed.listen_transparent(Place::Pod, meshward_netlab::Protocol::Tcp, *port).unwrap();
    }
    for (place, protocol, port) in wanted {
        bed.listen(place, protocol, port).unwrap();
    }
    Some(bed)
}

fn probe(sent: &Sent, silent: bool) -> Probe {
    let protocol = netlab(sent.protocol);
    let mut probe = match sent.direction {
        Direction::Out => Probe::out(protocol, sent.destination).owner(sent.uid, sent.gid),
        Direction::In => Probe::inbound(protocol, sent.destination),
    };
    probe.source = sent.source;
    probe.source_port = sent.source_port;
    probe.mark = sent.mark;
    probe.cable = sent.cable;
    probe.silent = silent;
    probe
}

/// Sends every packet of the case and says what became of each, in their order. Those that are said to be silent are
/// not waited for as long as the others.
pub(crate) fn send(case: &Case, bed: &Bed, silent: impl Fn(usize) -> bool) -> Vec<Answer> {
    let unsent = Answer { end: Err("not sent".into()), source_port: None };
    let mut answers: Vec<Answer> = vec![unsent; case.packets.len()];
    // Probes with the same source port of their own cannot be told apart in one batch, and until they are connected
    // their sockets take what is sent to listeners.
    let mut waves: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (place, sent) in case.packets.iter().enumerate().filter(|(_, sent)| !sent.stray) {
        let earlier = case.packets[..place].iter().filter(|other| {
            sent.source_port.is_some() && other.source_port == sent.source_port && !other.stray
        });
        let wave = sent.source_port.map_or(0, |_| 1 + earlier.count());
        waves.entry(wave).or_default().push(place);
    }
    for places in waves.values() {
        let probes: Vec<Probe> =
            places.iter().map(|place| probe(&case.packets[*place], silent(*place))).collect();
        let outcomes = bed.probe_all(&probes).unwrap_or_else(|error| panic!("{}: {error}", case.name));
        for (place, outcome) in places.iter().zip(outcomes) {
            let source_port = match &outcome {
                Outcome::Reached(arrival) => Some(arrival.source.port()),
                _ => None,
            };
            answers[*place] = Answer { end: end(&case.packets[*place], &outcome), source_port };
        }
    }
    let strays: Vec<usize> = (0..case.packets.len()).filter(|place| case.packets[*place].stray).collect();
    let segments: Vec<Stray> = strays
        .iter()
        .map(|place| Stray {
            source_port: 7000 + *place as u16,
            destination: case.packets[*place].destination,
        })
        .collect();
    if !segments.is_empty() {
        for (place, refused) in strays.into_iter().zip(bed.stray(&segments).unwrap()) {
            answers[place].end = Ok(if refused { End::Refused } else { End::Nothing });
        }
    }
    answers
}

fn end(sent: &Sent, outcome: &Outcome) -> Result<End, String> {
    let arrival = match outcome {
        Outcome::Reached(arrival) => arrival,
        Outcome::Silence => return Ok(End::Nothing),
        Outcome::Refused => return Ok(End::Refused),
        Outcome::Blocked | Outcome::Failed(_) => return Err(format!("{outcome:?}")),
    };
    if arrival.place == Place::Peer {
        // A datagram does not tell the address it was sent to.
        let address = match (arrival.local, sent.expected.end) {
            (Some(local), _) => local,
            (None, End::Peer(to)) => SocketAddr::new(to.ip(), arrival.port),
            (None, _) => SocketAddr::new(sent.destination.ip(), arrival.port),
        };
        return Ok(End::Peer(address));
    }
    let original = arrival.original.or(arrival.local);
    if sent.protocol == Protocol::Tcp && original != Some(sent.destination) {
        return Err(format!("pod {} with original destination {original:?}", arrival.port));
    }
    Ok(End::Pod(arrival.port))
}

/// The connection that a packet opened.
pub(crate) fn connection<'a>(
    connections: &'a [Connection],
    sent: &Sent,
    answer: &Answer,
) -> Option<&'a Connection> {
    connections.iter().find(|connection| {
        connection.protocol == netlab(sent.protocol)
            && connection.destination == sent.destination
            && Some(connection.source.port()) == answer.source_port
            && sent.source.is_none_or(|source| source == connection.source.ip())
    })
}
