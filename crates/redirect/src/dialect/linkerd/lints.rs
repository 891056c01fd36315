//! Options that Linkerd accepts and that have no effect beside others.

use super::options::Options;
use crate::dialect::lint::Lint;
use crate::net::Family;

/// Remarks about `options`, in the order of the flags.
pub fn lints(options: &Options) -> Vec<Lint> {
    let mut lints = Vec::new();
    let ignored = |port: &&u16| options.inbound_ports_to_ignore.iter().any(|range| range.contains(**port));
    for port in options.ports_to_redirect.iter().filter(ignored) {
        let message = format!("{port} is not captured: inbound-ports-to-ignore is stronger");
        lints.push(Lint::new("ports-to-redirect", message));
    }
    let ipv6_subnet = options.subnets_to_ignore.iter().any(|net| Family::of_net(net) == Family::Ipv6);
    if ipv6_subnet && !options.ipv6 {
        lints.push(Lint::new("subnets-to-ignore", "its IPv6 CIDRs are idle: IPv6 is not captured"));
    }
    lints
}
