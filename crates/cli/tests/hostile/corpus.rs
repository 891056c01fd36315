//! Hostile values, and the pods they are put in.

use serde_json::{Value, json};

/// Values for every field of every mesh. Most are wrong everywhere, some are right somewhere.
pub(crate) fn values() -> Vec<String> {
    let mut values: Vec<String> = [
        "",
        " ",
        ",",
        "*",
        "80",
        " 80 , 443 ",
        "80,,443,",
        "8000-9000",
        "9000-8000",
        "1024:",
        ":1023",
        "80-",
        "-80",
        "-1",
        "+80",
        "0",
        "65535",
        "65536",
        "00080",
        "0x50",
        "0b1",
        "8_0",
        "8e1",
        "80.0",
        "99999999999999999999",
        "4294967295",
        "4294967294",
        "٣",
        "８０",
        "½",
        "80\u{202e}08",
        "80\u{0}",
        "\u{0}",
        "80\n443",
        "80\r\n",
        "\u{1b}[2J80",
        "80;reboot",
        "80 443",
        "$(reboot)",
        "`reboot`",
        "$IFS",
        "${x}",
        "80' || '1",
        "80\" drop; }",
        "80\"; flush ruleset; #",
        "} table inet canary { flags dormant; }",
        "80 comment \"x\"",
        "\\",
        "\"",
        "'",
        "10.0.0.0/8",
        "10.0.0.7/8",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0/8",
        "010.0.0.1/8",
        "10.0.0.1",
        "0.0.0.0/0",
        "::/0",
        "fd00::7/64",
        "fd00::/129",
        "fe80::1%eth0/64",
        "::ffff:10.0.0.1/104",
        "[::1]",
        "127.0.0.1:80",
        "eth0",
        "br+",
        "+",
        "lo",
        ".",
        "..",
        "../../etc",
        "eth0;reboot",
        "eth0\nflush ruleset",
        "a\"b",
        "a$b",
        "$eth0",
        "{eth0}",
        "@set",
        "#eth0",
        "-j",
        "--help",
        "!eth0",
        "eth0,eth1",
        "averyveryverylongname",
        "eth 0",
        "eth*",
        "docker0:172.17.0.0/16",
        "a;b:10.0.0.0/8",
        "tcp:80:1000",
        "tcp:*:0",
        "*:*:*",
        "tcp,udp:1-2,3:4-5",
        "icmp:1:1",
        "true",
        "TRUE",
        "yes",
        "null",
        "{}",
        "[]",
        "{\"a\": [}",
        "&a [*a]",
        "!!binary x",
        "root",
        "istio-proxy",
        "TPROXY",
        "NONE",
        "$(A)",
        "$(A",
        "$$(A)",
    ]
    .map(str::to_string)
    .into();
    values.push(vec!["80"; 87_000].join(","));
    values.push((1..45_000).map(|n| n.to_string()).collect::<Vec<_>>().join(","));
    values.push("9".repeat(256 * 1024));
    values.push(",".repeat(256 * 1024));
    values.push("x".repeat(256 * 1024 + 1));
    // Protocols times ports: thousands of millions of rules, were they multiplied.
    values.push(format!("{}:{}:1", vec!["tcp"; 20_000].join(","), vec!["1"; 20_000].join(",")));
    values.push(vec!["1-2,4-5,7-8:1"; 1024].join(";"));
    values
}

