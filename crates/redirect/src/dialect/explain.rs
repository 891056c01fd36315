//! Why each rule is there, in a sentence or two. A rule's name stands in comments, traces and errors; whoever meets one
//! can look it up here without reading the dialect's source.

use super::{consul, istio, kuma, linkerd};
use crate::builder::IPV6_GUARD;
use crate::ruleset::Mesh;

/// What one rule does, and why it is there.
pub(super) type Explanation = (&'static str, &'static str);

/// The rule that every mesh has where IPv6 is not captured.
const SHARED: Explanation = (
    IPV6_GUARD,
    "Lets every IPv6 packet go on untouched, because IPv6 is not captured in this namespace. It stands first in each \
     base chain.",
);

/// Every rule name that a mesh's rule sets can have, each with its explanation.
pub fn explanations(mesh: Mesh) -> impl Iterator<Item = (&'static str, &'static str)> {
    let own = match mesh {
        Mesh::Istio => istio::EXPLANATIONS,
        Mesh::Linkerd => linkerd::EXPLANATIONS,
        Mesh::Kuma => kuma::EXPLANATIONS,
        Mesh::Consul => consul::EXPLANATIONS,
    };
    std::iter::once(SHARED).chain(own.iter().copied())
}

/// What the rule of this name does in `mesh`, and why it is there.
pub fn explain(mesh: Mesh, rule: &str) -> Option<&'static str> {
    explanations(mesh).find(|(name, _)| *name == rule).map(|(_, text)| text)
}
