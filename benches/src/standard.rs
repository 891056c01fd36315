//! The rules that are measured: what istiod gives a sidecar's init container unless the pod asks for something else,
//! for both families.

use anyhow::Result;
use meshward_redirect::dialect::istio::FLAGS;
use meshward_redirect::dialect::{Origin, Settings, Surroundings, build};
use meshward_redirect::{Mesh, RuleSet};

/// The arguments in istiod's injection template with the values of a default installation, and IPv6 as a dual-stack
/// pod has it.
pub(crate) const ARGUMENTS: [(&str, &str); 10] = [
    ("envoy-port", "15001"),
    ("inbound-capture-port", "15006"),
    ("proxy-uid", "1337"),
    ("proxy-gid", "1337"),
    ("istio-inbound-interception-mode", "REDIRECT"),
    ("istio-service-cidr", "*"),
    ("istio-service-exclude-cidr", ""),
    ("istio-inbound-ports", "*"),
    ("istio-local-exclude-ports", "15090,15021,15020"),
    ("ipv6", "on"),
];

/// The standard Istio set.
pub(crate) fn rules() -> Result<RuleSet> {
    let mut settings = Settings::new(FLAGS);
    for (option, value) in ARGUMENTS {
        settings.set(option, value, Origin::Flag { flag: format!("--{option}") });
    }
    Ok(build(Mesh::Istio, &settings, Surroundings::default())?.rules)
}
