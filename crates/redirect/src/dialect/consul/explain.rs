//! Consul's rules, explained in the order in which packets meet them.

use crate::dialect::explain::Explanation;

pub(in crate::dialect) const EXPLANATIONS: &[Explanation] = &[
    ("in.capture", "TCP that arrives goes through the inbound rules; everything else passes by."),
    (
        "in.exclude-port",
        "These inbound ports pass by the proxy. A long list takes several rules of this name.",
    ),
    ("in.all", "Every other inbound TCP connection is redirected to the proxy's inbound port."),
    (
        "out.dns",
        "DNS, over UDP and TCP, goes to Consul's DNS. Without a port every query does; with one only those to that \
         address (or, where none is given, to the loopback address).",
    ),
    ("out.capture", "TCP that is sent goes through the outbound rules; everything else passes by."),
    ("out.exclude-uid", "What this user sends passes by the proxy."),
    ("out.exclude-ip", "Destinations in this network pass by the proxy."),
    (
        "out.exclude-port",
        "These outbound ports pass by the proxy. A long list takes several rules of this name.",
    ),
    (
        "out.proxy-uid",
        "What the proxy itself sends leaves as it is; captured, it would come back to the proxy for ever.",
    ),
    ("out.loopback", "Connections to the loopback address stay local."),
    (
        "out.all",
        "Every other outbound TCP connection is redirected to the proxy's outbound port, which asks the kernel where it \
         was going.",
    ),
];
