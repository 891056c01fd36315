//! The demonstration as users start it: as root, as an ordinary user, and interrupted in the middle. It needs no other
//! program, so it is run with an empty environment.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

const PROGRAM: &str = env!("CARGO_BIN_EXE_meshward");
/// `nobody` everywhere.
const NOBODY: u32 = 65534;

fn demo(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("demo").env_clear().stdin(Stdio::null());
    command
}

/// What it told, when it could run at all.
fn told(output: &Output) -> Option<String> {
    let errors = String::from_utf8_lossy(&output.stderr);
    if output.status.code() == Some(3) && errors.contains("it needs root") {
        meshward_netlab::skipped("needs CAP_NET_ADMIN");
        return None;
    }
    assert_eq!(output.status.code(), Some(0), "{errors}\n{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(errors, "");
    Some(String::from_utf8(output.stdout.clone()).unwrap())
}

/// One line a fact, however it was broken into lines.
fn facts(text: &str) -> Vec<String> {
    let mut facts: Vec<String> = Vec::new();
    for line in text.lines() {
        let words = line.split_whitespace().collect::<Vec<_>>().join(" ");
        match facts.last_mut() {
            Some(last) if line.starts_with("               ") => *last = format!("{last} {words}"),
            _ => facts.push(words),
        }
    }
    facts
}

/// How many facts hold all of these texts.
fn count(facts: &[String], texts: &[&str]) -> usize {
    facts.iter().filter(|fact| texts.iter().all(|text| fact.contains(text))).count()
}

fn check_common(text: &str) {
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a pipe");
    let facts = facts(text);
    for (times, texts) in [
        (1, &["istio-init pid ", "CapEff 0000000000003000 (NET_ADMIN NET_RAW)"][..]),
        (1, &["web pid ", "CapEff 0000000000000000 (none)"]),
        (1, &["istio-proxy pid ", "CapEff 0000000000000000 (none)"]),
        (1, &["in force", "rules in table inet meshward_istio", "ms by nft"]),
        (1, &["read back every rule is as meant"]),
        (1, &["captured on port 15001, original destination 203.0.113.10:80"]),
        (1, &["captured on port 15006, original destination 10.244.1.7:8080"]),
        (1, &["passed on by istio-proxy", "to web, which saw 127.0.0.6:"]),
        (1, &["calls 203.0.113.10:80; server answers", "no proxy on the way"]),
        (1, &["calls 203.0.113.10:5432; server answers", "no proxy on the way"]),
        (1, &["tampering debugger deletes the rule out.redirect"]),
        (1, &["missing", "redirect to :15001 [out.redirect]"]),
        (1, &["missing - the table is not there"]),
        (2, &["noticed", "debugger"]),
        (2, &["repaired", "ms after the tampering began"]),
        (1, &["removed table inet meshward_istio"]),
        (1, &["goes straight again"]),
        (1, &["gone no process is left in either namespace"]),
    ] {
        assert_eq!(count(&facts, texts), times, "{texts:?} in\n{text}");
    }
    let refused = count(&facts, &["refused table inet meshward_istio is locked"]);
    let no_lock = count(&facts, &["left out", "lock"]);
    assert!((refused, no_lock) == (2, 0) || (refused, no_lock) == (0, 1), "{text}");
}

#[test]
fn whoever_may_do_everything_sees_the_whole_story() {
    let output = demo(Path::new(PROGRAM)).output().unwrap();
    let Some(text) = told(&output) else { return };
    check_common(&text);
    if !meshward_netlab::can_switch_users() {
        meshward_netlab::skipped("needs other users' ids");
        return;
    }
    let facts = facts(&text);
    assert_eq!(count(&facts, &["web pid ", "uid 1000 "]), 1, "{text}");
    assert_eq!(count(&facts, &["istio-proxy pid ", "uid 1337 "]), 1, "{text}");
    let passed_on =
        ["passed on by istio-proxy (uid 1337) from", "to 203.0.113.10:80, and not captured again"];
    assert_eq!(count(&facts, &passed_on), 1, "{text}");
    let outbound = count(&facts, &["captured on port 15001, original"]);
    assert_eq!(count(&facts, &["answered by server"]), outbound, "{text}");
}

/// A copy of the program that everybody can run, wherever it was built.
fn copy_for_all() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = folder.path().join("meshward");
    fs::copy(PROGRAM, &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, program)
}

