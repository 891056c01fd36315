//! Consul settings that are valid and still do not do what they seem to.

use super::options::Options;
use crate::dialect::lint::Lint;
use crate::net::Family;

/// Remarks about `options`.
pub fn lints(options: &Options) -> Vec<Lint> {
    let ipv6_excluded = options.exclude_outbound_cidrs.iter().any(|net| Family::of_net(net) == Family::Ipv6);
    let remarks = [
        (
            options.proxy_uid == 0,
            "proxy-uid",
            "every process that runs as root passes by the proxy, not only the proxy itself",
        ),
        (
            ipv6_excluded && !options.dual_stack,
            "exclude-outbound-cidr",
            "IPv6 networks have no effect without dual-stack",
        ),
        (
            options.exclude_uids.contains(&options.proxy_uid),
            "exclude-uid",
            "the proxy's own user is excluded already",
        ),
    ];
    remarks
        .into_iter()
        .filter(|(holds, ..)| *holds)
        .map(|(_, option, text)| Lint { option, message: text.into() })
        .collect()
}
