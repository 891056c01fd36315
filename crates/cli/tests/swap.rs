//! `meshward swap` from the outside: what it prints in each form, and how it ends.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::{ErrorKind, Write};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const NO_MESH: &str = "\
kind: ConfigMap
metadata: {name: settings}   # kept as it is
data:
    answer: 'yes'
";

const MESH: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  template:
    metadata: {annotations: {sidecar.istio.io/status: "{}"}}
    spec:
      initContainers:
      - name: istio-init
        args: [istio-iptables, -p, "15001", -u, "1337"]
        securityContext: {runAsUser: 0, capabilities: {add: [NET_ADMIN, NET_RAW]}}
      containers:
      - {name: web, command: [sh, -c, "yes"]}
      - {name: istio-proxy, args: [proxy, sidecar], securityContext: {runAsUser: 1337}}
"#;

fn run(input: &str, arguments: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_meshward"))
        .args(["swap", "-", "--wait-image", "registry.example/wait:1"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A command that refuses its flags ends without reading.
    let written = child.stdin.take().unwrap().write_all(input.as_bytes());
    assert!(written.is_ok() || written.is_err_and(|error| error.kind() == ErrorKind::BrokenPipe));
    child.wait_with_output().unwrap()
}

fn out(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn every_object_is_printed_and_those_without_a_mesh_as_they_are() {
    let text = out(&run(&format!("# first\n{NO_MESH}---{MESH}"), &[]));
    let (first, second) = text.split_once("---\n").unwrap();
    assert_eq!(first, NO_MESH);
    assert!(
        second.contains("      - name: meshward-wait\n        image: registry.example/wait:1\n"),
        "{second}"
    );
    assert!(second.contains("        - \"yes\"\n"), "{second}");
    assert!(!second.contains("NET_ADMIN"), "{second}");
    // What it printed, it leaves as it is.
    assert_eq!(out(&run(&text, &[])), text);
}

#[test]
fn json_and_patch_lead_to_the_same_object() {
    let stream = format!("{NO_MESH}---{MESH}");
    let json = out(&run(&stream, &["-o", "json"]));
    let swapped: Vec<Value> =
        serde_json::Deserializer::from_str(&json).into_iter().map(Result::unwrap).collect();
    assert_eq!(swapped.len(), 2);
    let init = "/spec/template/spec/initContainers/0";
    assert_eq!(swapped[1].pointer(&format!("{init}/name")), Some(&json!("meshward-wait")));
    let patches = out(&run(&stream, &["-o", "patch"]));
    let patches: Vec<Value> = patches.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(patches[0], json!([]));
    let of_init = patches[1].as_array().unwrap().iter().find(|operation| operation["path"] == init).unwrap();
    assert_eq!(Some(&of_init["value"]), swapped[1].pointer(init));
}

#[test]
fn a_diff_shows_what_changes_and_nothing_else() {
    let text = out(&run(&format!("{NO_MESH}---{MESH}"), &["-o", "diff"]));
    assert!(text.starts_with("--- standard input: Deployment web\n+++ "), "{text}");
    let removed: Vec<&str> =
        text.lines().filter(|line| line.starts_with("-  ")).map(|line| line[1..].trim()).collect();
    assert!(removed.contains(&"- name: istio-init") && !removed.contains(&"- name: istio-proxy"), "{text}");
    assert_eq!(out(&run(NO_MESH, &["-o", "diff"])), "");
}

#[test]
fn the_exit_code_tells_why_not() {
    for (from, to, code, says) in [
        ("\"1337\"]", "\"1337\", -m, TPROXY]", 1, "needs NET_ADMIN in the proxy"),
        ("runAsUser: 1337", "runAsUser: 0", 1, "container istio-proxy runs as root"),
        ("\"15001\"", "none", 2, "found \"none\""),
        ("sidecar.istio.io/status", "meshward.dev/swap", 2, "accepted: enabled or disabled"),
        ("kind: Deployment", "sort: Deployment", 2, "found a document without a kind"),
    ] {
        // One pod that cannot be swapped keeps the others back as well.
        let output = run(&format!("{NO_MESH}---{}", MESH.replace(from, to)), &[]);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{errors}");
        assert!(output.stdout.is_empty() && errors.contains(says), "{errors}");
    }
}

#[test]
fn namespaces_and_options_count() {
    let namespace = "---\nkind: Namespace\nmetadata: {name: shop, labels: {meshward.dev/swap: disabled}}\n";
    let output = run(&format!("{MESH}{namespace}"), &["-o", "diff"]);
    assert_eq!(out(&output), "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("label meshward.dev/swap of the namespace"));
    let text = out(&run(MESH, &["--wait-timeout", "20", "--wait-exit-code", "126"]));
    assert!(text.contains("- --timeout=20\n        - --exit-code=126\n"), "{text}");
    assert_eq!(run(MESH, &["--wait-timeout", "0"]).status.code(), Some(2));
}
