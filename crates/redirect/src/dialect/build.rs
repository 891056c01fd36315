//! The four dialects behind one door: settings in, rules out. Whoever has a mesh and its settings (the command line, the
//! agent) needs to know no more of a dialect than this.

use std::net::IpAddr;

use super::{Flag, InvalidOption, Lint, Settings, consul, istio, kuma, linkerd};
use crate::ruleset::{Mesh, RuleSet};

/// What the rules depend on besides the options: facts about the namespace they are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether the namespace has a global IPv4 address; unknown when rules are only printed. Both decide Istio's
    /// `--ipv6 auto` ([`istio::Options::settle_ipv6`]); the other meshes have no such mode.
    pub global_ipv4: Option<bool>,
    /// The same for IPv6.
    pub global_ipv6: Option<bool>,
}

impl Surroundings {
    /// Of a namespace that has these global addresses and no others.
    pub fn of(addresses: &[IpAddr]) -> Self {
        Self {
            global_ipv4: Some(addresses.iter().any(IpAddr::is_ipv4)),
            global_ipv6: Some(addresses.iter().any(IpAddr::is_ipv6)),
        }
    }
}

/// Rules, and remarks about the options they come from.
#[derive(Debug, Clone)]
pub struct Built {
    /// The rules.
    pub rules: RuleSet,
    /// What is allowed and yet surely not meant.
    pub lints: Vec<Lint>,
}

/// The options of a mesh.
pub fn flags_of(mesh: Mesh) -> &'static [Flag] {
    match mesh {
        Mesh::Istio => istio::FLAGS,
        Mesh::Linkerd => linkerd::FLAGS,
        Mesh::Kuma => kuma::FLAGS,
        Mesh::Consul => consul::FLAGS,
    }
}

/// Builds the rules that a mesh's settings ask for.
///
/// # Errors
/// [`InvalidOption`] for the first value that is not accepted; [`check`] finds all of them.
pub fn build(mesh: Mesh, settings: &Settings, surroundings: Surroundings) -> Result<Built, InvalidOption> {
    Ok(match mesh {
        Mesh::Istio => {
            let mut options = istio::Options::from_settings(settings)?;
            let passing = options.settle_ipv6(surroundings);
            let mut lints = istio::lints(&options);
            lints.extend(passing);
            Built { rules: istio::rules(&options), lints }
        }
        Mesh::Linkerd => {
            let options = linkerd::Options::from_settings(settings)?;
            Built { rules: linkerd::rules(&options), lints: linkerd::lints(&options) }
        }
        Mesh::Kuma => {
            let options = kuma::Options::from_settings(settings)?;
            Built { rules: kuma::rules(&options), lints: kuma::lints(&options) }
        }
        Mesh::Consul => {
            let options = consul::Options::from_settings(settings)?;
            Built { rules: consul::rules(&options), lints: consul::lints(&options) }
        }
    })
}

/// Checks settings as the dialect itself will read them.
///
/// # Errors
/// Every option that is not accepted, not only the first: each is put back to its default and the rest read again.
pub fn check(mesh: Mesh, settings: &Settings) -> Result<Vec<Lint>, Vec<InvalidOption>> {
    let mut trial = settings.clone();
    let mut problems: Vec<InvalidOption> = Vec::new();
    loop {
        match build(mesh, &trial, Surroundings::default()) {
            Ok(built) if problems.is_empty() => return Ok(built.lints),
            Ok(_) => return Err(problems),
            Err(problem) if problems.iter().any(|known| known.option == problem.option) => {
                return Err(problems);
            }
            Err(problem) => {
                trial.reset(problem.option);
                problems.push(problem);
            }
        }
    }
}
