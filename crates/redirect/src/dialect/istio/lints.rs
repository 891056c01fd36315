//! Options that Istio accepts and then ignores, or that undo each other.

use super::options::{Dns, Interception, Ipv6, Options, Selection};
use crate::dialect::lint::Lint;
use crate::net::Family;

/// Remarks about `options`, in the order of the flags.
pub fn lints(options: &Options) -> Vec<Lint> {
    if options.interception == Interception::None {
        return vec![Lint::new(
            "istio-inbound-interception-mode",
            "NONE: no rules at all, the proxy gets only what is sent to its ports",
        )];
    }
    let mut lints = Vec::new();
    proxy(&mut lints, options);
    inbound(&mut lints, options);
    outbound(&mut lints, options);
    dns(&mut lints, options);
    ipv6(&mut lints, options);
    lints
}

fn proxy(lints: &mut Vec<Lint>, options: &Options) {
    for (option, ids) in [("proxy-uid", &options.proxy_uid), ("proxy-gid", &options.proxy_gid)] {
        if ids.contains(&0) {
            lints.push(Lint::new(option, "0 is root: what any container sends as root leaves uncaptured"));
        }
    }
}

fn inbound(lints: &mut Vec<Lint>, options: &Options) {
    if options.inbound_ports != Selection::All && !options.inbound_exclude_ports.is_empty() {
        lints.push(Lint::new(
            "istio-local-exclude-ports",
            "Istio ignores it unless istio-inbound-ports is *: only listed ports are captured anyway",
        ));
    }
}

fn outbound(lints: &mut Vec<Lint>, options: &Options) {
    let nothing = options.outbound_cidr.is_empty();
    if nothing && options.outbound_ports.is_empty() && !options.outbound_exclude_cidr.is_empty() {
        lints.push(Lint::new("istio-service-exclude-cidr", "idle: no outbound destination is captured"));
    }
    if nothing && !options.virtual_interfaces.is_empty() {
        lints.push(Lint::new(
            "kube-virt-interfaces",
            "nothing from these interfaces is captured: istio-service-cidr is empty",
        ));
    }
    match &options.owner_groups {
        Selection::All => {}
        Selection::Only(groups) => {
            if groups.is_empty() {
                lints.push(Lint::new("outbound-owner-groups", "empty: nothing outbound is captured"));
            }
            if !options.owner_groups_exclude.is_empty() {
                lints.push(Lint::new(
                    "outbound-owner-groups-exclude",
                    "Istio ignores it unless outbound-owner-groups is *",
                ));
            }
        }
    }
}

fn dns(lints: &mut Vec<Lint>, options: &Options) {
    if !options.redirect_dns {
        if options.capture_all_dns {
            lints.push(Lint::new("capture-all-dns", "idle without redirect-dns"));
        }
        if options.dns_servers.is_some() {
            lints.push(Lint::new("dns-servers", "idle without redirect-dns"));
        }
        return;
    }
    if options.capture_all_dns && options.dns_servers.is_some() {
        lints.push(Lint::new("dns-servers", "idle: capture-all-dns captures every server"));
    }
    if options.dns() == Dns::Off {
        lints.push(Lint::new("redirect-dns", "no DNS is captured: dns-servers is empty"));
    } else if options.outbound_exclude_ports.contains(&53) {
        lints.push(Lint::new(
            "istio-local-outbound-ports-exclude",
            "53 is excluded, so DNS is not captured although redirect-dns asks for it",
        ));
    }
}

fn ipv6(lints: &mut Vec<Lint>, options: &Options) {
    if options.ipv6 != Ipv6::Off {
        return;
    }
    let is_ipv6 = |net: &ipnet::IpNet| Family::of_net(net) == Family::Ipv6;
    for (option, nets) in [
        ("istio-service-cidr", options.outbound_cidr.listed()),
        ("istio-service-exclude-cidr", &options.outbound_exclude_cidr[..]),
    ] {
        if nets.iter().any(is_ipv6) {
            lints.push(Lint::new(option, "its IPv6 CIDRs are idle: IPv6 is not captured"));
        }
    }
    if options.dual_stack {
        lints.push(Lint::new("dual-stack", "idle: --ipv6 off is stronger"));
    }
}
