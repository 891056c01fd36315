//! Taking rules away: everything of a mesh on request, and after programming what the other backends and the mesh's
//! own set-up have left. Foreign rules stay as they are.

use super::backend::backend_of;
use super::older::{self, Fate, Older, older_table};
use super::survey::{Needed, Survey};
use super::{Backend, Options, ProgramError, RoutingItem, Target, routing};
use crate::iptables::{Iptables, IptablesError, Ours, Variant};
use crate::netns::NetNs;
use crate::nft::{self, ChainPlace};
use crate::render::iptables::chain_prefix;
use crate::ruleset::Mesh;

/// What [`cleanup`] took away.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Removed {
    /// Tables of nf_tables, chains and rules of iptables.
    pub rules: Vec<String>,
    /// Routing and addresses.
    pub routing: Vec<RoutingItem>,
}

impl Removed {
    /// Whether there was nothing to take away.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty() && self.routing.is_empty()
    }
}

/// Removes what we put in `namespace`, with whatever backend: for one mesh, or for all. The routing goes with the
/// last rules that could need it. What others made stays, and so do the older rules of a mesh's own set-up.
pub fn cleanup<'a>(
    target: impl Into<Target<'a>>,
    mesh: Option<Mesh>,
    options: &Options,
) -> Result<Removed, ProgramError> {
    let target = target.into();
    let namespace = target.namespace;
    let mut survey = Survey::of(target, &options.expect_ips, Needed { route: true, legacy: true })?;
    let meshes = mesh.map_or(Mesh::ALL.to_vec(), |mesh| vec![mesh]);
    let mut removed = Removed::default();
    for mesh in &meshes {
        if survey.table(*mesh).is_some() && nft::remove(survey.need_nf()?, *mesh)? {
            removed.rules.push(table(&mesh.table_name()));
        }
    }
    let ours = Ours::prefixes(meshes.iter().copied().map(chain_prefix).collect());
    let chains = survey.chains()?;
    for variant in Variant::ALL {
        if !survey.has_sign(variant, &chains, &ours)? {
            continue;
        }
        let found = Iptables::find(variant).and_then(|iptables| iptables.remove(namespace, &ours));
        match found {
            Ok(places) => removed.rules.extend(places.iter().map(|place| format!("{variant}: {place}"))),
            // Without the programs we cannot have put rules there; the sign is of somebody else's.
            Err(IptablesError::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // Routing bears our mark but no mesh's; only Istio has any.
    if meshes.contains(&Mesh::Istio) {
        let route = survey.route()?;
        removed.routing = routing::stale(route, &[])?;
        routing::remove(route, &removed.routing)?;
    }
    Ok(removed)
}

/// Clears away what stands beside rules that have just been put in force.
pub(super) struct Sweep<'a> {
    pub(super) namespace: &'a NetNs,
    pub(super) mesh: Mesh,
    /// The backend that holds the rules now.
    pub(super) backend: Backend,
    /// Whether nf_tables had a table of the mesh before.
    pub(super) former: bool,
    /// Whether routing of ours can be there from before: some of what is wanted was, or it is the kind that differs
    /// from one configuration to the next.
    pub(super) earlier_routing: bool,
}

/// What is left beside the rules.
pub(super) struct Swept {
    /// Older rules and what became of them.
    pub(super) older: Vec<Older>,
    /// Every chain of nf_tables.
    pub(super) chains: Vec<ChainPlace>,
}

impl Sweep<'_> {
    /// Removes our rules of the other backends, which would act twice, routing of ours that is not in `keep`, and
    /// with `remove_older` the rules of the mesh's own set-up. Older rules that cannot be removed are told, the rest
    /// is an error.
    pub(super) fn run(
        &self,
        survey: &mut Survey<'_>,
        keep: &[RoutingItem],
        remove_older: bool,
    ) -> Result<Swept, ProgramError> {
        if self.backend != Backend::Nft && self.former {
            nft::remove(survey.need_nf()?, self.mesh)?;
        }
        let mut chains = survey.chains()?;
        let mut older = self.tables(survey, &chains, remove_older);
        let mut signs = false;
        for variant in Variant::ALL {
            // Older chains are told even if they stay.
            let ours = older::chains(self.mesh, self.is_other(variant), true);
            if let Some(ours) = ours
                && survey.has_sign(variant, &chains, &ours)?
            {
                signs = true;
                older.extend(self.variant(variant, remove_older)?);
            }
        }
        if signs || !older.is_empty() {
            chains = survey.chains()?;
        }
        // Without any trace of an earlier time there is no routing of ours that could be stale.
        if self.former || self.earlier_routing || signs || self.backend != Backend::Nft {
            let route = survey.route()?;
            let stale = routing::stale(route, keep)?;
            routing::remove(route, &stale)?;
        }
        Ok(Swept { older, chains })
    }

    fn is_other(&self, variant: Variant) -> bool {
        self.backend != backend_of(variant)
    }

    fn tables(&self, survey: &Survey<'_>, chains: &[ChainPlace], remove: bool) -> Vec<Older> {
        let mut names: Vec<&str> = chains.iter().filter_map(|place| older_table(self.mesh, place)).collect();
        names.sort_unstable();
        names.dedup();
        let fate = |name: &str| match survey.nf().filter(|_| remove).map(|nf| nft::remove_foreign(nf, name)) {
            None => Fate::Kept,
            Some(Ok(_)) => Fate::Removed,
            Some(Err(error)) => Fate::Failed(error.to_string()),
        };
        names.iter().map(|name| Older { what: table(name), fate: fate(name) }).collect()
    }

    fn variant(&self, variant: Variant, remove_older: bool) -> Result<Vec<Older>, ProgramError> {
        let told = |place: &String, fate| Older { what: format!("{variant}: {place}"), fate };
        let iptables = match Iptables::find(variant) {
            Ok(iptables) => iptables,
            // Without the programs the rules are neither ours nor anything we could look into.
            Err(IptablesError::Missing { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut all = Vec::new();
        if !remove_older && let Some(ours) = older::chains(self.mesh, false, true) {
            let kept = iptables.chains(self.namespace, &ours)?;
            all.extend(kept.iter().map(|place| told(place, Fate::Kept)));
        }
        if let Some(ours) = older::chains(self.mesh, self.is_other(variant), remove_older) {
            let prefix = chain_prefix(self.mesh);
            let gone = iptables.remove(self.namespace, &ours)?;
            let older = gone.iter().filter(|place| !place.contains(&prefix));
            all.extend(older.map(|place| told(place, Fate::Removed)));
        }
        Ok(all)
    }
}

fn table(name: &str) -> String {
    format!("table inet {name}")
}
