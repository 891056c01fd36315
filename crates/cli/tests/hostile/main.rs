//! Manifests written by somebody who means harm, through the command itself: it ends with rules or with an error that is
//! fit for a terminal, and the rules hold nothing but typed values. Whatever it prints as nft text is loaded in a
//! namespace of its own, where it may make our table and touch nothing else.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod corpus;

use std::io::Write;
use std::process::{Command, Stdio};

use meshward_redirect::netns::{NetNs, OpenNetNs};
use serde_json::json;

use corpus::{FIELDS, istio, values};

struct Ended {
    code: i32,
    out: String,
    err: String,
}

fn run(program: &str, arguments: &[&str], input: &[u8]) -> Ended {
    let mut child = Command::new(program)
        .args(arguments)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that has seen enough closes its end.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

/// `meshward rules pod -` of a manifest, and what holds whatever the manifest is.
fn rules(form: &str, manifest: &[u8]) -> Ended {
    let ended = run(env!("CARGO_BIN_EXE_meshward"), &["rules", "pod", "-", "-o", form], manifest);
    let start = String::from_utf8_lossy(&manifest[..manifest.len().min(1000)]).into_owned();
    assert!(matches!(ended.code, 0 | 2), "{start}: ended with {}: {}", ended.code, ended.err);
    assert!(!ended.err.contains("panicked"), "{start}: {}", ended.err);
    assert!(ended.code == 0 || ended.out.is_empty(), "{start}: an error, and rules too");
    assert!(ended.code == 0 || !ended.err.is_empty(), "{start}: failed without a word");
    assert!(
        ended.err.len() < 16 * 1024 + 16 * manifest.len(),
        "{start}: {} bytes of messages",
        ended.err.len()
    );
    assert!(ended.out.len() < 64 << 20, "{start}: {} bytes of rules", ended.out.len());
    for text in [&ended.err, &ended.out] {
        let steers = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
        assert!(!text.chars().any(steers), "{start}: control characters in {text:?}");
    }
    ended
}

/// A namespace with a table that is not ours.
struct Canary(Option<NetNs>);

const OTHERS: &str = "table inet canary { chain keep { counter comment \"still here\"; }; }\n";

impl Canary {
    fn new() -> Self {
        if Command::new("nft").arg("--version").stdout(Stdio::null()).status().is_err() {
            meshward_netlab::skipped("needs nft");
            return Self(None);
        }
        match NetNs::create() {
            Ok(namespace) => {
                let made = namespace.run(|| run("nft", &["-f", "-"], OTHERS.as_bytes())).unwrap();
                assert_eq!(made.code, 0, "{}", made.err);
                Self(Some(namespace))
            }
            Err(OpenNetNs::Create(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                meshward_netlab::skipped("needs CAP_NET_ADMIN");
                Self(None)
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// nft takes the text, and nothing but our own table comes of it.
    fn load(&self, text: &str, what: &str) {
        let Some(namespace) = &self.0 else { return };
        let (loaded, tables) = namespace
            .run(|| {
                let loaded = run("nft", &["-f", "-"], text.as_bytes());
                let tables = run("nft", &["list", "tables"], b"").out;
                let ours = tables.lines().filter(|table| table.contains(" meshward_"));
                ours.for_each(|table| drop(run("nft", &[&format!("delete {table}")], b"")));
                (loaded, tables)
            })
            .unwrap();
        assert_eq!(loaded.code, 0, "{what}: {}\n{}", loaded.err, text.chars().take(4000).collect::<String>());
        let (ours, others): (Vec<&str>, Vec<&str>) =
            tables.lines().partition(|table| table.starts_with("table inet meshward_"));
        assert_eq!(others, ["table inet canary"], "{what}");
        assert_eq!(ours.len(), 1, "{what}: {tables}");
    }
}

#[test]
fn hostile_values_become_typed_values_or_errors() {
    let canary = Canary::new();
    let values = values();
    let (mut accepted, mut refused) = (0, 0);
    for (field, pod) in FIELDS {
        let before = (accepted, refused);
        for value in &values {
            let ended = rules("nft", pod(value).to_string().as_bytes());
            let what = format!("{field} = {:?}", value.chars().take(80).collect::<String>());
            if ended.code == 2 {
                refused += 1;
                assert!(ended.err.contains("web"), "{what}: {}", ended.err);
                continue;
            }
            accepted += 1;
            for word in ["reboot", "flush ruleset", "dormant", "$", "`", "\\"] {
                assert!(!ended.out.contains(word), "{what}: {word} in {}", ended.out);
            }
            if !ended.out.is_empty() {
                canary.load(&ended.out, &what);
            }
        }
        assert!(accepted > before.0 || field == "istio last", "{field}: nothing was accepted");
        assert!(refused > before.1, "{field}: nothing was refused");
    }
}

#[test]
fn hostile_names_stay_names() {
    let canary = Canary::new();
    let evil = "x\nflush ruleset\nadd table inet evil\n\u{1b}]0;owned\u{7}\u{202e}";
    let mut pod = istio(json!({}), &["-b", "*", "-i", "*"]);
    pod["metadata"]["name"] = json!(evil);
    pod["metadata"]["namespace"] = json!(evil);
    pod["metadata"]["annotations"][format!("sidecar.istio.io/{evil}")] = json!(evil);
    pod["metadata"]["labels"] = json!({format!("traffic.sidecar.istio.io/{evil}"): evil});
    pod["spec"]["containers"][0]["name"] = json!(evil);
    let two = json!({"kind": "List", "items": [pod, pod]});
    for form in ["nft", "iptables", "json"] {
        let ended = rules(form, two.to_string().as_bytes());
        assert_eq!(ended.code, 0, "{}", ended.err);
        let own_line = |line: &str| line.starts_with("flush") || line.starts_with("add");
        assert!(!ended.out.lines().any(own_line), "{}", ended.out);
        assert!(!ended.err.lines().any(own_line), "{}", ended.err);
        if form == "nft" {
            canary.load(&ended.out, "two pods");
        }
    }
    // The same names where they end up in errors.
    pod["spec"]["initContainers"][0]["args"] = json!(["istio-iptables", evil]);
    pod["spec"]["containers"][1]["securityContext"] = json!({"runAsUser": evil});
    let ended = rules("nft", pod.to_string().as_bytes());
    assert_eq!(ended.code, 2);
    assert!(!ended.err.lines().any(|line| line.starts_with("add table")), "{}", ended.err);
}

/// The longest lists that are accepted are still lists that the kernel and the iptables programs accept.
#[test]
fn the_longest_lists_can_be_put_in_force() {
    let canary = Canary::new();
    let list = |from: u32, step: usize, count: usize| {
        (from..).step_by(step).take(count).map(|n| n.to_string()).collect::<Vec<_>>().join(",")
    };
    let (ids, ports, groups) = (list(70_000, 2, 1024), list(1, 3, 1024), list(4_000_000_000, 2, 64));
    let nets = (0..1024).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect::<Vec<_>>().join(",");
    let table: [(&str, Vec<(&str, &str)>); 5] = [
        ("istio", vec![("-b", "*"), ("-i", "*"), ("--outbound-owner-groups", &groups)]),
        (
            "istio",
            vec![
                ("-b", &ports),
                ("-i", &nets),
                ("-u", &ids),
                ("-g", &ids),
                ("--istio-local-outbound-ports-exclude", &ports),
                ("-x", &nets),
            ],
        ),
        ("linkerd", vec![("--inbound-ports-to-ignore", &ports), ("--subnets-to-ignore", &nets)]),
        ("kuma", vec![("--exclude-outbound-ips", &nets), ("--exclude-inbound-ports", &ports)]),
        ("consul", vec![("--proxy-uid", "1"), ("--proxy-inbound-port", "2"), ("--exclude-uid", &ids)]),
    ];
    for (mesh, options) in table {
        let words: Vec<&str> = options.iter().flat_map(|(flag, value)| [*flag, *value]).collect();
        let print = |form| {
            let fixed = ["rules", "-o", form, mesh];
            let printed = run(env!("CARGO_BIN_EXE_meshward"), &[&fixed[..], &words[..]].concat(), b"");
            assert_eq!(printed.code, 0, "{mesh}: {}", printed.err);
            printed.out
        };
        let text = print("nft");
        if may_force_buffers() {
            canary.load(&text, mesh);
        } else {
            meshward_netlab::skipped(
                "long lists through nft(8), whose send buffer is too small in a user namespace",
            );
        }
        let text = print("iptables");
        let ipv4 = text.split("# ip6tables").next().unwrap();
        let Some(namespace) = &canary.0 else { continue };
        if Command::new("iptables-nft-restore").arg("--version").stdout(Stdio::null()).status().is_err() {
            meshward_netlab::skipped("needs iptables");
            continue;
        }
        let arguments = ["--noflush", "--test"];
        let tested = namespace.run(|| run("iptables-nft-restore", &arguments, ipv4.as_bytes())).unwrap();
        assert_eq!(tested.code, 0, "{mesh}: {}", tested.err);
    }
}

/// Whether root here is root of the machine: SO_SNDBUFFORCE, which nft(8) needs for large transactions, asks for that.
fn may_force_buffers() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// Files that are hostile as a whole.
#[test]
fn hostile_files_end() {
    let bomb = (1..30).fold("a0: &a0 [x]\n".to_string(), |text, n| {
        let before = format!("*a{}", n - 1);
        format!("{text}a{n}: &a{n} [{}]\n", vec![before; 9].join(","))
    });
    let merges = (1..30).fold("m0: &m0 {x: 1}\n".to_string(), |text, n| {
        format!("{text}m{n}: &m{n} {{<<: [*m{0}, *m{0}, *m{0}], k{n}: 1}}\n", n - 1)
    });
    let pods = |count: usize| {
        let pod = istio(json!({}), &["-b", "*"]);
        json!({"kind": "List", "items": vec![pod; count]}).to_string()
    };
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("empty", vec![]),
        ("nul", b"kind: Pod\0metadata: {}".to_vec()),
        ("bytes", (0..=255).collect()),
        ("not utf-8", b"kind: Pod\nmetadata: {name: \xff\xfe}".to_vec()),
        ("utf-16", "kind: Pod".encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("bomb", format!("kind: Pod\n{bomb}").into_bytes()),
        ("merges", format!("kind: Pod\n{merges}").into_bytes()),
        ("itself", b"kind: Pod\nmetadata: &a {annotations: *a}".to_vec()),
        ("deep yaml", format!("kind: Pod\na: {}", "[".repeat(200_000)).into_bytes()),
        ("deep blocks", (0..3000).map(|n| " ".repeat(n) + "a:\n").collect::<String>().into_bytes()),
        ("deep json", format!("{{\"kind\":\"Pod\",\"a\":{}", "{\"a\":".repeat(200_000)).into_bytes()),
        ("deep lists", (0..500).fold(pods(1), |text, _| format!("{{\"kind\":\"List\",\"items\":[{text}]}}")).into_bytes()),
        ("long key", format!("? {}\n: 1", "k".repeat(1 << 20)).into_bytes()),
        ("long line", format!("kind: Pod\nmetadata: {{name: \"{}\", annotations: [}}", "n".repeat(1 << 20)).into_bytes()),
        ("many documents", "---\nkind: Pod\n".repeat(5000).into_bytes()),
        ("many broken documents", "---\n{\n".repeat(300).into_bytes()),
        ("many pods", pods(300).into_bytes()),
        ("types", br#"{"kind":"Pod","metadata":{"name":[],"annotations":[1],"labels":"x"},"spec":{"containers":{"a":1},"initContainers":[1,null,{"name":{},"args":{"a":1},"env":[[]]}]}}"#.to_vec()),
        ("huge numbers", br#"{"kind":"Pod","spec":{"containers":[{"name":"istio-proxy","securityContext":{"runAsUser":1e999,"runAsGroup":-0.0}}]}}"#.to_vec()),
    ];
    for (what, file) in files {
        println!("{what}: {} bytes", file.len());
        rules("json", &file);
        rules("nft", &file);
    }
}
