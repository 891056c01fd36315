//! What a rule set from a file may not be, and that everything a dialect builds may.

use meshward_redirect::dialect::{self, Origin, Settings, Surroundings};
use meshward_redirect::{Mesh, RuleSet};
use serde_json::{Value, json};

fn valid() -> Value {
    json!({"mesh": "istio", "ipv6": true, "tables": [
        {"kind": "mangle", "chains": [{"name": "prerouting", "hook": "prerouting", "rules": [
            {"name": "in.tproxy", "match": [{"protocol": "tcp"}], "action": {"tproxy": {"port": 15006, "mark": 1337}}},
        ]}]},
        {"kind": "nat", "chains": [
            {"name": "output", "hook": "output", "rules": [
                {"name": "out.all", "option": "proxy-uid", "match": [{"uid": {"ids": [0, 7]}}, {"out-interface": "lo"}],
                 "action": {"jump": "redirect"}},
                {"name": "out.log", "action": {"log": {"prefix": "OUTPUT:", "level": 7}}},
            ]},
            {"name": "redirect", "rules": [
                {"name": "out.redirect", "match": [{"port": {"protocol": "tcp", "side": "source", "ports": [[1, 2]]}}],
                 "action": {"redirect": 15001}},
            ]},
        ]},
    ], "routing": {"mark": 1337, "table": 133}})
}

fn read(value: &Value) -> Result<RuleSet, String> {
    RuleSet::from_json(value.to_string().as_bytes()).map_err(|error| error.to_string())
}

const FIRST: &str = "/tables/1/chains/0/rules/0";
const LAST: &str = "/tables/1/chains/1/rules/0";

#[test]
fn each_mistake_has_its_place() {
    assert_eq!(read(&valid()).unwrap().validate(), Ok(()));
    let of = |base: &str, rest: &str| format!("{base}/{rest}");
    let chain = "table nat, chain output, rule 1 (out.all)";
    let target = "table nat, chain redirect, rule 1 (out.redirect)";
    let table = [
        ("/tables/0/kind".into(), json!("nat"), "the rule set", "tables nat, nat"),
        ("/tables/1/kind".into(), json!("raw"), "the rule set", "tables mangle, raw"),
        ("/routing/mark".into(), json!(0), "the rule set", "routing mark 0"),
        ("/routing/table".into(), json!(254), "the rule set", "routing table 254"),
        (
            "/tables/1/chains/0/name".into(),
            json!("outputs"),
            "table nat",
            "base chain outputs on hook output",
        ),
        ("/tables/1/chains/1/name".into(), json!("output"), "table nat", "two chains output"),
        (
            "/tables/1/chains/1/name".into(),
            json!("prerouting"),
            "table nat",
            "chain prerouting without a hook",
        ),
        ("/tables/1/chains/0/hook".into(), Value::Null, "table nat", "chain output without a hook"),
        (of(FIRST, "action/jump"), json!("nowhere"), chain, "a jump to nowhere, which is not there"),
        (of(FIRST, "action/jump"), json!("output"), chain, "a jump to base chain output"),
        (
            of(FIRST, "name"),
            json!("x\" drop\nflush ruleset"),
            "table nat, chain output, rule 1",
            "name \"x\\\" drop\\n",
        ),
        (of(FIRST, "name"), json!(""), chain.trim_end_matches("(out.all)"), "name \"\""),
        (of(FIRST, "option"), json!("Ü"), chain, "name \"Ü\""),
        (of(FIRST, "match/0/uid/ids"), json!([0, 4_294_967_295_u32]), chain, "id 4294967295"),
        (of(FIRST, "match"), json!([{"ct-state": []}]), chain, "0 states"),
        (of(FIRST, "match"), json!([{"ct-state": ["new", "new"]}]), chain, "2 states"),
        (of(FIRST, "match"), json!(vec![json!({"protocol": "tcp"}); 129]), chain, "129 matches"),
        (of(FIRST, "match"), json!([{"in-interface": "eth0"}]), chain, "an incoming interface in output"),
        (of(FIRST, "action"), json!("drop"), chain, "drop in table nat"),
        (of(FIRST, "action"), json!({"set-mark": 1}), chain, "it in table nat"),
        (of(FIRST, "action"), json!({"ct-zone": 1}), chain, "it in table nat"),
        (of(FIRST, "action"), json!({"redirect": 1}), chain, "a new port for any protocol"),
        (of(FIRST, "action"), json!({"dnat": {"address": "0.0.0.0"}}), chain, "destination 0.0.0.0"),
        (of(FIRST, "action"), json!({"log": {"prefix": "a\"b", "level": 1}}), chain, "prefix \"a\\\"b\""),
        (of(FIRST, "action"), json!({"log": {"prefix": "x".repeat(30), "level": 1}}), chain, "prefix \"xx"),
        (of(FIRST, "action"), json!({"log": {"prefix": "", "level": 8}}), chain, "log level 8"),
        (of(LAST, "action/redirect"), json!(0), target, "port 0 as a destination"),
        (of(LAST, "match/0/port/ports"), json!([]), target, "no port"),
        (of(LAST, "match/0/port/ports"), json!(vec![[1, 2]; 8]), target, "16 ports"),
        (of(LAST, "match/0/port/ports"), json!(vec![[1, 1]; 100_000]), target, "100000 ports"),
        (
            "/tables/0/chains/0/rules/0/match".into(),
            json!([{"uid": {"ids": [1, 1]}}, {"protocol": "tcp"}]),
            "table mangle, chain prerouting, rule 1 (in.tproxy)",
            "the owner of a socket in prerouting",
        ),
        (
            "/tables/0/chains/0/rules/0/action/tproxy/mark".into(),
            json!(0),
            "table mangle, chain prerouting, rule 1 (in.tproxy)",
            "tproxy mark 0",
        ),
    ];
    for (pointer, value, place, found) in table {
        let mut changed = valid();
        match changed.pointer_mut(&pointer) {
            Some(old) => *old = value,
            None => panic!("nothing at {pointer}"),
        }
        let error = read(&changed).expect_err(&pointer);
        assert!(error.starts_with(place), "{pointer}: {error}");
        assert!(error.contains(&format!("found {found}")), "{pointer}: {error}");
        assert!(error.contains(", accepted: "), "{pointer}: {error}");
        assert!(!error.contains('\n') && error.len() < 400, "{pointer}: {error}");
    }
}

