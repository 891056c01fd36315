//! `meshward status` against a real unix socket and a real TCP port: what it prints, and how it ends.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

fn status(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshward"));
    for variable in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HOME"] {
        command.env_remove(variable);
    }
    command.arg("status").args(arguments).output().expect("meshward runs")
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Reads a request's head.
fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

fn answer(stream: &mut impl Write, status: &str, body: &str) {
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    // A client that has what it wanted may be gone.
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

/// An agent's socket that answers once.
fn agent(path: &Path, answered: &'static str, body: String) -> std::thread::JoinHandle<String> {
    let listener = UnixListener::bind(path).expect("binds");
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a client");
        let request = head(&mut stream);
        answer(&mut stream, answered, &body);
        request
    })
}

fn record(name: &str, phase: &str, more: Value) -> Value {
    let mut record = json!({
        "namespace": "shop", "name": name, "uid": name, "phase": phase, "reason": format!("{name} is {phase}"),
    });
    json_patch::merge(&mut record, &more);
    record
}

fn node(ready: bool, pods: Value) -> String {
    let condition =
        json!({"name": "locator", "required": true, "holds": ready, "reason": "no runtime socket was found"});
    json!({"node": "worker-1", "version": "0.1.0", "ready": ready, "conditions": [condition], "pods": pods})
        .to_string()
}

#[test]
fn a_node_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let rules = json!({"mesh": "istio", "backend": "nft", "locked": true, "source": "nri", "repairs": 2});
    let server = agent(&path, "200 OK", node(true, json!([record("web-0", "redirected", rules)])));
    let (code, out, err) = told(&status(&["--socket", &path.display().to_string()]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let expected = "\
node worker-1, agent 0.1.0: ready

POD         STATE       MESH   RULES        BY   REPAIRS  REASON
shop/web-0  redirected  istio  nft, locked  nri  2        web-0 is redirected
";
    assert_eq!(out, expected);
    assert!(server.join().unwrap().starts_with("GET /v1/pods HTTP/1.1\r\n"));
}

#[test]
fn a_node_that_needs_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let pods = json!([
        record("web-0", "redirected", json!({})),
        record("web-1", "refused", json!({"reason": "bad\u{1b}[31m\nvalue"})),
    ]);
    let server = agent(&path, "200 OK", node(false, pods));
    let (code, out, err) = told(&status(&["--socket", &path.display().to_string()]));
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let expected = "\
node worker-1, agent 0.1.0: not ready
  missing locator: no runtime socket was found

POD         STATE       MESH  RULES  BY  REPAIRS  REASON
shop/web-1  refused                      0        bad [31m value
shop/web-0  redirected                   0        web-0 is redirected
";
    assert_eq!(out, expected);
    server.join().unwrap();
}

#[test]
fn forms() {
    let folder = tempfile::tempdir().unwrap();
    for (form, begins) in [("json", "{\n  \"node\": \"worker-1\""), ("yaml", "node: worker-1\n")] {
        let path = folder.path().join(form);
        let server = agent(&path, "200 OK", node(true, json!([record("web-0", "waiting", json!({}))])));
        let (code, out, _) = told(&status(&["-o", form, "--socket", &path.display().to_string()]));
        assert!(out.starts_with(begins), "{out}");
        assert_eq!(code, Some(1), "somebody waits");
        server.join().unwrap();
    }
}

#[test]
fn an_agent_that_cannot_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let shown = path.display().to_string();
    let ask = || told(&status(&["--socket", &shown]));

    let (code, out, err) = ask();
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains(&format!("cannot reach the agent at {shown}: No such file")), "{err}");
    assert!(err.contains("(does an agent run on this node?)"), "{err}");

    drop(UnixListener::bind(&path).unwrap());
    let (code, _, err) = ask();
    assert_eq!(code, Some(3));
    assert!(err.contains("(the agent that made it has ended)"), "{err}");

    for (answered, body, part) in [
        ("404 Not Found", "", "did not answer: it says 404 Not Found"),
        ("200 OK", "{}", "is no agent, or one of another version: missing field `node`"),
    ] {
        std::fs::remove_file(&path).unwrap();
        let server = agent(&path, answered, body.into());
        let (code, _, err) = ask();
        assert_eq!(code, Some(3));
        assert!(err.contains(part), "{err}");
        server.join().unwrap();
    }
}

#[test]
fn a_cluster_that_cannot_be_asked() {
    let (code, out, err) = told(&status(&[]));
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("no cluster configured: KUBECONFIG is not set"), "{err}");

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let missing = told(&status(&["--kubeconfig", &config.display().to_string()]));
    assert_eq!(missing.0, Some(3));
    assert!(missing.2.contains(&format!("cannot use the kubeconfig {}", config.display())), "{}", missing.2);

    std::fs::write(&config, kubeconfig("http://127.0.0.1:1")).unwrap();
    let (code, _, err) = told(&status(&["--kubeconfig", &config.display().to_string()]));
    assert_eq!(code, Some(3));
    assert!(err.contains("cannot list the pods of the cluster: the API server cannot be reached"), "{err}");
}

fn kubeconfig(server: &str) -> String {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {}}],
    })
    .to_string()
}

/// Whoever may only see one namespace still learns of its pods.
#[test]
fn what_may_not_be_listed_is_told_and_left_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let task = std::thread::spawn(move || {
        let mut requests = Vec::new();
        while requests.len() < 3 {
            let (mut stream, _) = listener.accept().expect("a client");
            loop {
                let request = head(&mut stream);
                let Some(line) = request.lines().next() else { break };
                let denied = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 403,
                    "reason": "Forbidden", "message": "User \"dev\" cannot list resource"});
                let pod = json!({"metadata": {"name": "web-0", "namespace": "shop", "creationTimestamp": "2026-01-01T00:00:00Z",
                    "annotations": {"meshward.dev/status": record("web-0", "waiting", json!({})).to_string()}},
                    "spec": {"nodeName": "n1", "containers": []}});
                if line.contains("/namespaces/shop/pods") {
                    let list = json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": [pod]});
                    answer(&mut stream, "200 OK", &list.to_string());
                } else {
                    answer(&mut stream, "403 Forbidden", &denied.to_string());
                }
                requests.push(line.to_string());
                if requests.len() == 3 {
                    break;
                }
            }
        }
        requests
    });
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    std::fs::write(&config, kubeconfig(&server)).unwrap();
    let (code, out, err) = told(&status(&["-n", "shop", "--kubeconfig", &config.display().to_string()]));
    assert_eq!(code, Some(1), "{err}");
    let expected = [
        "   POD         STATE    MESH  NODE  REASON\n",
        "!  shop/web-0  waiting        n1    web-0 is waiting\n",
    ]
    .concat();
    assert_eq!(out, expected, "{err}");
    for what in ["list the agents", "list the nodes"] {
        assert!(err.contains(&format!("cannot {what}: denied: User \"dev\" cannot list resource")), "{err}");
    }
    assert_eq!(task.join().unwrap().len(), 3);
}
