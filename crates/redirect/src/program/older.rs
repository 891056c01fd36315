//! The rules that a mesh's own set-up left in a namespace before us (its init container ran, or its CNI plugin did).
//! Two sets of redirects on the same hooks shadow each other, so they go, but only once ours are in force.

use std::fmt;

use crate::iptables::Ours;
use crate::nft::ChainPlace;
use crate::render::iptables::chain_prefix;
use crate::ruleset::Mesh;

/// `NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6` (linux/netfilter.h)
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

/// Something that the mesh's own set-up left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Older {
    /// What it is: `table inet istio-proxy-nat`, `iptables-legacy: ipv4 nat ISTIO_OUTPUT`.
    pub what: String,
    /// What became of it.
    pub fate: Fate,
}

/// What became of older rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// Removed, after ours were in force
    Removed,
    /// Still there, as the options ask
    Kept,
    /// Still there, though it should not be; the reason
    Failed(String),
}

impl fmt::Display for Older {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fate {
            Fate::Removed => write!(f, "removed {}", self.what),
            Fate::Kept => write!(f, "kept {}", self.what),
            Fate::Failed(reason) => write!(f, "could not remove {}: {reason}", self.what),
        }
    }
}

/// The chains that the mesh's own set-up makes with iptables.
///
/// Sources: istio tools/istio-iptables/pkg/constants, linkerd2-proxy-init internal/iptables, kuma
/// pkg/transparentproxy/consts (chains and comments), consul sdk/iptables.
pub(super) fn older_chains(mesh: Mesh) -> Ours {
    let prefixes = |names: &[&str]| Ours::prefixes(names.iter().map(ToString::to_string).collect());
    match mesh {
        Mesh::Istio => prefixes(&["ISTIO_"]),
        Mesh::Linkerd => prefixes(&["PROXY_INIT_"]),
        Mesh::Kuma => prefixes(&["KUMA_MESH_"]).with_comment("kuma/mesh/transparent/proxy"),
        Mesh::Consul => prefixes(&["CONSUL_PROXY_", "CONSUL_DNS_REDIRECT"]),
    }
}

/// Our own chains of the mesh and the older ones, as far as they are asked for.
pub(super) fn chains(mesh: Mesh, ours: bool, older: bool) -> Option<Ours> {
    match (ours, older) {
        (false, false) => None,
        (true, false) => Some(Ours::meshward(mesh)),
        (false, true) => Some(older_chains(mesh)),
        (true, true) => Some(older_chains(mesh).with_prefix(chain_prefix(mesh))),
    }
}

/// The inet tables that the mesh's own set-up makes with nft; any of them may be missing.
///
/// Sources: istio tools/istio-nftables/pkg/constants, consul sdk/nftables.
fn older_tables(mesh: Mesh) -> &'static [&'static str] {
    match mesh {
        Mesh::Istio => &["istio-proxy-nat", "istio-proxy-mangle", "istio-proxy-raw"],
        Mesh::Consul => &["consul_tproxy"],
        Mesh::Linkerd | Mesh::Kuma => &[],
    }
}

/// The table of a chain when it is one that the mesh's own set-up makes with nft.
pub(super) fn older_table(mesh: Mesh, place: &ChainPlace) -> Option<&'static str> {
    let names = older_tables(mesh).iter().copied();
    names.filter(|_| place.family == INET).find(|name| *name == place.table)
}

/// Whether a chain stands where iptables-nft puts its chains.
pub(super) fn is_iptables_nft(place: &ChainPlace) -> bool {
    matches!(place.family, IPV4 | IPV6)
}
