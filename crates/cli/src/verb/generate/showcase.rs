//! Settings that between them bring every rule of a mesh: where the reference takes its examples from. The first one
//! that has a rule lends it, so the usual ones stand first.

use meshward_redirect::Mesh;

/// The flags of one command line, as option and value.
pub(super) type Flags = &'static [(&'static str, &'static str)];

const ISTIO: &[Flags] = &[
    &[
        ("istio-inbound-ports", "*"),
        ("istio-local-exclude-ports", "15090,15021,15020"),
        ("istio-service-cidr", "*"),
        ("istio-service-exclude-cidr", "10.20.0.0/16"),
        ("istio-outbound-ports", "8443"),
        ("istio-local-outbound-ports-exclude", "5432"),
        ("istio-exclude-interfaces", "net1"),
        ("outbound-owner-groups-exclude", "2000"),
        ("redirect-dns", "true"),
        ("drop-invalid", "true"),
    ],
    &[
        ("istio-inbound-ports", "8080"),
        ("istio-service-cidr", "10.96.0.0/12"),
        ("kube-virt-interfaces", "net1"),
        ("outbound-owner-groups", "1000,1001"),
    ],
    &[
        ("istio-inbound-interception-mode", "TPROXY"),
        ("istio-inbound-ports", "*"),
        ("istio-service-cidr", "*"),
    ],
];

const LINKERD: &[Flags] = &[
    &[
        ("proxy-gid", "2102"),
        ("inbound-ports-to-ignore", "4190,4191,9000-9010"),
        ("outbound-ports-to-ignore", "5432"),
        ("subnets-to-ignore", "10.20.0.0/16"),
    ],
    &[("ports-to-redirect", "8080"), ("ipv6", "false")],
];

const KUMA: &[Flags] = &[
    &[
        ("exclude-inbound-ports", "9901,9000"),
        ("exclude-inbound-ips", "10.20.0.0/16"),
        ("exclude-outbound-ports", "5432"),
        ("exclude-outbound-ports-for-uids", "tcp:22:1000"),
        ("exclude-outbound-ips", "10.30.0.0/16"),
        ("redirect-dns", "true"),
        ("dns-servers", "10.96.0.10"),
        ("vnet", "docker0:172.17.0.0/16"),
        ("drop-invalid-packets", "true"),
        ("iptables-logs", "true"),
    ],
    &[("redirect-dns", "true"), ("dns-servers", "127.0.0.11")],
    &[("redirect-dns", "true"), ("skip-dns-conntrack-zone-split", "true")],
    &[("redirect-all-dns-traffic", "true")],
    &[("redirect-dns", "true")],
    &[("include-inbound-ports", "8080"), ("include-outbound-ports", "443"), ("ip-family-mode", "ipv4")],
];

const CONSUL: &[Flags] = &[
    &[
        ("consul-dns-ip", "127.0.0.1"),
        ("consul-dns-port", "8600"),
        ("exclude-inbound-port", "20200,21000"),
        ("exclude-outbound-port", "5432"),
        ("exclude-outbound-cidr", "10.20.0.0/16"),
        ("exclude-uid", "5996"),
    ],
    &[("consul-dns-ip", "10.96.0.11")],
];

/// The command lines of a mesh.
pub(super) fn of(mesh: Mesh) -> &'static [Flags] {
    match mesh {
        Mesh::Istio => ISTIO,
        Mesh::Linkerd => LINKERD,
        Mesh::Kuma => KUMA,
        Mesh::Consul => CONSUL,
    }
}
