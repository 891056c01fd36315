//! The cases, by what they are about. A new one is a function and a line in its file's list.

mod admission;
mod away;
mod definitions;
mod desk;
mod docs;
mod faults;
mod installation;
mod looks;
mod node;
mod options;
mod pods;
mod real_istio;
mod scale;
mod start;
mod switching;
mod upgrade;

use std::time::Duration;

use meshward_e2e::Case;

/// For a pod to become Ready, on a machine that has other things to do as well.
const SOON: Duration = Duration::from_secs(120);

/// All of them.
pub(crate) fn all() -> Vec<Case> {
    let agent = [
        start::CASES,
        definitions::CASES,
        faults::CASES,
        away::CASES,
        upgrade::CASES,
        node::CASES,
        installation::CASES,
        docs::CASES,
        real_istio::CASES,
        scale::CASES,
    ]
    .concat();
    [agent, admission::all(), options::CASES.to_vec(), switching::CASES.to_vec()].concat()
}