#[test]
fn misspelt_keys_and_values_are_no_rule_set() {
    for (from, to) in [
        ("\"negate\":", "\"negated\":"),
        ("\"hook\":", "\"hok\":"),
        ("\"routing\":", "\"rooting\":"),
        ("\"redirect\"", "\"a-b\""),
        ("[1,2]", "[2,1]"),
        ("[1,2]", "[0,65536]"),
        ("\"lo\"", "\"l o\""),
    ] {
        let text = valid().to_string().replace("\"side\":\"source\"", "\"side\":\"source\",\"negate\":true");
        let changed = text.replace(from, to);
        assert_ne!(changed, text, "{from}");
        let error = RuleSet::from_json(changed.as_bytes()).expect_err(to).to_string();
        assert!(error.starts_with("cannot read the rule set: ") && error.contains("line 1"), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(RuleSet::from_json(deep.as_bytes()).is_err());
    let long = vec![b' '; (16 << 20) + 1];
    assert_eq!(
        RuleSet::from_json(&long).expect_err("too long").to_string(),
        "found 16777217 bytes, accepted: a rule set of at most 16777216 bytes"
    );
}

fn jump(to: String) -> Value {
    json!({"name": "j", "action": {"jump": to}})
}

/// Chains `a`, `b`… of which each jumps to the next `times` times.
fn ladder(levels: u8, times: usize, last: Option<&str>) -> Value {
    let name = |level: u8| char::from(b'a' + level).to_string();
    let mut chains = vec![json!({"name": "output", "hook": "output", "rules": vec![jump(name(0)); times]})];
    for level in 0..levels {
        let next = if level + 1 < levels { Some(name(level + 1)) } else { last.map(str::to_string) };
        let rules =
            next.map_or_else(|| vec![json!({"name": "r", "action": "return"})], |to| vec![jump(to); times]);
        chains.push(json!({"name": name(level), "rules": rules}));
    }
    json!({"mesh": "kuma", "ipv6": false, "tables": [{"kind": "nat", "chains": chains}]})
}

#[test]
fn jumps_end_soon() {
    assert!(read(&ladder(15, 1, None)).is_ok());
    let error = read(&ladder(16, 1, None)).expect_err("too deep");
    assert!(error.contains("found 17 levels of jumps"), "{error}");
    for last in ["a", "g", "o"] {
        let error = read(&ladder(15, 1, Some(last))).expect_err("a loop");
        assert!(error.contains(&format!("found a jump back to {last}")), "{error}");
    }
    // Ten ways at each of fifteen levels: nobody could walk them all.
    let error = read(&ladder(15, 10, None)).expect_err("too many ways");
    assert!(error.contains("rules on a packet's way"), "{error}");
    assert!(read(&ladder(13, 2, None)).is_ok());
}

#[test]
fn numbers_of_things_are_bounded() {
    let mut many = valid();
    let rule = json!({"name": "r", "action": "return"});
    many["tables"][1]["chains"][0]["rules"] = json!(vec![rule.clone(); 65_536]);
    assert!(read(&many).expect_err("rules").contains("found 65538 rules"));
    let mut many = valid();
    let name = |n: u8| format!("c_{}{}", char::from(b'a' + n / 26), char::from(b'a' + n % 26));
    let chains = (0..70).map(|n| json!({"name": name(n), "rules": []})).collect();
    many["tables"][1]["chains"] = Value::Array(chains);
    assert!(read(&many).expect_err("chains").contains("found 70 chains"));
    let mut many = valid();
    many["loopback_addresses"] = json!(vec!["::6"; 17]);
    assert!(read(&many).expect_err("addresses").contains("found 17 loopback addresses"));
    many["loopback_addresses"] = json!(["ff02::1"]);
    assert!(read(&many).expect_err("multicast").contains("found loopback address ff02::1"));
}

/// The longest lists that the dialects take still make rule sets that hold together.
#[test]
fn the_largest_options_make_valid_rules() {
    let ports = |from: u32, step: usize| {
        (from..60_000).step_by(step).take(1024).map(|port| port.to_string()).collect::<Vec<_>>().join(",")
    };
    let nets = (0..1024).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect::<Vec<_>>().join(",");
    let servers = (0..1024).map(|n| format!("10.{}.{}.1", n / 256, n % 256)).collect::<Vec<_>>().join(",");
    let ranges = (0..1024).map(|n| format!("{}-{}", 20 * n + 1, 20 * n + 9)).collect::<Vec<_>>().join(",");
    let table: [(Mesh, Vec<(&str, String)>); 4] = [
        (
            Mesh::Istio,
            vec![
                ("istio-inbound-ports", "*".into()),
                ("istio-local-exclude-ports", ports(1, 3)),
                ("istio-local-outbound-ports-exclude", ports(1, 5)),
                ("istio-outbound-ports", ports(2, 5)),
                ("istio-service-cidr", nets.clone()),
                ("istio-service-exclude-cidr", nets.clone()),
                ("proxy-uid", ports(1, 1)),
                ("proxy-gid", ports(1, 1)),
                ("redirect-dns", "true".into()),
                ("dns-servers", servers.clone()),
                ("outbound-owner-groups-exclude", ports(7, 1)),
                ("ipv6", "on".into()),
            ],
        ),
        (
            Mesh::Linkerd,
            vec![
                ("inbound-ports-to-ignore", ranges.clone()),
                ("outbound-ports-to-ignore", ranges.clone()),
                ("subnets-to-ignore", nets.clone()),
                ("ports-to-redirect", ports(1, 2)),
            ],
        ),
        (
            Mesh::Kuma,
            vec![
                ("exclude-outbound-ports-for-uids", vec!["1,3:1"; 1024].join(";")),
                ("exclude-outbound-ips", nets.clone()),
                ("exclude-inbound-ips", nets.clone()),
                ("exclude-inbound-ports", ports(1, 2)),
                ("dns-servers", servers),
                ("redirect-dns", "true".into()),
            ],
        ),
        (
            Mesh::Consul,
            vec![
                ("proxy-uid", "5995".into()),
                ("proxy-inbound-port", "20000".into()),
                ("exclude-inbound-port", ranges.replace('-', ":")),
                ("exclude-outbound-port", ranges.replace('-', ":")),
                ("exclude-outbound-cidr", nets),
                ("exclude-uid", ports(1, 1)),
            ],
        ),
    ];
    for (mesh, options) in table {
        let mut settings = Settings::new(dialect::flags_of(mesh));
        options.into_iter().for_each(|(option, value)| settings.set(option, value, Origin::Default));
        let rules = dialect::build(mesh, &settings, Surroundings::default()).unwrap().rules;
        assert!(rules.rules().count() > 1000, "{mesh}");
        assert_eq!(rules.validate(), Ok(()), "{mesh}: {} rules", rules.rules().count());
        assert_eq!(RuleSet::from_json(&serde_json::to_vec(&rules).unwrap()).unwrap(), rules);
    }
}