pub(crate) fn istio(annotations: Value, arguments: &[&str]) -> Value {
    let container = match arguments {
        [] => json!({"name": "istio-validation", "args": ["istio-iptables", "--run-validation"]}),
        words => json!({"name": "istio-init", "args": ([&["istio-iptables"], words].concat())}),
    };
    let mut annotations = annotations;
    annotations["sidecar.istio.io/status"] = json!("{}");
    json!({"kind": "Pod", "metadata": {"name": "web", "annotations": annotations}, "spec": {
        "initContainers": [container],
        "containers": [{"name": "web"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"]}],
    }})
}

fn cni(key: &str, value: &str) -> Value {
    let mut pod = istio(json!({key: value}), &[]);
    pod["spec"]["initContainers"] = json!([]);
    pod
}

fn linkerd(arguments: &[&str]) -> Value {
    json!({"kind": "Pod", "metadata": {"name": "web", "annotations": {"linkerd.io/proxy-version": "x"}}, "spec": {
        "initContainers": [{"name": "linkerd-init", "args": ([&["--proxy-uid", "2102"], arguments].concat())}],
        "containers": [{"name": "linkerd-proxy", "securityContext": {"runAsUser": 2102}}],
    }})
}

fn kuma(arguments: &[&str], annotations: Value) -> Value {
    let words = [&["/usr/bin/kumactl", "install", "transparent-proxy"], arguments].concat();
    let mut annotations = annotations;
    annotations["kuma.io/sidecar-injected"] = json!("true");
    json!({"kind": "Pod", "metadata": {"name": "web", "annotations": annotations}, "spec": {
        "initContainers": [{"name": "kuma-init", "command": words}],
        "containers": [{"name": "kuma-sidecar", "securityContext": {"runAsUser": 5678}}],
    }})
}

fn consul(key: &str, value: &str) -> Value {
    let mut config = json!({"ProxyUserID": "5995", "ProxyInboundPort": 20000});
    config[key] = if key.ends_with('s') { json!([value]) } else { json!(value) };
    json!({"kind": "Pod", "metadata": {"name": "web", "annotations": {
        "consul.hashicorp.com/connect-inject-status": "injected",
        "consul.hashicorp.com/transparent-proxy-status": "enabled",
        "consul.hashicorp.com/redirect-traffic-config": config.to_string(),
    }}, "spec": {
        "initContainers": [{"name": "consul-connect-inject-init"}],
        "containers": [{"name": "consul-dataplane", "securityContext": {"runAsUser": 5995}}],
    }})
}

/// One field of one mesh, with this value in it.
pub(crate) type Field = (&'static str, fn(&str) -> Value);

pub(crate) const FIELDS: [Field; 17] = [
    ("istio -b", |value| istio(json!({}), &["-b", value, "-i", "*"])),
    ("istio -i", |value| istio(json!({}), &["-b", "*", "-i", value])),
    ("istio -c", |value| istio(json!({}), &["-b", "*", "-i", "*", "-c", value])),
    ("istio -u", |value| istio(json!({}), &["-b", "*", "-u", value])),
    ("istio last", |value| istio(json!({}), &["-b", "*", value])),
    ("istio excludeOutboundPorts", |value| cni("traffic.sidecar.istio.io/excludeOutboundPorts", value)),
    ("istio includeOutboundIPRanges", |value| cni("traffic.sidecar.istio.io/includeOutboundIPRanges", value)),
    ("istio excludeInterfaces", |value| cni("traffic.sidecar.istio.io/excludeInterfaces", value)),
    ("istio proxy config", |value| cni("proxy.istio.io/config", value)),
    ("istio record", |value| {
        let settings = json!({"istio-exclude-interfaces": value, "istio-inbound-ports": "*"});
        let record = json!({"version": 1, "mesh": "istio", "settings": settings});
        cni("meshward.dev/redirect", &record.to_string())
    }),
    ("linkerd ports", |value| linkerd(&["--inbound-ports-to-ignore", value])),
    ("linkerd subnets", |value| linkerd(&["--subnets-to-ignore", value])),
    ("kuma uids", |value| kuma(&["--exclude-outbound-ports-for-uids", value], json!({}))),
    ("kuma vnet", |value| kuma(&["--vnet", value], json!({}))),
    ("kuma config", |value| kuma(&[], json!({"traffic.kuma.io/transparent-proxy-config": value}))),
    ("consul ports", |value| consul("ExcludeOutboundPorts", value)),
    ("consul dns", |value| consul("ConsulDNSIP", value)),
];
