//! Kuma settings that are valid and still do not do what they seem to.

use ipnet::IpNet;

use super::options::{IpFamilyMode, Options};
use crate::dialect::lint::Lint;
use crate::net::Family;

/// Remarks about `options`.
pub fn lints(options: &Options) -> Vec<Lint> {
    let (inbound, outbound, dns) = (&options.inbound, &options.outbound, &options.dns);
    let lost = |nets: &[IpNet]| {
        options.ip_family_mode == IpFamilyMode::Ipv4
            && nets.iter().any(|net| Family::of_net(net) == Family::Ipv6)
    };
    let remarks = [
        (
            options.kuma_dp_user == 0,
            "kuma-dp-user",
            "every process that runs as root passes by the proxy, not only kuma-dp",
        ),
        (
            !inbound.include_ports.is_empty() && !inbound.exclude_ports.is_empty(),
            "exclude-inbound-ports",
            "ignored, because inbound ports are included",
        ),
        (
            !outbound.include_ports.is_empty() && !outbound.exclude_ports.is_empty(),
            "exclude-outbound-ports",
            "ignored, because outbound ports are included",
        ),
        (
            lost(&inbound.exclude_ips),
            "exclude-inbound-ips",
            "IPv6 networks have no effect with ip-family-mode ipv4",
        ),
        (
            lost(&outbound.exclude_ips),
            "exclude-outbound-ips",
            "IPv6 networks have no effect with ip-family-mode ipv4",
        ),
        (
            dns.enabled && !dns.capture_all && dns.servers.is_none(),
            "redirect-dns",
            "the pod's resolv.conf cannot be seen from outside: every DNS query over UDP is captured (dns-servers narrows it)",
        ),
        (
            dns.enabled && outbound.enabled && outbound.insert,
            "redirect-outbound-insert-instead-of-append",
            "DNS over TCP no longer passes by: the redirection stands before the rule that lets it",
        ),
    ];
    remarks
        .into_iter()
        .filter(|(holds, ..)| *holds)
        .map(|(_, option, text)| Lint { option, message: text.into() })
        .collect()
}
