//! Linkerd's rules, explained in the order in which packets meet them.

use crate::dialect::explain::Explanation;

pub(in crate::dialect) const EXPLANATIONS: &[Explanation] = &[
    (
        "in.ignore-ports",
        "These inbound ports pass by the proxy. The proxy's own control and admin ports are among them in injected pods. \
         A long list takes several rules of this name.",
    ),
    ("in.ignore-subnet", "Connections from this network pass by the proxy."),
    (
        "in.redirect-port",
        "Connections to this port are redirected to the proxy's inbound port; others pass by.",
    ),
    (
        "in.all",
        "Every other inbound TCP connection is redirected to the proxy's inbound port, which asks the kernel \
         where it was going.",
    ),
    (
        "out.proxy-uid",
        "What the proxy itself sends leaves as it is; captured, it would come back to the proxy for ever.",
    ),
    ("out.proxy-gid", "The same for the proxy's group."),
    (
        "out.loopback",
        "What stays on the loopback interface passes by: containers of one pod talk to each other directly.",
    ),
    (
        "out.ignore-ports",
        "These outbound ports pass by the proxy. A long list takes several rules of this name.",
    ),
    (
        "out.all",
        "Every other outbound TCP connection is redirected to the proxy's outbound port, which asks the kernel \
         where it was going.",
    ),
];
