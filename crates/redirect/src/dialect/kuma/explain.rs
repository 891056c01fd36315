//! Kuma's rules, explained in the order in which packets meet them.

use crate::dialect::explain::Explanation;

pub(in crate::dialect) const EXPLANATIONS: &[Explanation] = &[
    (
        "zone.answer",
        "Answers of DNS servers belong to kuma-dp's own conversation with them: conntrack zone 1.",
    ),
    (
        "zone.proxy-query",
        "Queries that kuma-dp sends on to a DNS server are tracked in zone 1. They can have the addresses and ports of \
         the application's query, and without zones conntrack would mix the two up.",
    ),
    ("zone.proxy-answer", "Answers of kuma-dp belong to the application's conversation: zone 2."),
    (
        "zone.query",
        "Queries of applications are tracked in zone 2. kuma-dp's own have been sorted by an earlier rule, and the first \
         zone counts.",
    ),
    (
        "zone.local-answer",
        "A DNS server on a loopback address (Docker's on 127.0.0.11) may answer from another port than 53; its answers \
         belong to zone 1 too.",
    ),
    (
        "in.drop-invalid",
        "Drops packets that connection tracking finds invalid. They are not translated back, so the peer would answer \
         them with a reset that kills the connection.",
    ),
    (
        "log.inbound",
        "Writes packets that arrive to the kernel log, with the prefix PREROUTING:. Where it stands below a redirection \
         it only sees what is not redirected.",
    ),
    ("vnet.dns", "DNS queries from a virtual network go to kuma-dp's DNS port."),
    (
        "vnet.out",
        "What arrives from a virtual network for a destination outside of it is outbound: it goes to the proxy's \
         outbound port.",
    ),
    ("in.capture", "TCP that arrives goes through the inbound rules; everything else passes by."),
    ("in.exclude-ip", "Connections from this network pass by the proxy."),
    (
        "in.exclude-port",
        "These inbound ports pass by the proxy. A long list takes several rules of this name.",
    ),
    ("in.all", "Every other inbound TCP connection is redirected."),
    ("in.include-port", "Connections to these ports are redirected; others pass by."),
    (
        "in.redirect",
        "Redirects to the proxy's inbound port, which asks the kernel where the connection was going.",
    ),
    ("log.outbound", "Writes packets that are sent to the kernel log, with the prefix OUTPUT:."),
    ("out.exclude-uid", "What these users send to these ports passes by the proxy."),
    ("out.exclude-ip", "Destinations in this network pass by the proxy."),
    (
        "out.dns-proxy",
        "kuma-dp's own DNS queries leave as they are; captured, they would come back to it for ever.",
    ),
    ("out.dns", "DNS queries over UDP go to kuma-dp's DNS port."),
    ("out.dns-tcp", "DNS over TCP goes to its server: kuma-dp answers UDP only."),
    ("out.capture", "TCP that is sent goes through the outbound rules; everything else passes by."),
    (
        "out.exclude-port",
        "These outbound ports pass by the proxy. A long list takes several rules of this name.",
    ),
    (
        "out.inbound-passthrough",
        "The proxy passes inbound connections on to the application from 127.0.0.6 (::6); they are where they belong.",
    ),
    (
        "out.self-call",
        "The proxy calls its own pod by the pod's address (the application called a service whose endpoint is this pod): \
         such a call enters the proxy again as inbound, so that inbound policy holds for it too.",
    ),
    (
        "out.loopback",
        "What anybody but the proxy sends over the loopback interface passes by: containers of one pod talk to each \
         other directly.",
    ),
    (
        "out.proxy-uid",
        "Everything else that the proxy sends leaves as it is; captured, it would come back to the proxy for ever.",
    ),
    ("out.localhost", "Connections to the loopback address stay local."),
    ("out.all", "Every other outbound TCP connection is redirected."),
    ("out.include-port", "Connections to these ports are redirected; others pass by."),
    (
        "out.redirect",
        "Redirects to the proxy's outbound port, which asks the kernel where the connection was going.",
    ),
];
