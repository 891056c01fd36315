//! `meshward check` and `meshward jp` from the outside: the peers' suites through the program, and files that are hostile
//! as a whole.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_meshward");

fn meshward(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).stdin(Stdio::null()).output().unwrap()
}

/// A folder of the peers' suites, where it is there.
fn suites(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("MESHWARD_SUITES")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"), PathBuf::from);
    let folder = root.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    meshward_netlab::skipped("no suites of the peers here");
    None
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut entries: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), path))
        .collect();
    entries.sort();
    entries
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

#[test]
fn pod_security_fixtures_pass_and_fail_as_their_folders_say() {
    let Some(root) = suites("psa") else { return };
    let mut count = 0;
    for (level, folder) in entries(&root) {
        for (version, folder) in entries(&folder) {
            for (expected, folder) in entries(&folder) {
                let files = entries(&folder);
                let path = folder.to_str().unwrap();
                let words = ["check", "--level", &level, "--version", &version, "-o", "json", path];
                let output = meshward(&words);
                let code = if expected == "pass" { 0 } else { 1 };
                assert_eq!(
                    output.status.code(),
                    Some(code),
                    "{path}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                let objects = json(&output);
                assert_eq!(objects.as_array().unwrap().len(), files.len(), "{path}");
                for (object, (name, file)) in objects.as_array().unwrap().iter().zip(&files) {
                    assert_eq!(object["file"], file.to_str().unwrap());
                    assert_eq!(object["allowed"], expected == "pass", "{name}");
                    assert_eq!(object["violations"] == json!([]), expected == "pass", "{name}");
                }
                count += files.len();
            }
        }
    }
    assert!(count >= 100, "only {count} fixtures found");
}

/// Equal as JMESPath compares: 1 and 1.0 are the same number.
fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| equal(a, b)))
        }
        (a, b) => a == b,
    }
}

#[test]
fn jmespath_suite_holds_at_the_command_line() {
    let Some(root) = suites("jmespath") else { return };
    let folder = tempfile::tempdir().unwrap();
    let input = folder.path().join("given.json");
    let input_name = input.to_str().unwrap();
    let (mut results, mut errors) = (0, 0);
    for (name, path) in entries(&root) {
        let groups: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for group in &groups {
            // An object around it: a document that is null is none.
            fs::write(&input, json!({ "given": group["given"] }).to_string()).unwrap();
            let cases = group["cases"].as_array().unwrap();
            let good: Vec<(&str, &Value)> = cases
                .iter()
                .filter(|case| case.get("result").is_some())
                .map(|case| (case["expression"].as_str().unwrap(), &case["result"]))
                .collect();
            let expressions: Vec<String> = good.iter().map(|(text, _)| format!("given | {text}")).collect();
            let mut words = vec!["jp", "query", "--standard", "-c", "-i", input_name, "--"];
            words.extend(expressions.iter().map(String::as_str));
            let output = meshward(&words);
            if !good.is_empty() {
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{name}: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            let mut rest = std::str::from_utf8(&output.stdout).unwrap();
            for ((_, expected), expression) in good.iter().zip(&expressions) {
                rest = rest
                    .strip_prefix(&format!("# {expression}\n"))
                    .unwrap_or_else(|| panic!("{expression}: {rest}"));
                let (line, after) = rest.split_once('\n').unwrap();
                let found: Value = serde_json::from_str(line).unwrap();
                assert!(equal(&found, expected), "{name}: {expression}: expected {expected}, found {found}");
                (rest, results) = (after, results + 1);
            }
            for case in cases.iter().filter(|case| case.get("error").is_some()) {
                let expression = case["expression"].as_str().unwrap();
                // In parentheses a broken expression stays one.
                let whole = format!("given | ({expression})");
                let output = meshward(&["jp", "query", "--standard", "-i", input_name, "--", &whole]);
                assert_eq!(output.status.code(), Some(2), "{name}: {expression}");
                assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{name}: {expression}");
                errors += 1;
            }
        }
    }
    println!("{results} results, {errors} errors");
    assert!(results >= 500 && errors >= 100, "only {results} results and {errors} errors found");
}

/// What the meshes' own injectors write is read, list items that are null and files without an object aside.
#[test]
fn injected_manifests_are_checked() {
    let Some(root) = suites("pods") else { return };
    // By name: most of them end in what no folder would be searched for.
    let files: Vec<PathBuf> =
        entries(&root).iter().flat_map(|(_, folder)| entries(folder)).map(|(_, f)| f).collect();
    let mut words = vec!["check", "--level", "restricted", "-o", "json"];
    words.extend(files.iter().map(|file| file.to_str().unwrap()));
    let output = meshward(&words);
    let told = String::from_utf8_lossy(&output.stderr);
    for line in told.lines().filter(|line| line.starts_with("error:")) {
        assert!(line.contains("found null") || line.contains("no document"), "{line}");
    }
    assert!(json(&output).as_array().unwrap().len() > 60, "{told}");
}

const POD: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: a}]}\n";

