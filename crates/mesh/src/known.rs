//! Which annotations the meshes know. A misspelt annotation is silently ignored by every mesh, which is among the
//! most reported surprises (redirection that "does not work"); so a key under a mesh's prefix that is not in its
//! table gets a warning with the nearest name that is.

mod tables;

use meshward_redirect::Mesh;
use meshward_redirect::dialect;

use tables::{PREFIXES, Prefix};

/// Annotation that holds the redirection as it was decided at admission; [`Plan::to_annotation`](crate::Plan::to_annotation)
/// writes it.
pub const REDIRECT: &str = "meshward.dev/redirect";
/// Annotation of a pod, and label of a namespace, by which they opt out of the swap.
pub const SWAP: &str = "meshward.dev/swap";

/// A key under a known prefix that is in no table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    /// The known key that looks most like it, if one does.
    pub(crate) nearest: Option<&'static str>,
}

/// Looks an annotation key up. None when the key is known, or is nobody's we know.
pub(crate) fn unknown(key: &str) -> Option<Unknown> {
    let prefix = PREFIXES.iter().find(|prefix| under(key, prefix.prefix));
    let nearest = || nearest(key);
    match prefix {
        Some(prefix) if known(prefix, key) => None,
        // A table that does not claim to be complete only speaks up about near misses of a key that matters.
        Some(Prefix { complete: false, .. }) => {
            nearest().filter(|near| affects_rules(near)).map(|near| Unknown { nearest: Some(near) })
        }
        Some(_) => Some(Unknown { nearest: nearest() }),
        None => None,
    }
}

fn under(key: &str, prefix: &str) -> bool {
    key.len() > prefix.len() && key.starts_with(prefix)
}

fn known(prefix: &Prefix, key: &str) -> bool {
    let name = &key[prefix.prefix.len()..];
    prefix.rules.contains(&name)
        || prefix.others.contains(&name)
        || prefix.families.iter().any(|family| name.starts_with(family))
}

/// Whether the value of this annotation decides rules (and so would be missed if it were a label).
pub(crate) fn affects_rules(key: &str) -> bool {
    PREFIXES
        .iter()
        .any(|prefix| under(key, prefix.prefix) && prefix.rules.contains(&&key[prefix.prefix.len()..]))
}

/// Whether the key belongs to a mesh or to us, so that its value is looked at.
pub(crate) fn is_ours(key: &str) -> bool {
    affects_rules(key) || PREFIXES.iter().any(|prefix| prefix.complete && under(key, prefix.prefix))
}

/// The mesh whose prefix this is; None for our own.
pub(crate) fn mesh_of(key: &str) -> Option<Mesh> {
    PREFIXES.iter().find(|prefix| under(key, prefix.prefix)).and_then(|prefix| prefix.mesh)
}

/// The known key of the same mesh that was probably meant: the same name under another prefix, the same words in
/// another order, or a few letters away.
fn nearest(key: &str) -> Option<&'static str> {
    let (prefix, name) = key.split_once('/')?;
    let mesh = mesh_of(key);
    let mut prefixes: Vec<&Prefix> = PREFIXES.iter().filter(|known| known.mesh == mesh).collect();
    prefixes.sort_by_key(|known| known.prefix.strip_suffix('/') != Some(prefix));
    let candidates: Vec<(&str, &'static str)> = prefixes.iter().flat_map(|known| known.entries()).collect();
    let find = |same: &dyn Fn(&str) -> bool| candidates.iter().find(|(name, _)| same(name));
    let words = |name: &str| {
        let mut words: Vec<String> = name.split('-').map(str::to_ascii_lowercase).collect();
        words.sort_unstable();
        words
    };
    find(&|known| known.eq_ignore_ascii_case(name))
        .or_else(|| find(&|known| words(known) == words(name)))
        .or_else(|| {
            let near = dialect::nearest(name, candidates.iter().map(|(name, _)| *name))?;
            find(&|known| known == near)
        })
        .map(|(_, key)| *key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suggestion(key: &str) -> Option<Option<&'static str>> {
        unknown(key).map(|unknown| unknown.nearest)
    }

    #[test]
    fn misspelt_keys_get_the_nearest_name() {
        for (key, near) in [
            ("traffic.sidecar.istio.io/excludeInboundPort", "traffic.sidecar.istio.io/excludeInboundPorts"),
            ("traffic.sidecar.istio.io/excludeinboundports", "traffic.sidecar.istio.io/excludeInboundPorts"),
            (
                "traffic.sidecar.istio.io/includeOutboundIpRange",
                "traffic.sidecar.istio.io/includeOutboundIPRanges",
            ),
            ("sidecar.istio.io/excludeInboundPorts", "traffic.sidecar.istio.io/excludeInboundPorts"),
            ("sidecar.istio.io/interceptMode", "sidecar.istio.io/interceptionMode"),
            ("istio.io/reroute-virtual-interface", "istio.io/reroute-virtual-interfaces"),
            ("config.linkerd.io/skip-inbound-port", "config.linkerd.io/skip-inbound-ports"),
            ("config.linkerd.io/skip-ports-inbound", "config.linkerd.io/skip-inbound-ports"),
            ("linkerd.io/skip-outbound-ports", "config.linkerd.io/skip-outbound-ports"),
            ("traffic.kuma.io/exclude-inbound-port", "traffic.kuma.io/exclude-inbound-ports"),
            ("kuma.io/exclude-inbound-ports", "traffic.kuma.io/exclude-inbound-ports"),
            (
                "consul.hashicorp.com/transparent-proxy-exclude-uid",
                "consul.hashicorp.com/transparent-proxy-exclude-uids",
            ),
            ("meshward.dev/redirct", "meshward.dev/redirect"),
        ] {
            assert_eq!(suggestion(key), Some(Some(near)), "{key}");
        }
    }

    #[test]
    fn strange_keys_get_no_far_fetched_name() {
        assert_eq!(suggestion("sidecar.istio.io/zzzzzzzzzzzzzzzzzzz"), Some(None));
        assert_eq!(suggestion(&format!("sidecar.istio.io/{}", "a".repeat(300))), Some(None));
    }

    #[test]
    fn known_and_foreign_keys_are_silent() {
        for key in [
            "traffic.sidecar.istio.io/excludeInboundPorts",
            "sidecar.istio.io/proxyCPU",
            "istio.io/rev",
            "istio.io/something-new",
            "config.linkerd.io/opaque-ports",
            "linkerd.io/trust-root-sha256",
            "kuma.io/sidecar-env-vars",
            "consul.hashicorp.com/service-meta-team",
            "pod-network-controller.istio.io/status",
            "istio-pod-network-controller/initialize",
            "prometheus.io/port",
            "kubectl.kubernetes.io/default-container",
            "sidecar.istio.io/",
            "",
        ] {
            assert_eq!(suggestion(key), None, "{key}");
        }
    }

    #[test]
    fn tables_hold_each_key_once() {
        let mut keys: Vec<&str> = PREFIXES.iter().flat_map(Prefix::entries).map(|(_, key)| key).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all);
    }
}
