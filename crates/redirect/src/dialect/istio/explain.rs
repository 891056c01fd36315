//! Istio's rules, explained in the order in which packets meet them.

use crate::dialect::explain::Explanation;

const SELF_CALL: &str = "The proxy calls its own pod by the pod's address (the application called a service whose \
    endpoint is this pod): such a call enters the proxy again as inbound, so that inbound policy holds for it too. The \
    tunnel port is left out, and with DNS capture port 53 for users.";
const APP_LOOPBACK: &str = "What anybody but the proxy sends over the loopback interface passes by: containers of one \
    pod talk to each other directly. It is absent when a loopback address is among the CIDRs to capture.";
const PROXY: &str = "Everything else that the proxy sends leaves as it is; captured, it would come back to the proxy \
    for ever.";
const MARK_SELF_CALL: &str = "Marks the proxy's calls to its own pod with 1338, so that they are captured as inbound \
    when they arrive over the loopback interface, where everything else passes by.";

pub(in crate::dialect) const EXPLANATIONS: &[Explanation] = &[
    (
        "zone.in",
        "With DNS capture: packets that arrive are looked at by the rules that sort DNS answers into conntrack zones.",
    ),
    (
        "zone.server-answer",
        "Answers of DNS servers belong to the agent's own conversation with them: zone 1.",
    ),
    (
        "zone.out",
        "With DNS capture: packets that are sent are looked at by the rules that sort DNS into conntrack zones. The two \
         conversations, application to agent and agent to server, can share addresses and ports, and without zones \
         conntrack would mix them up.",
    ),
    ("zone.agent-query", "Queries that the agent sends on to a DNS server are tracked in zone 1."),
    (
        "zone.agent-answer",
        "Answers of the agent (port 15053) belong to the application's conversation: zone 2.",
    ),
    (
        "zone.app-query",
        "Queries of applications are tracked in zone 2. The agent's own have been sorted by an earlier rule, and the \
         first zone counts.",
    ),
    (
        "in.invalid",
        "Sends packets that connection tracking finds invalid to be dropped. Such packets are not translated back, so \
         the peer would answer them with a reset that kills the connection.",
    ),
    ("in.invalid-drop", "Drops them."),
    ("in.exclude-interface", "What arrives by an excluded interface is not captured."),
    (
        "in.virtual",
        "What arrives from a virtual interface (a VM behind it) to a captured destination is treated as outbound: it goes \
         to the proxy's outbound port.",
    ),
    (
        "in.virtual-return",
        "Anything else from a virtual interface passes by: it is not inbound traffic of this pod.",
    ),
    ("in.tcp", "TCP that arrives goes through the inbound rules; everything else passes by."),
    ("in.marked", "TPROXY: a packet that bears the mark has been intercepted already."),
    (
        "in.passthrough",
        "TPROXY: the proxy's way to the application, which it takes from 127.0.0.6 or ::6, is not captured again.",
    ),
    (
        "in.app-loopback",
        "TPROXY: what containers of the pod send each other over loopback passes by, unless the mark 1338 says that it is \
         the proxy calling its own pod.",
    ),
    ("in.tunnel-port", "The proxy's own tunnel port (HBONE) takes its connections directly."),
    ("in.exclude-port", "This inbound port passes by the proxy."),
    ("in.all", "Every other inbound TCP connection is captured."),
    ("in.include-port", "Inbound TCP connections to this port are captured; others pass by."),
    (
        "in.established",
        "TPROXY: packets of a connection that is known already are diverted to the socket that has it.",
    ),
    ("in.new", "TPROXY: the first packet of a connection is given to the proxy's listener."),
    (
        "in.divert-mark",
        "TPROXY: sets the mark that policy routing delivers locally, so that a packet for a foreign address reaches the \
         proxy's socket.",
    ),
    ("in.divert", "TPROXY: and lets it go on."),
    (
        "in.tproxy",
        "TPROXY: hands the connection to the proxy's inbound port with source and destination unchanged.",
    ),
    (
        "in.tproxy-no-listener",
        "TPROXY: while the proxy does not listen, nothing reaches the application around it. iptables' TPROXY does this by \
         itself, that of nf_tables does not.",
    ),
    ("in.save-mark", "TPROXY: the connection remembers the mark of its packet, so that answers can be told."),
    (
        "in.redirect",
        "Redirects the connection to the proxy's inbound port, which asks the kernel where it was going.",
    ),
    (
        "out.marked",
        "TPROXY: what leaves over loopback with the mark is the proxy's answer to an intercepted connection.",
    ),
    ("out.mark-self-call-uid", MARK_SELF_CALL),
    ("out.mark-self-call-gid", MARK_SELF_CALL),
    (
        "out.restore-mark",
        "TPROXY: an answer of the application gets the mark of its connection back, so that policy routing returns it to \
         the proxy's socket.",
    ),
    ("out.exclude-interface", "What leaves by an excluded interface is not captured."),
    ("out.exclude-port", "This outbound port passes by the proxy, over TCP and UDP."),
    (
        "out.inbound-passthrough",
        "The proxy passes inbound connections on to the application from 127.0.0.6 (::6); they are where they belong.",
    ),
    ("out.self-call-uid", SELF_CALL),
    ("out.app-loopback-uid", APP_LOOPBACK),
    ("out.proxy-uid", PROXY),
    ("out.self-call-gid", SELF_CALL),
    ("out.app-loopback-gid", APP_LOOPBACK),
    ("out.proxy-gid", PROXY),
    ("out.owner-group-exclude", "What processes of this group send is not captured."),
    (
        "out.owner-group",
        "What processes of this group send is captured as the rules below say; what others send is not.",
    ),
    ("out.dns", "With DNS capture: everything that is left goes through the DNS rules."),
    ("out.dns-tcp", "DNS over TCP goes to the agent's port 15053."),
    ("out.dns-udp", "DNS over UDP goes to the agent's port 15053."),
    ("out.loopback", "Connections to the loopback address stay local."),
    ("out.exclude-cidr", "Destinations in this network pass by the proxy."),
    ("out.include-port", "Outbound TCP connections to this port are captured, whatever the destination."),
    ("out.all", "Everything that is left is captured."),
    ("out.include-cidr", "Connections to this network are captured; others pass by."),
    (
        "out.redirect",
        "Redirects TCP to the proxy's outbound port, which asks the kernel where it was going. Other \
         protocols pass by.",
    ),
];
