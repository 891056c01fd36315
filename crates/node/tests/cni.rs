//! The compiled plugin as a runtime runs it: environment and standard input in, a result and an exit status out, with the
//! agent's end of the socket in this process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use meshward_node::cni::{Server, ServerSettings};
use meshward_node::located::{Located, Notice, Outcome, Sighting, Source};
use serde_json::{Value, json};
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

const ENVIRONMENT: [(&str, &str); 5] = [
    ("CNI_CONTAINERID", "sandbox-1"),
    ("CNI_NETNS", "/run/netns/cni-of-a-test"),
    ("CNI_IFNAME", "eth0"),
    ("CNI_PATH", "/opt/cni/bin"),
    ("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=uid-1"),
];

fn previous() -> Value {
    json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "sandbox": "/run/netns/cni-of-a-test"}],
        "ips": [{"address": "10.1.0.7/24", "interface": 0}, {"address": "fd00::7/64"}],
        "dns": {},
    })
}

fn config(socket: &Path) -> Value {
    json!({
        "cniVersion": "1.0.0",
        "name": "net",
        "type": "meshward-cni",
        "socket": socket,
        "timeoutSeconds": 20,
        "prevResult": previous(),
    })
}

async fn run(command: &str, input: &Value, changes: &[(&str, &str)]) -> Output {
    run_bytes(command, input.to_string().into_bytes(), changes).await
}

async fn run_bytes(command: &str, input: Vec<u8>, changes: &[(&str, &str)]) -> Output {
    let mut plugin = Command::new(env!("CARGO_BIN_EXE_meshward-node"));
    plugin.env_clear().envs(ENVIRONMENT).env("CNI_COMMAND", command).envs(changes.iter().copied());
    plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let worked = tokio::task::spawn_blocking(move || {
        let mut child = plugin.spawn().unwrap();
        // The plugin may end before it has read everything.
        let _ = child.stdin.take().unwrap().write_all(&input);
        child.wait_with_output().unwrap()
    });
    worked.await.unwrap()
}

