//! What a namespace looks like before anything is done: the guards' answer, the sockets that were opened in it, and the
//! cheap signs of rules that others, or we with another backend, have left there. Programs are only run where there is
//! such a sign, and the namespace is entered once for all that is known to be needed.

use std::cell::OnceCell;
use std::net::IpAddr;

use rustix::fs::{Mode, OFlags};

use super::older::is_iptables_nft;
use super::{ProgramError, Target};
use crate::iptables::{Ours, Variant};
use crate::netns::{NetNs, expect_addresses, refuse_own};
use crate::nft::{self, ChainPlace, NfSocket, NftError, TableState};
use crate::rtnl::{RouteError, RouteSocket};
use crate::ruleset::Mesh;

/// What of a namespace belongs to one of its threads; of the calling thread, because a process's other threads are in
/// another namespace.
const OWN_NET: &str = "/proc/thread-self/net";
/// Which ip_tables tables exist in this namespace (net/netfilter/x_tables.c).
const LEGACY_TABLES: [&str; 2] = ["ip_tables_names", "ip6_tables_names"];

/// What will be needed besides nf_tables; anything else is looked at when somebody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Needed {
    /// Addresses, routes and policy rules.
    pub(super) route: bool,
    /// Signs of legacy tables.
    pub(super) legacy: bool,
}

impl Needed {
    /// The pod's addresses have to be listed.
    fn expecting(self, expected: &[IpAddr]) -> Self {
        Self { route: self.route || !expected.is_empty(), ..self }
    }
}

/// A namespace as it was found.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    namespace: &'a NetNs,
    nf: Result<Nf<'a>, NftError>,
    answers: OnceCell<Result<(), String>>,
    route: Option<RouteSocket>,
    legacy: OnceCell<bool>,
}

/// The nf_tables socket: opened for this one time, or the caller's.
#[derive(Debug)]
enum Nf<'a> {
    Opened(NfSocket),
    Held(&'a NfSocket),
}

impl Nf<'_> {
    fn socket(&self) -> &NfSocket {
        match self {
            Nf::Opened(socket) => socket,
            Nf::Held(socket) => socket,
        }
    }
}

impl<'a> Survey<'a> {
    /// Refuses what must not be touched, opens the sockets inside and looks for legacy tables, all on one thread.
    pub(super) fn of(
        target: Target<'a>,
        expected: &[IpAddr],
        needed: Needed,
    ) -> Result<Survey<'a>, ProgramError> {
        refuse_own(target.namespace)?;
        let needed = needed.expecting(expected);
        let outside = target.socket.is_some() && needed == Needed { route: false, legacy: false };
        let open = || Self::open(target, needed);
        let survey = if outside { open() } else { target.namespace.run(open)? }?;
        survey.expect(expected)
    }

    /// The same, and what `more` opens inside.
    pub(super) fn and<T: Send>(
        target: Target<'a>,
        expected: &[IpAddr],
        needed: Needed,
        more: impl FnOnce() -> T + Send,
    ) -> Result<(Survey<'a>, T), ProgramError> {
        refuse_own(target.namespace)?;
        let needed = needed.expecting(expected);
        let (more, survey) = target.namespace.run(|| (more(), Self::open(target, needed)))?;
        Ok((survey?.expect(expected)?, more))
    }

    /// In the calling thread's namespace.
    fn open(target: Target<'a>, needed: Needed) -> Result<Self, RouteError> {
        let Target { namespace, socket: held } = target;
        let nf = held.map_or_else(|| NfSocket::open().map(Nf::Opened), |socket| Ok(Nf::Held(socket)));
        let route = needed.route.then(RouteSocket::open).transpose()?;
        let legacy = needed.legacy.then(has_legacy_tables).map(OnceCell::from).unwrap_or_default();
        Ok(Self { namespace, nf, answers: OnceCell::new(), route, legacy })
    }

    fn expect(mut self, expected: &[IpAddr]) -> Result<Self, ProgramError> {
        if let Some(route) = &mut self.route {
            expect_addresses(self.namespace, route, expected)?;
        }
        Ok(self)
    }

    /// The socket to nf_tables.
    pub(super) fn nf(&self) -> Option<&NfSocket> {
        self.nf.as_ref().ok().map(Nf::socket)
    }

    /// The same where nothing goes without it.
    pub(super) fn need_nf(&self) -> Result<&NfSocket, ProgramError> {
        self.nf.as_ref().map(Nf::socket).map_err(|error| ProgramError::NoBackend {
            namespace: self.namespace.to_string(),
            reasons: vec![format!("nft: {error}")],
        })
    }

    /// The socket for addresses, routes and policy rules.
    pub(super) fn route(&mut self) -> Result<&mut RouteSocket, ProgramError> {
        let route = match self.route.take() {
            Some(route) => route,
            None => self.namespace.run(RouteSocket::open)??,
        };
        Ok(self.route.insert(route))
    }

    /// The same as far as it is open.
    pub(super) fn opened_route(&mut self) -> Option<&mut RouteSocket> {
        self.route.as_mut()
    }

    /// Hands out the nf_tables socket that was opened, with the lock it may hold.
    pub(super) fn into_opened(self) -> Option<NfSocket> {
        match self.nf {
            Ok(Nf::Opened(socket)) => Some(socket),
            _ => None,
        }
    }

    /// Whether nf_tables works here, or why not.
    pub(super) fn nf_tables_answers(&self) -> Result<(), String> {
        // Any read will do; this one comes back empty in most namespaces.
        let ask = || self.state(Mesh::Istio).map(|_| ()).map_err(|error| error.to_string());
        self.answers.get_or_init(ask).clone()
    }

    /// Our table of a mesh, where nf_tables works and has one.
    pub(super) fn table(&self, mesh: Mesh) -> Option<TableState> {
        let state = self.state(mesh).ok()?;
        self.answers.get_or_init(|| Ok(()));
        state
    }

    fn state(&self, mesh: Mesh) -> Result<Option<TableState>, ProgramError> {
        Ok(nft::state(self.need_nf()?, mesh)?)
    }

    /// Every chain of nf_tables.
    pub(super) fn chains(&self) -> Result<Vec<ChainPlace>, NftError> {
        // Where nf_tables does not answer there is nothing of it to find.
        self.nf().filter(|_| self.nf_tables_answers().is_ok()).map_or(Ok(Vec::new()), nft::chain_places)
    }

    /// Whether a variant of iptables may hold chains that are `ours`; `chains` as [`Self::chains`] lists them.
    pub(super) fn has_sign(
        &self,
        variant: Variant,
        chains: &[ChainPlace],
        ours: &Ours,
    ) -> Result<bool, ProgramError> {
        Ok(match (variant, self.legacy.get()) {
            (Variant::Nft, _) => {
                chains.iter().any(|place| is_iptables_nft(place) && ours.has_chain(&place.chain))
            }
            (Variant::Legacy, Some(legacy)) => *legacy,
            (Variant::Legacy, None) => {
                let legacy = self.namespace.run(has_legacy_tables)?;
                *self.legacy.get_or_init(|| legacy)
            }
        })
    }
}

/// Whether the calling thread's namespace has any table of legacy iptables.
fn has_legacy_tables() -> bool {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = rustix::fs::open(OWN_NET, flags, Mode::empty()) else { return false };
    LEGACY_TABLES.iter().any(|name| {
        let names = rustix::fs::openat(&folder, *name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        names.is_ok_and(|names| rustix::io::read(names, &mut [0u8; 64]).is_ok_and(|length| length > 0))
    })
}
