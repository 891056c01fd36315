//! The story, step by step.

mod cast;
mod force;
mod tamper;
mod traffic;

use std::fmt;

use meshward_redirect::RuleSet;

use super::actor::{Actor, Part, ProxyPart};
use super::impossible;
use super::network::Network;
use super::paper::Paper;
use super::pod::{Container, Pod};
use super::standing::{self, Standing};
use crate::exit::{Failure, Outcome};

/// The port of an ordinary server.
const HTTP: u16 = 80;

/// Everything that stands on the stage.
struct Stage {
    paper: Paper,
    pod: Pod,
    /// Whether the containers are different users.
    distinct: bool,
    rules: RuleSet,
    /// The port that the manifest leaves out of the redirection.
    excluded: u16,
    /// The proxy's ports, outbound and inbound.
    ports: (u16, u16),
    app: Actor,
    proxy: Actor,
    world: Actor,
    // Last, because what is dropped before lives in it.
    network: Network,
}

/// Tells the whole story.
pub(super) fn tell(wait: bool) -> Outcome {
    let standing = standing::take()?;
    let mut paper = Paper::new(wait);
    let privileges = match standing {
        Standing::Privileged if rustix::process::geteuid().is_root() => "Run as root.".to_string(),
        other => format!("Run {other}."),
    };
    paper.title("A mesh pod without privileges: two network namespaces, real traffic, no cluster");
    paper.title(&privileges);
    let pod = Pod::read()?;
    cast::introduce(&mut paper, &pod)?;
    let mut stage = cast::raise(paper, pod, standing)?;
    traffic::before(&mut stage)?;
    let keeper = force::put_in_force(&mut stage)?;
    traffic::outbound(&mut stage)?;
    traffic::inbound(&mut stage)?;
    traffic::excluded(&mut stage)?;
    tamper::repaired(&mut stage, keeper)?;
    tamper::locked(&mut stage)?;
    force::take_away(&mut stage)?;
    end(stage)
}

/// Ends the processes and looks whether anything is left.
fn end(stage: Stage) -> Outcome {
    let Stage { paper, app, proxy, world, network, .. } = stage;
    let inodes = [network.pod.id(), network.peer.id()];
    drop((app, proxy, world));
    drop(network);
    let left = cast::processes_in(&inodes);
    expect(left.is_empty(), "no process is left in the two namespaces", || format!("processes {left:?}"))?;
    paper.seen("gone", "no process is left in either namespace, and nothing else held them");
    paper.title("\nThe same for a pod of your own:");
    paper.why(
        "meshward rules pod pod.yaml\nmeshward trace pod pod.yaml --out tcp 203.0.113.10:80 --uid 1000\n\
         meshward program --netns /run/netns/NAME --watch pod pod.yaml",
    );
    Ok(())
}

/// Ends the demonstration unless `holds`.
fn expect<T: fmt::Display>(holds: bool, meant: &str, seen: impl FnOnce() -> T) -> Outcome {
    if holds {
        Ok(())
    } else {
        Err(Failure::impossible(format!("not as it should be: {meant}; seen: {}", seen())))
    }
}

impl Stage {
    /// How a container is called where its user matters.
    fn called(&self, container: &Container) -> String {
        if self.distinct {
            format!("{} (uid {})", container.name, container.user.0)
        } else {
            container.name.clone()
        }
    }
}
