//! What a namespace looks like before anything is done: the sockets that were opened in it, and the cheap signs of
//! rules that others, or we with another backend, have left there. Programs are only run where there is such a sign.

use std::fs;

use super::ProgramError;
use super::older::is_iptables_nft;
use crate::iptables::{Ours, Variant};
use crate::netns::NetNs;
use crate::nft::{self, ChainPlace, ForeignChain, NfSocket, NftError, TableState};
use crate::rtnl::{RouteError, RouteSocket};
use crate::ruleset::Mesh;

/// Which ip_tables tables exist in this namespace (net/netfilter/x_tables.c); of the calling thread, because a
/// process's other threads are in another namespace.
const LEGACY_TABLES: [&str; 2] =
    ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// A namespace as it was found.
#[derive(Debug)]
pub(super) struct Survey<'a> {
    nf: Result<Nf<'a>, NftError>,
    route: RouteSocket,
    legacy: bool,
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
    /// Opens the sockets inside and looks for legacy tables, all on one thread.
    pub(super) fn of(namespace: &NetNs, held: Option<&'a NfSocket>) -> Result<Self, ProgramError> {
        let opened = namespace.run(|| -> Result<Self, RouteError> {
            let legacy = LEGACY_TABLES.iter().any(|path| fs::read(path).is_ok_and(|names| !names.is_empty()));
            let nf = held.map_or_else(|| NfSocket::open().map(Nf::Opened), |socket| Ok(Nf::Held(socket)));
            Ok(Self { nf, route: RouteSocket::open()?, legacy })
        });
        Ok(opened??)
    }

    /// The socket to nf_tables.
    pub(super) fn nf(&self) -> Option<&NfSocket> {
        self.nf.as_ref().ok().map(Nf::socket)
    }

    /// The same where nothing goes without it.
    pub(super) fn need_nf(&self, namespace: &NetNs) -> Result<&NfSocket, ProgramError> {
        self.nf.as_ref().map(Nf::socket).map_err(|error| ProgramError::NoBackend {
            namespace: namespace.to_string(),
            reasons: vec![format!("nft: {error}")],
        })
    }

    /// The socket for addresses, routes and policy rules.
    pub(super) fn route(&mut self) -> &mut RouteSocket {
        &mut self.route
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
        let socket = self.nf.as_ref().map(Nf::socket).map_err(ToString::to_string)?;
        // Any read will do; this one comes back empty in most namespaces.
        nft::state(socket, Mesh::Istio).map(|_| ()).map_err(|error| error.to_string())
    }

    /// Our table of a mesh, where nf_tables works and has one.
    pub(super) fn table(&self, mesh: Mesh) -> Option<TableState> {
        self.nf().and_then(|socket| nft::state(socket, mesh).ok().flatten())
    }

    /// The nat base chains of others.
    pub(super) fn foreign_chains(&self) -> Result<Vec<ForeignChain>, NftError> {
        self.nf().map_or(Ok(Vec::new()), nft::foreign_nat_chains)
    }

    /// Every chain of nf_tables.
    pub(super) fn chains(&self) -> Result<Vec<ChainPlace>, NftError> {
        // Where nf_tables does not answer there is nothing of it to find.
        self.nf().filter(|_| self.nf_tables_answers().is_ok()).map_or(Ok(Vec::new()), nft::chain_places)
    }

    /// Whether a variant of iptables may hold chains that are `ours`; `chains` as [`Self::chains`] lists them.
    pub(super) fn has_sign(&self, variant: Variant, chains: &[ChainPlace], ours: &Ours) -> bool {
        match variant {
            Variant::Nft => chains.iter().any(|place| is_iptables_nft(place) && ours.has_chain(&place.chain)),
            Variant::Legacy => self.legacy,
        }
    }
}
