//! Wrong input, word for word: each message says what is wrong, where, what was found and what is accepted, with the exit
//! code that scripts rely on. The inputs stand beside the transcripts, in `tests/cmd/*.in`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use meshward_netlab::{Bed, Layout};

use crate::block::{cases, enter_workspace, meshward};

#[test]
fn wrong_input_is_refused_in_these_words() {
    enter_workspace();
    cases().case("crates/cli/tests/cmd/*.trycmd").run();
}

/// Ends with 3: the namespace is right, but this user may not enter it.
#[test]
fn what_is_not_permitted_ends_with_three() {
    let Some(bed) = Bed::or_skip(Layout::ipv4()).expect("a bed") else { return };
    let program = env!("CARGO_BIN_EXE_meshward");
    let path = bed.pod.path().display().to_string();
    // Opened while still privileged, entered without.
    let script = format!(
        "exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin {program} program --netns {path} istio"
    );
    let output = Command::new("sh").args(["-c", &script]).output().expect("sh runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(told.contains("permission denied (is CAP_SYS_ADMIN granted?)"), "{told}");
}

/// Nothing is programmed when the input is wrong, and what was in force stays in force.
#[test]
fn wrong_input_changes_nothing() {
    enter_workspace();
    let Some(bed) = Bed::or_skip(Layout::ipv4()).expect("a bed") else { return };
    let path = bed.pod.path().display().to_string();
    let program = |words: &[&str]| meshward(&[&["program", "--netns", &path], words].concat());
    let pod = ["pod", "examples/pods/istio.yaml"];
    assert_eq!(program(&pod).status.code(), Some(0));
    let rules = || bed.pod.command("nft", &["list", "ruleset"], "").expect("nft lists");
    let before = rules();
    assert!(before.contains("meshward_istio"), "{before}");
    for wrong in [
        &["istio", "--istio-inbound-ports", "70000"][..],
        &["linkerd", "--subnets-to-ignore", "10.0.0.0/33"],
        &["--expect-ip", "192.0.2.77", "linkerd"],
        &["pod", "Cargo.toml"],
        &["pod", "examples/pods/none.yaml"],
    ] {
        let output = program(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}: {output:?}");
    }
    assert_eq!(rules(), before);
}

/// What `--watch` prints, as docs/program.md shows it: who changed what. It ends with the test.
#[test]
fn a_watch_tells_what_it_puts_right() {
    enter_workspace();
    let Some(bed) = Bed::or_skip(Layout::ipv4()).expect("a bed") else { return };
    let path = bed.pod.path().display().to_string();
    let words = ["program", "--netns", &path, "--watch", "--lock", "off", "pod", "examples/pods/istio.yaml"];
    let mut watch = Command::new(env!("CARGO_BIN_EXE_meshward"))
        .args(words)
        .stdout(Stdio::piped())
        .spawn()
        .expect("meshward runs");
    let output = BufReader::new(watch.stdout.take().expect("its output"));
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let line = || lines.recv_timeout(Duration::from_secs(30)).expect("one more line");
    assert!(line().contains("21 rules of istio put in force and read back (nft, not locked)"));
    assert_eq!(line(), "watching; Ctrl-C ends this, the rules stay in force");
    bed.pod
        .command("nft", &["flush", "chain", "inet", "meshward_istio", "nat_redirect"], "")
        .expect("nft flushes");
    let told = line();
    assert!(told.contains("changed by nft (pid ") && told.contains("repaired in "), "{told}");
    assert_eq!(line(), "table inet meshward_istio");
    assert_eq!(line(), "  chain nat_redirect");
    assert!(line().ends_with("redirect to :15001  [out.redirect]"));
    watch.kill().and_then(|()| watch.wait()).expect("it ends");
    let check = meshward(&["program", "--netns", &path, "--check", "pod", "examples/pods/istio.yaml"]);
    assert_eq!(check.status.code(), Some(0), "{check:?}");
}