fn said(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn warned(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Command, standard input, changed variables, expected code and part of the message.
type Case = (&'static str, Value, &'static [(&'static str, &'static str)], u32, &'static str);

struct Agent {
    socket: PathBuf,
    notices: mpsc::Receiver<Notice>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Agent {
    fn start(deadline: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("cni.sock");
        let (sender, notices) = mpsc::channel(8);
        let settings = ServerSettings { socket: socket.clone(), deadline };
        let stop = CancellationToken::new();
        tokio::spawn(Server::bind(&settings, sender).unwrap().run(stop.clone()));
        Self { socket, notices, stop, _folder: folder }
    }

    /// Answers the next question as the engine would.
    async fn engine(&mut self, outcome: Outcome) -> Located {
        let notice = self.notices.recv().await.unwrap();
        notice.done.unwrap().send(outcome).unwrap();
        match notice.sighting {
            Sighting::Started(located) => located,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn add_waits_for_the_engine_and_passes_the_result_on() {
    let mut agent = Agent::start(Duration::from_secs(20));
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        let mut input = config(&agent.socket);
        input["cniVersion"] = version.into();
        input["prevResult"]["cniVersion"] = version.into();
        let (output, located) = tokio::join!(run("ADD", &input, &[]), agent.engine(Outcome::Settled));
        assert!(output.status.success(), "{output:?}");
        assert_eq!(said(&output), input["prevResult"]);
        assert_eq!(warned(&output), "");
        assert_eq!((located.namespace.as_str(), located.name.as_str()), ("shop", "web"));
        assert_eq!((located.uid.as_str(), located.sandbox.as_str()), ("uid-1", "sandbox-1"));
        assert_eq!((located.ips.len(), located.source), (2, Source::Cni));
        assert_eq!(located.netns, Path::new("/run/netns/cni-of-a-test"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_in_force_is_a_warning_or_an_error_as_the_configuration_says() {
    let mut agent = Agent::start(Duration::from_secs(20));
    let why = Outcome::Later("annotation x is invalid".into());
    let mut input = config(&agent.socket);
    let (output, _) = tokio::join!(run("ADD", &input, &[]), agent.engine(why.clone()));
    assert_eq!((output.status.code(), said(&output)), (Some(0), previous()));
    assert!(warned(&output).contains("shop/web: rules are not in force yet"), "{output:?}");
    assert!(warned(&output).contains("annotation x is invalid"), "{output:?}");
    let (output, _) = tokio::join!(run("CHECK", &input, &[]), agent.engine(why.clone()));
    assert_eq!((output.status.code(), &said(&output)["code"]), (Some(1), &json!(100)));
    let (output, _) = tokio::join!(run("CHECK", &input, &[]), agent.engine(Outcome::Settled));
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 0));

    input["failClosed"] = true.into();
    let (output, _) = tokio::join!(run("ADD", &input, &[]), agent.engine(why));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        said(&output),
        json!({
            "cniVersion": "1.0.0",
            "code": 11,
            "msg": "meshward: redirection rules of pod shop/web are not in force",
            "details": "annotation x is invalid",
        })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_agent_pods_start_unless_they_may_not_and_always_end() {
    let folder = tempfile::tempdir().unwrap();
    let mut input = config(&folder.path().join("cni.sock"));
    input["cniVersion"] = "1.1.0".into();
    for command in ["ADD", "CHECK", "DEL", "GC", "STATUS"] {
        let output = run(command, &input, &[]).await;
        assert!(output.status.success(), "{command}: {output:?}");
        let expected = if command == "GC" { "" } else { "is the agent running?" };
        assert!(warned(&output).contains(expected), "{command}: {output:?}");
    }
    input["failClosed"] = true.into();
    for (command, code) in [("ADD", 11), ("CHECK", 11), ("STATUS", 50)] {
        let output = run(command, &input, &[]).await;
        assert_eq!((output.status.code(), &said(&output)["code"]), (Some(1), &json!(code)), "{command}");
    }
    for input in [input.to_string(), "nonsense".to_owned(), String::new()] {
        for command in ["DEL"] {
            let output = run_bytes(command, input.clone().into_bytes(), &[]).await;
            assert!(output.status.success() && output.stdout.is_empty(), "{command}: {output:?}");
        }
    }
    let output = run_bytes("DEL", vec![b' '; 5 << 20], &[("CNI_CONTAINERID", "")]).await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_silent_agent_holds_a_pod_no_longer_than_it_may() {
    let agent = Agent::start(Duration::from_secs(20));
    let mut input = config(&agent.socket);
    input["timeoutSeconds"] = json!(0.3);
    let began = Instant::now();
    let output = run("ADD", &input, &[]).await;
    assert!(output.status.success() && warned(&output).contains("not done in time"), "{output:?}");

    let folder = tempfile::tempdir().unwrap();
    let silent = folder.path().join("silent.sock");
    let _listener = UnixListener::bind(&silent).unwrap();
    input["socket"] = silent.to_str().unwrap().into();
    let output = run("ADD", &input, &[]).await;
    assert!(output.status.success() && warned(&output).contains("did not answer within"), "{output:?}");
    assert!(began.elapsed() < Duration::from_secs(15));
}

#[tokio::test(flavor = "multi_thread")]
async fn del_tells_the_agent_and_a_stopping_agent_answers_at_once() {
    let mut agent = Agent::start(Duration::from_secs(20));
    let input = config(&agent.socket);
    let output = run("DEL", &input, &[]).await;
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    let told = agent.notices.recv().await.unwrap();
    assert_eq!(told.sighting, Sighting::Stopped { sandbox: "sandbox-1".into() });

    let stop = async {
        let notice = agent.notices.recv().await.unwrap();
        agent.stop.cancel();
        notice
    };
    let (output, _held) = tokio::join!(run("ADD", &input, &[]), stop);
    assert!(output.status.success() && warned(&output).contains("the agent is stopping"), "{output:?}");
    assert!(!agent.socket.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgraded_agent_takes_the_socket_over_and_the_old_one_leaves_it() {
    let old = Agent::start(Duration::from_secs(20));
    let (sender, mut notices) = mpsc::channel(8);
    let settings = ServerSettings { socket: old.socket.clone(), deadline: Duration::from_secs(20) };
    let new = Server::bind(&settings, sender).unwrap();
    tokio::spawn(new.run(CancellationToken::new()));
    old.stop.cancel();
    let output = run("DEL", &config(&old.socket), &[]).await;
    assert_eq!(warned(&output), "");
    assert!(matches!(notices.recv().await.unwrap().sighting, Sighting::Stopped { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn version_needs_no_input_and_names_what_is_spoken() {
    for (input, version) in
        [("", "1.1.0"), ("{\"cniVersion\": \"0.4.0\"}", "0.4.0"), ("{\"cniVersion\": \"9\"}", "1.1.0")]
    {
        let output = run_bytes("VERSION", input.into(), &[]).await;
        let supported = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
        assert_eq!(said(&output), json!({"cniVersion": version, "supportedVersions": supported}));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_calls_are_answered_with_the_specifications_codes() {
    let good = config(Path::new("/nowhere/cni.sock"));
    let with = |key: &str, value: Value| {
        let mut changed = good.clone();
        changed[key] = value;
        changed
    };
    let without_previous = {
        let mut changed = good.clone();
        changed.as_object_mut().unwrap().remove("prevResult");
        changed
    };
    let old = with("cniVersion", "0.3.1".into());
    let cases: [Case; 17] = [
        ("BREW", good.clone(), &[], 4, "unknown CNI_COMMAND"),
        ("ADD", good.clone(), &[("CNI_CONTAINERID", "")], 4, "CNI_CONTAINERID is missing"),
        ("ADD", good.clone(), &[("CNI_CONTAINERID", "../x")], 4, "CNI_CONTAINERID"),
        ("ADD", good.clone(), &[("CNI_NETNS", "")], 4, "CNI_NETNS is missing"),
        ("CHECK", good.clone(), &[("CNI_NETNS", "relative")], 4, "CNI_NETNS"),
        ("ADD", good.clone(), &[("CNI_IFNAME", "a/b")], 4, "CNI_IFNAME"),
        ("ADD", json!("text"), &[], 6, "cannot be read"),
        ("ADD", with("cniVersion", "0.2.0".into()), &[], 1, "incompatible CNI version"),
        ("ADD", with("name", "".into()), &[], 7, "name"),
        ("ADD", with("socket", "relative".into()), &[], 7, "socket"),
        ("ADD", with("timeoutSeconds", json!(0)), &[], 7, "timeoutSeconds"),
        ("ADD", with("timeoutSeconds", json!(1e9)), &[], 7, "timeoutSeconds"),
        ("ADD", without_previous, &[], 7, "prevResult"),
        ("CHECK", old.clone(), &[], 1, "CHECK is not part of CNI 0.3.1"),
        ("GC", old.clone(), &[], 1, "GC is not part of"),
        ("STATUS", old, &[], 1, "STATUS is not part of"),
        ("ADD", good.clone(), &[("CNI_NETNS", "/proc/self/ns/net")], 8, "of the node"),
    ];
    for (command, input, changes, code, message) in cases {
        let output = run(command, &input, changes).await;
        assert_eq!(output.status.code(), Some(1), "{command} {message}: {output:?}");
        let said = said(&output);
        assert_eq!(said["code"], json!(code), "{said}");
        assert!(said["msg"].as_str().unwrap().contains(message), "{said}");
    }
    let output = run_bytes("ADD", vec![b' '; 5 << 20], &[]).await;
    assert_eq!(said(&output)["code"], json!(5));
    // No pod of Kubernetes: none of our business.
    let output = run("ADD", &good, &[("CNI_ARGS", "")]).await;
    assert_eq!((said(&output), warned(&output).as_str()), (previous(), ""));
}
