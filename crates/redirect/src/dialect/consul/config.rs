//! Consul's configuration object: the annotation `consul.hashicorp.com/redirect-traffic-config` and the variable
//! `CONSUL_REDIRECT_TRAFFIC_CONFIG` of its init container, both the JSON of `Config` in sdk/nftables/nftables.go.

use serde_json::Value;

use crate::dialect::document::{Field, Reader, Shape};
use crate::dialect::lint::Lint;
use crate::dialect::settings::{InvalidOption, Origin, Settings};

const fn field(path: &'static str, option: &'static str, shape: Shape) -> Field {
    Field { path, option, shape }
}

const FIELDS: &[Field] = &[
    field("ConsulDNSIP", "consul-dns-ip", Shape::Scalar),
    field("ConsulDNSPort", "consul-dns-port", Shape::Scalar),
    field("ProxyUserID", "proxy-uid", Shape::Scalar),
    field("ProxyInboundPort", "proxy-inbound-port", Shape::Scalar),
    field("ProxyOutboundPort", "proxy-outbound-port", Shape::Scalar),
    field("ExcludeInboundPorts", "exclude-inbound-port", Shape::List(',')),
    field("ExcludeOutboundPorts", "exclude-outbound-port", Shape::List(',')),
    field("ExcludeOutboundCIDRs", "exclude-outbound-cidr", Shape::List(',')),
    field("ExcludeUIDs", "exclude-uid", Shape::List(',')),
    field("NetNS", "netns", Shape::Ignored),
    // An interface of the Go program, always null.
    field("IptablesProvider", "netns", Shape::Ignored),
    field("NftablesProvider", "netns", Shape::Ignored),
];

/// Sets what `config` says, over what `settings` has. Zero values (`""`, `0`, `null`) are Go's way to say absent.
/// `origin` names where a key's value comes from.
///
/// Returns a lint for each unknown key, which Consul ignores.
///
/// # Errors
/// [`InvalidOption`] for the first value of a wrong type, and where `ProxyUserID` or `ProxyInboundPort` is missing, which
/// Consul refuses too; then nothing was set.
pub fn apply(
    config: &Value,
    settings: &mut Settings,
    origin: impl Fn(&str) -> Origin,
) -> Result<Vec<Lint>, InvalidOption> {
    let mut reading = Reader { fields: FIELDS, option: "proxy-uid", origin: &origin }.read(config)?;
    reading.settings.retain(|setting| match setting.option {
        // A uid is a text there, and "0" is root.
        "proxy-uid" => !setting.value.is_empty(),
        _ => !matches!(setting.value.as_str(), "" | "0"),
    });
    for (key, option) in [("ProxyUserID", "proxy-uid"), ("ProxyInboundPort", "proxy-inbound-port")] {
        if !reading.settings.iter().any(|setting| setting.option == option) {
            let problem = "missing, and required in Consul's configuration object".to_string();
            return Err(InvalidOption { option, origin: origin(key), problem });
        }
    }
    for setting in reading.settings {
        settings.set(setting.option, setting.value, setting.origin);
    }
    Ok(reading.lints)
}
