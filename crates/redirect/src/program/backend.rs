//! Which way into the kernel: by what works in the namespace, not by versions of anything.

use std::fmt;
use std::str::FromStr;

use super::survey::{Needed, Survey};
use super::{ProgramError, Target};
use crate::iptables::{Iptables, Variant};
use crate::net::InvalidValue;
use crate::netns::{NetNs, OpenNetNs};

/// How rules get into the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Backend {
    /// The first of the others that works in the namespace
    #[default]
    Auto,
    /// nf_tables over netlink, without any program
    Nft,
    /// The iptables programs that write nf_tables rules
    IptablesNft,
    /// The iptables programs that write ip_tables rules
    IptablesLegacy,
}

impl Backend {
    /// Every choice, the default first.
    pub const ALL: [Backend; 4] =
        [Backend::Auto, Backend::Nft, Backend::IptablesNft, Backend::IptablesLegacy];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Backend::Auto => "auto",
            Backend::Nft => "nft",
            Backend::IptablesNft => "iptables-nft",
            Backend::IptablesLegacy => "iptables-legacy",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Backend {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|backend| backend.name() == text);
        found.ok_or(InvalidValue::new(text, "auto, nft, iptables-nft or iptables-legacy"))
    }
}

/// A backend that has been chosen.
#[derive(Debug)]
pub(super) enum Chosen {
    Nft,
    Iptables(Iptables),
}

impl Chosen {
    pub(super) fn backend(&self) -> Backend {
        match self {
            Chosen::Nft => Backend::Nft,
            Chosen::Iptables(iptables) => backend_of(iptables.variant()),
        }
    }
}

pub(super) fn backend_of(variant: Variant) -> Backend {
    match variant {
        Variant::Nft => Backend::IptablesNft,
        Variant::Legacy => Backend::IptablesLegacy,
    }
}

/// The backend that was asked for, or the first that works.
pub(super) fn choose(namespace: &NetNs, survey: &Survey<'_>, asked: Backend) -> Result<Chosen, ProgramError> {
    match asked {
        Backend::Nft => Ok(Chosen::Nft),
        Backend::IptablesNft => Ok(Chosen::Iptables(Iptables::find(Variant::Nft)?)),
        Backend::IptablesLegacy => Ok(Chosen::Iptables(Iptables::find(Variant::Legacy)?)),
        Backend::Auto => first_that_works(namespace, survey),
    }
}

/// Why no backend can be used at all.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// No namespace to try it in.
    #[error(transparent)]
    Namespace(#[from] OpenNetNs),
    /// Nothing works there.
    #[error(transparent)]
    Backend(#[from] ProgramError),
}

/// Which backend the kernel of this machine lets us use, tried in a namespace that is made for it and gone after: so that
/// an agent can say that nothing will work before a pod has to wait for it. Writes nothing.
///
/// # Errors
/// See [`Unusable`].
pub fn usable(asked: Backend) -> Result<Backend, Unusable> {
    let namespace = NetNs::create()?;
    let survey = Survey::of(Target::from(&namespace), &[], Needed { route: false, legacy: false })?;
    let chosen = choose(&namespace, &survey, asked)?;
    let answer = match &chosen {
        Chosen::Nft => survey.nf_tables_answers(),
        Chosen::Iptables(iptables) => iptables.works_in(&namespace).map_err(|reason| reason.to_string()),
    };
    let backend = chosen.backend();
    answer.map(|()| backend).map_err(|reason| {
        let reasons = vec![format!("{backend}: {reason}")];
        ProgramError::NoBackend { namespace: namespace.to_string(), reasons }.into()
    })
}

fn first_that_works(namespace: &NetNs, survey: &Survey<'_>) -> Result<Chosen, ProgramError> {
    let nft = match survey.nf_tables_answers() {
        Ok(()) => return Ok(Chosen::Nft),
        Err(reason) => reason,
    };
    let mut reasons = vec![format!("nft: {nft}")];
    for variant in Variant::ALL {
        match Iptables::find(variant).and_then(|found| found.works_in(namespace).map(|()| found)) {
            Ok(found) => return Ok(Chosen::Iptables(found)),
            Err(reason) => reasons.push(format!("{variant}: {reason}")),
        }
    }
    Err(ProgramError::NoBackend { namespace: namespace.to_string(), reasons })
}
