//! Kuma's configuration object: the annotation `traffic.kuma.io/transparent-proxy-config`, which the injector writes
//! with everything resolved, and the files of `--config`, which have the same shape (`Config` in
//! `pkg/transparentproxy/config/config.go`).

use serde_json::Value;

use crate::dialect::document::{Field, Reader, Shape};
use crate::dialect::lint::Lint;
use crate::dialect::settings::{InvalidOption, Origin, Settings};

const fn field(path: &'static str, option: &'static str, shape: Shape) -> Field {
    Field { path, option, shape }
}

/// Every path that Kuma's decoder knows.
const FIELDS: &[Field] = &[
    field("kumaDPUser", "kuma-dp-user", Shape::Scalar),
    field("ipFamilyMode", "ip-family-mode", Shape::Scalar),
    field("dropInvalidPackets", "drop-invalid-packets", Shape::Switch),
    field("log.enabled", "iptables-logs", Shape::Switch),
    field("log.level", "iptables-log-level", Shape::Scalar),
    field("redirect.inbound.enabled", "redirect-inbound", Shape::Switch),
    field("redirect.inbound.port", "redirect-inbound-port", Shape::Scalar),
    field("redirect.inbound.includePorts", "include-inbound-ports", Shape::Ports),
    field("redirect.inbound.excludePorts", "exclude-inbound-ports", Shape::Ports),
    field("redirect.inbound.excludePortsForIPs", "exclude-inbound-ips", Shape::List(',')),
    field("redirect.inbound.excludePortsForUIDs", "exclude-inbound-ports-for-uids", Shape::List(';')),
    field(
        "redirect.inbound.insertRedirectInsteadOfAppend",
        "redirect-inbound-insert-instead-of-append",
        Shape::Switch,
    ),
    field("redirect.outbound.enabled", "redirect-outbound", Shape::Switch),
    field("redirect.outbound.port", "redirect-outbound-port", Shape::Scalar),
    field("redirect.outbound.includePorts", "include-outbound-ports", Shape::Ports),
    field("redirect.outbound.excludePorts", "exclude-outbound-ports", Shape::Ports),
    field("redirect.outbound.excludePortsForIPs", "exclude-outbound-ips", Shape::List(',')),
    field("redirect.outbound.excludePortsForUIDs", "exclude-outbound-ports-for-uids", Shape::List(';')),
    field(
        "redirect.outbound.insertRedirectInsteadOfAppend",
        "redirect-outbound-insert-instead-of-append",
        Shape::Switch,
    ),
    field("redirect.dns.enabled", "redirect-dns", Shape::Switch),
    field("redirect.dns.captureAll", "redirect-all-dns-traffic", Shape::Switch),
    field("redirect.dns.port", "redirect-dns-port", Shape::Scalar),
    field("redirect.dns.resolvConfigPath", "redirect-dns-resolv-config-path", Shape::Scalar),
    field("redirect.dns.skipConntrackZoneSplit", "skip-dns-conntrack-zone-split", Shape::Switch),
    field("redirect.vnet.networks", "vnet", Shape::List(',')),
    field("comments.disabled", "disable-comments", Shape::Switch),
    field("storeFirewalld", "store-firewalld", Shape::Switch),
    field("wait", "wait", Shape::Scalar),
    field("waitInterval", "wait-interval", Shape::Scalar),
    field("retry.maxRetries", "max-retries", Shape::Scalar),
    field("retry.sleepBetweenRetries", "sleep-between-retries", Shape::Scalar),
    field("iptablesExecutables", "iptables-executables", Shape::Ignored),
    field("dryRun", "dry-run", Shape::Switch),
    field("verbose", "verbose", Shape::Switch),
    field("cniMode", "cni-mode", Shape::Switch),
    field("ebpf", "ebpf-enabled", Shape::Ignored),
];

/// Sets what `config` says, over what `settings` has. A path that is absent or null keeps what was there, as in Go's
/// decoder, so several documents applied one after the other merge as Kuma merges them; Kuma's own order is documents,
/// then the environment, then flags. `origin` names where a path's value comes from.
///
/// Returns a lint for each unknown key, which Kuma ignores.
///
/// # Errors
/// [`InvalidOption`] for the first value of a wrong type; then nothing was set.
pub fn apply(
    config: &Value,
    settings: &mut Settings,
    origin: impl Fn(&str) -> Origin,
) -> Result<Vec<Lint>, InvalidOption> {
    let reading = Reader { fields: FIELDS, option: "config", origin: &origin }.read(config)?;
    for setting in reading.settings {
        settings.set(setting.option, setting.value, setting.origin);
    }
    Ok(reading.lints)
}
