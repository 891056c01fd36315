//! What the fuzz targets do with their bytes. A target is one line that calls the function of its name here, and a test
//! of the `node` crate calls the same functions with everything under `seeds`, so that what a fuzzer once found stays
//! found without one.
//!
//! Every function takes any bytes. It fails by a panic: of the product, or of an assertion here about what the product
//! promises.

// Assertions are this file's purpose; it is compiled as a crate and as a module of a test.
#![allow(unreachable_pub, clippy::panic, clippy::unwrap_used)]

mod manifests;
mod options;
mod policies;
mod reviews;
mod rules;
mod sources;
mod wire;

pub use manifests::{manifest, mesh_plan};
pub use options::{arguments, consul_config, kuma_config, settings, values};
pub use policies::{duration, exemption, jmespath, pattern, policy, quantity, wildcard};
pub use reviews::review;
pub use rules::ruleset_json;
pub use sources::{cni_conflist, cni_input, cri_info, nri_trunk, proc_cgroup};
pub use wire::{iptables_save, nft_answer, nft_dump, nft_events, rtnl_answer};

/// A function that takes any bytes.
pub type Target = fn(&[u8]);

/// Every target by its name, which is also the name of its file and of its folder of seeds.
pub const TARGETS: [(&str, Target); 26] = [
    ("arguments", arguments),
    ("cni_conflist", cni_conflist),
    ("cni_input", cni_input),
    ("consul_config", consul_config),
    ("cri_info", cri_info),
    ("duration", duration),
    ("exemption", exemption),
    ("iptables_save", iptables_save),
    ("jmespath", jmespath),
    ("kuma_config", kuma_config),
    ("manifest", manifest),
    ("mesh_plan", mesh_plan),
    ("nft_answer", nft_answer),
    ("nft_dump", nft_dump),
    ("nft_events", nft_events),
    ("nri_trunk", nri_trunk),
    ("pattern", pattern),
    ("policy", policy),
    ("proc_cgroup", proc_cgroup),
    ("quantity", quantity),
    ("review", review),
    ("rtnl_answer", rtnl_answer),
    ("ruleset_json", ruleset_json),
    ("settings", settings),
    ("values", values),
    ("wildcard", wildcard),
];

/// Messages reach a terminal: one line, no control characters, of bounded length.
pub(crate) fn check_message(message: &str) {
    assert!(!message.is_empty());
    assert!(!message.chars().any(char::is_control), "control character in {message:?}");
    assert!(message.len() < 64 * 1024, "message of {} bytes", message.len());
}
