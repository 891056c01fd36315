//! Links, addresses and routes, by way of `ip`: the one place of the bed that runs a program.

use std::net::IpAddr;

use crate::bed::{Layout, Link};
use crate::{Error, Namespace};

/// Joins the two namespaces as `layout` says.
pub(crate) fn cable(pod: &Namespace, peer: &Namespace, layout: &Layout) -> Result<(), Error> {
    let mut in_pod = String::from("link set lo up\n");
    let mut in_peer = String::from("link set lo up\n");
    let peer_path = peer.path();
    for (index, link) in layout.links.iter().enumerate() {
        let peer_side = format!("pod{index}");
        in_pod.push_str(&format!(
            "link add {pod_side} address {pod_mac} type veth peer name {peer_side} address {peer_mac} netns {peer}\n",
            pod_side = link.name,
            pod_mac = mac(index, 2),
            peer_mac = mac(index, 1),
            peer = peer_path.display(),
        ));
        one_side(&mut in_pod, &link.name, link, (2, 1), index);
        one_side(&mut in_peer, &peer_side, link, (1, 2), index);
    }
    if let Some(first) = layout.links.first() {
        in_pod.push_str(&format!("route add default via {}\n", first.ipv4(1)));
        if first.ipv6.is_some() {
            in_pod.push_str(&format!("route add default via {}\n", first.ipv6_text(1)));
        }
    }
    // In table main, not local: the pod's own networks have longer prefixes there and keep going out by the cable.
    in_peer.push_str("route add local 0.0.0.0/0 dev lo table main\n");
    if layout.links.iter().any(|link| link.ipv6.is_some()) {
        in_peer.push_str("route add local ::/0 dev lo table main\n");
    }
    settle(pod, &[("ip_forward", "0"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0")])?;
    if layout.links.len() > 1 {
        // What answers a probe by one cable comes from an address the peer also has itself.
        settle(peer, &[("conf/all/accept_local", "1")])?;
    }
    by_cable(&mut in_peer, layout);
    pod.command("ip", &["-batch", "-"], &in_pod)?;
    peer.command("ip", &["-batch", "-"], &in_peer)?;
    Ok(())
}

/// Routes for sockets that are bound to a cable, less wanted than the peer's own: with several cables only, for one
/// is the only way.
fn by_cable(in_peer: &mut String, layout: &Layout) {
    for (index, link) in layout.links.iter().enumerate().filter(|_| layout.links.len() > 1) {
        let metric = 5000 + index;
        let gateways = [Some(link.ipv4(2).into()), link.ipv6(2).map(IpAddr::V6)];
        for gateway in gateways.into_iter().flatten() {
            in_peer.push_str(&format!("route add default via {gateway} dev pod{index} metric {metric}\n"));
        }
    }
}

/// Settings of IPv4 that a new namespace takes over from the machine. They are written only where they differ,
/// because some containers see them read-only.
fn settle(namespace: &Namespace, wanted: &[(&str, &str)]) -> Result<(), Error> {
    namespace.run(|| {
        for (name, value) in wanted {
            let path = format!("/proc/sys/net/ipv4/{name}");
            if std::fs::read_to_string(&path).is_ok_and(|found| found.trim() == *value) {
                continue;
            }
            std::fs::write(&path, value).map_err(|source| Error::Socket {
                action: "write",
                what: path,
                source,
            })?;
        }
        Ok(())
    })?
}

/// Addresses without duplicate detection and neighbours that need no asking: the first packet goes at once.
fn one_side(batch: &mut String, name: &str, link: &Link, (own, other): (u8, u8), index: usize) {
    let mut add = |line: String| batch.push_str(&(line + "\n"));
    add(format!("addr add {}/24 dev {name}", link.ipv4(own)));
    if link.ipv6.is_some() {
        add(format!("addr add {}/64 dev {name} nodad", link.ipv6_text(own)));
    }
    add(format!("link set {name} up"));
    let neighbour = mac(index, other);
    add(format!("neigh replace {} lladdr {neighbour} dev {name} nud permanent", link.ipv4(other)));
    if link.ipv6.is_some() {
        add(format!("neigh replace {} lladdr {neighbour} dev {name} nud permanent", link.ipv6_text(other)));
    }
}

/// A locally administered address.
fn mac(link: usize, side: u8) -> String {
    format!("02:6d:77:00:{:02x}:{side:02x}", link & 0xff)
}