/// A child that another test is just starting may still hold the copy open for writing; until it runs its own program
/// the kernel refuses to run the copy.
fn start_copy(start: impl Fn() -> std::io::Result<Output>) -> Output {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        match start() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < deadline => {
                std::thread::yield_now();
            }
            started => return started.unwrap(),
        }
    }
}

#[test]
fn an_ordinary_user_sees_it_in_a_user_namespace() {
    if !meshward_netlab::can_switch_users() {
        meshward_netlab::skipped("needs other users' ids");
        return;
    }
    let (_folder, program) = copy_for_all();
    let output = start_copy(|| demo(&program).uid(NOBODY).gid(NOBODY).output());
    let Some(text) = told(&output) else { return };
    assert!(text.contains("Run as an ordinary user, in a user namespace of its own"), "{text}");
    check_common(&text);
}

/// A demonstration that waits before its third step, with the processes and namespaces it has told of by then.
fn halfway() -> Option<(Child, Vec<u32>, Vec<u64>)> {
    let mut command = demo(Path::new(PROGRAM));
    command.arg("--step").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // The answer to the question before the second step; the one before the third is never given.
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let mut told = Vec::new();
    // A question is the end of what is told until it is answered: no line follows.
    while String::from_utf8_lossy(&told).matches("(Enter)").count() < 2 {
        let mut chunk = [0; 4096];
        match stdout.read(&mut chunk).unwrap() {
            0 => {
                let mut errors = String::new();
                child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                assert!(errors.contains("it needs root"), "{errors}");
                meshward_netlab::skipped("needs CAP_NET_ADMIN");
                child.wait().unwrap();
                return None;
            }
            read => told.extend_from_slice(&chunk[..read]),
        }
    }
    let told = String::from_utf8(told).unwrap();
    let numbers = |mark: &str| -> Vec<u64> {
        let after = told.split(mark).skip(1);
        after.map(|rest| rest.split([' ', ']']).next().unwrap().parse().unwrap()).collect()
    };
    let pids = numbers(" pid ").into_iter().map(|pid| u32::try_from(pid).unwrap()).collect();
    Some((child, pids, numbers("net:[")))
}

fn is_running(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("--actor"))
}

fn is_inhabited(inode: u64) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .map(|entry| entry.path().join("ns/net"))
        .any(|path| fs::metadata(path).is_ok_and(|m| m.ino() == inode))
}

/// Whether whoever started the tests ignores Ctrl-C, as shells do for what runs in the background; children inherit it.
fn ignores_interrupts() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (Signal::INT.as_raw() - 1)) != 0
}

#[test]
fn interrupted_it_leaves_nothing() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        if signal == Signal::INT && ignores_interrupts() {
            meshward_netlab::skipped("Ctrl-C, which whoever runs the tests ignores");
            continue;
        }
        let Some((mut child, pids, inodes)) = halfway() else { return };
        assert_eq!((pids.len(), inodes.len()), (3, 2), "istio-init, web and istio-proxy; pod and peer");
        assert_eq!(pids.iter().filter(|pid| is_running(**pid)).count(), 2, "istio-init has ended");
        assert!(inodes.iter().all(|inode| is_inhabited(*inode)));
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert!(!child.wait().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(10);
        while pids.iter().any(|pid| is_running(*pid)) || inodes.iter().any(|inode| is_inhabited(*inode)) {
            assert!(Instant::now() < deadline, "after {signal:?}, {pids:?} or {inodes:?} are still there");
            std::thread::yield_now();
        }
    }
}
