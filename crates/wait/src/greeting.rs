//! What the agent says at the gate: one line of ASCII words for each change of mind, so that a person can read it with
//! `socat - ABSTRACT-CONNECT:meshward-ready`, and an older wait container understands a newer agent.
//!
//! ```text
//! meshward 1 wait REASON                    not yet, and why; the connection stays open
//! meshward 1 nothing REASON                 this pod gets no rules: start
//! meshward 1 ready [out=TO>PORT] [in=TO>PORT@UID]…
//!                                           the rules are in force; these connections prove it
//! ```
//!
//! `out=192.0.2.2:1404>15001`: a connection of an ordinary user to 192.0.2.2:1404 arrives at port 15001 of the pod, with
//! that as its original destination. `in=127.0.0.6:1404>15006@1337`: the same for inbound rules, which only packets of
//! the proxy's own user (its calls to itself) or from outside of the pod go through. Words that are not known are
//! left alone; another version is not understood.

use std::net::SocketAddr;

/// The longest line that is read, in bytes.
pub(crate) const LONGEST: usize = 4096;
/// The most connections that are made for one line.
const MOST_PROOFS: usize = 16;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Greeting {
    Wait { reason: String },
    Nothing { reason: String },
    Ready { proofs: Vec<Proof> },
}

/// Which rules a connection goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Outbound,
    /// Only for this user.
    Inbound {
        user: u32,
    },
}

/// A connection, and where it has to arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Proof {
    pub(crate) direction: Direction,
    pub(crate) to: SocketAddr,
    pub(crate) port: u16,
}

/// Reads a line without its line break.
///
/// # Errors
/// What is not understood.
pub(crate) fn parse(line: &[u8]) -> Result<Greeting, String> {
    let text: String = String::from_utf8_lossy(line).chars().filter(|one| !one.is_control()).collect();
    let rest = text.strip_prefix("meshward ").ok_or("the gate does not speak our language")?;
    let (version, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    if version != "1" {
        return Err(format!("the node agent speaks version {version} at the gate, accepted: 1"));
    }
    let (word, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match word {
        "wait" => Ok(Greeting::Wait { reason: rest.to_string() }),
        "nothing" => Ok(Greeting::Nothing { reason: rest.to_string() }),
        "ready" => Ok(Greeting::Ready { proofs: proofs(rest)? }),
        _ => Err(format!("the node agent says {word:?}, accepted: wait, nothing, ready")),
    }
}

fn proofs(words: &str) -> Result<Vec<Proof>, String> {
    let mut proofs = Vec::new();
    for word in words.split_ascii_whitespace() {
        let proof = match word.split_once('=') {
            Some(("out", value)) => outbound(value),
            Some(("in", value)) => inbound(value),
            _ => continue,
        };
        proofs.push(proof.ok_or_else(|| {
            format!("the node agent says {word:?}, accepted: out=ADDRESS:PORT>PORT, in=ADDRESS:PORT>PORT@UID")
        })?);
    }
    if proofs.len() > MOST_PROOFS {
        return Err(format!("the node agent asks for {} proofs, accepted: {MOST_PROOFS}", proofs.len()));
    }
    Ok(proofs)
}

fn outbound(value: &str) -> Option<Proof> {
    let (to, port) = value.split_once('>')?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    Some(Proof { direction: Direction::Outbound, to: to.parse().ok()?, port })
}

fn inbound(value: &str) -> Option<Proof> {
    let (proof, user) = value.split_once('@')?;
    Some(Proof { direction: Direction::Inbound { user: user.parse().ok()? }, ..outbound(proof)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(proofs: &[(Direction, &str, u16)]) -> Result<Greeting, String> {
        let proof = |(direction, to, port): &(Direction, &str, u16)| Proof {
            direction: *direction,
            to: to.parse().expect("an address"),
            port: *port,
        };
        Ok(Greeting::Ready { proofs: proofs.iter().map(proof).collect() })
    }

    #[test]
    fn lines() {
        let user = 1337;
        for (line, expected) in [
            (
                "meshward 1 wait for its annotation",
                Ok(Greeting::Wait { reason: "for its annotation".into() }),
            ),
            ("meshward 1 nothing", Ok(Greeting::Nothing { reason: String::new() })),
            ("meshward 1 ready", ready(&[])),
            (
                "meshward 1 ready later=x word out=192.0.2.2:1404>15001",
                ready(&[(Direction::Outbound, "192.0.2.2:1404", 15001)]),
            ),
            (
                "meshward 1 ready out=[2001:db8::2]:1>4140 in=127.0.0.6:1404>15006@1337",
                ready(&[
                    (Direction::Outbound, "[2001:db8::2]:1", 4140),
                    (Direction::Inbound { user }, "127.0.0.6:1404", 15006),
                ]),
            ),
        ] {
            assert_eq!(parse(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn what_is_not_understood_is_no_leave_to_start() {
        for line in [
            "",
            "ready",
            "meshward",
            "meshward 2 ready",
            "meshward 1",
            "meshward 1 readyness",
            "meshward 1 ready out=192.0.2.2>15001",
            "meshward 1 ready out=192.0.2.2:1404",
            "meshward 1 ready out=192.0.2.2:1404>0",
            "meshward 1 ready in=127.0.0.6:1404>15006",
            "meshward 1 ready in=127.0.0.6:1404>15006@root",
        ] {
            assert!(parse(line.as_bytes()).is_err(), "{line}");
        }
        let many = "meshward 1 ready".to_string() + &" out=192.0.2.2:1>2".repeat(MOST_PROOFS + 1);
        assert!(parse(many.as_bytes()).is_err());
        assert!(
            parse(b"meshward 1 wait \xff\x1b[2J")
                .is_ok_and(|line| line == Greeting::Wait { reason: "\u{fffd}[2J".into() })
        );
    }
}