/// A hundred megabytes of documents cost the memory of a few. The allocator gives back at once what was freed: how
/// much it keeps for some milliseconds depends on what else the machine does, and is not what streaming is about.
#[test]
fn a_large_file_streams() {
    let mut child = Command::new(PROGRAM)
        .env("MIMALLOC_PURGE_DELAY", "0")
        .args(["check", "--level", "baseline", "-o", "json", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let line = format!("    {}\n", "x".repeat(120));
    let data = line.repeat((1 << 20) / line.len());
    let map =
        format!("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: big}}\ndata:\n  text: |\n{data}");
    for _ in 0..100 {
        stdin.write_all(map.as_bytes()).unwrap();
    }
    // All but what is in the pipe and the reader's block has been read by now.
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    stdin.write_all(format!("---\n{POD}").as_bytes()).unwrap();
    drop(stdin);
    let mut out = String::new();
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let objects: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(objects.as_array().unwrap().len(), 1);
    assert_eq!(objects[0]["allowed"], true);
    println!("{kilobytes} kB");
    assert!(kilobytes < 60 << 10, "{kilobytes} kB for documents of one megabyte");
}

#[test]
fn a_folder_that_cannot_be_listed_is_no_empty_one() {
    const NOBODY: u32 = 65534;
    if !meshward_netlab::can_switch_users() {
        meshward_netlab::skipped("needs other users' ids");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (closed, open) = (folder.path().join("closed"), folder.path().join("pod.yaml"));
    fs::create_dir(&closed).unwrap();
    fs::write(&open, POD).unwrap();
    let program = folder.path().join("meshward");
    fs::copy(PROGRAM, &program).unwrap();
    for (path, mode) in [(folder.path(), 0o755), (&program, 0o755), (&closed, 0o700)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let output = Command::new(&program)
        .args(["check", "--level", "baseline", folder.path().to_str().unwrap(), "-o", "json"])
        .uid(NOBODY)
        .gid(NOBODY)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(told.contains("closed: cannot list the folder: Permission denied"), "{told}");
    assert_eq!(json(&output)[0]["allowed"], true, "the rest is checked");
}

/// Whoever was faster: the output is in the order of the input.
#[test]
fn the_order_is_that_of_the_input() {
    let folder = tempfile::tempdir().unwrap();
    for file in 0..20 {
        let text: String =
            (0..file * 40).map(|pod| format!("---\n{}", POD.replace("web", &format!("p{pod}")))).collect();
        fs::write(folder.path().join(format!("{file:02}.yaml")), text + POD).unwrap();
    }
    let run = || meshward(&["check", "--level", "restricted", "-o", "json", folder.path().to_str().unwrap()]);
    let first = run();
    let objects = json(&first);
    let keys: Vec<(String, u64)> = objects
        .as_array()
        .unwrap()
        .iter()
        .map(|object| (object["file"].as_str().unwrap().to_owned(), object["line"].as_u64().unwrap()))
        .collect();
    assert!(keys.len() > 7000 && keys.is_sorted());
    assert_eq!(first.stdout, run().stdout);
}
