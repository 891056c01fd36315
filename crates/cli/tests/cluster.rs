//! `meshward apply --cluster`: against an API server of the test's own, which answers what a real one would, and against
//! a real one where `MESHWARD_TEST_KUBECONFIG` names it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its output has failed")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// Answers by path, the query left out but for `continue`.
type Answers = BTreeMap<String, (u16, Value)>;

/// An API server, its kubeconfig, and what it was asked.
struct Server {
    folder: tempfile::TempDir,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answers, log) = (answers.clone(), log.clone());
                std::thread::spawn(move || serve(stream, &answers, &log));
            }
        });
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "u", "user": {}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        });
        fs::write(folder.path().join("config"), kubeconfig.to_string()).unwrap();
        Self { folder, asked }
    }

    fn file(&self, name: &str, value: &Value) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        path.display().to_string()
    }

    fn apply(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        told(&apply(&self.folder.path().join("config"), arguments))
    }

    fn count(&self, asked: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|path| *path == asked).count()
    }
}

fn serve(mut stream: TcpStream, answers: &Answers, log: &Mutex<Vec<String>>) {
    loop {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte).is_ok_and(|count| count == 1) {
                head.push(byte[0]);
            } else {
                return;
            }
        }
        let head = String::from_utf8(head).unwrap();
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).unwrap();
        let (method, path) = head.split_once(' ').unwrap();
        let path = path.split(' ').next().unwrap();
        let (bare, query) = path.split_once('?').unwrap_or((path, ""));
        let token = query.split('&').find(|part| part.starts_with("continue="));
        let asked = [method, " ", bare, token.map_or("", |_| "?"), token.unwrap_or("")].concat();
        let missing = json!({"kind": "Status", "status": "Failure", "code": 404, "message": "not found", "reason": "NotFound"});
        let (code, value) = answers.get(&asked).cloned().unwrap_or((404, missing));
        log.lock().unwrap().push(asked);
        let text = value.to_string();
        let head = format!(
            "HTTP/1.1 {code} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            text.len()
        );
        if stream.write_all(format!("{head}{text}").as_bytes()).is_err() {
            return;
        }
    }
}

fn apply(kubeconfig: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_meshward"));
    for variable in ["KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HOME"] {
        command.env_remove(variable);
    }
    command.arg("apply").args(arguments).args(["--cluster", "--kubeconfig"]).arg(kubeconfig);
    command.output().unwrap()
}

fn told(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn list(items: Value) -> (u16, Value) {
    (200, json!({"items": items, "metadata": {}}))
}

fn resources(resources: &[(&str, &str, bool)]) -> (u16, Value) {
    let resources = resources.iter().map(|(name, kind, namespaced)| {
        json!({"name": name, "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"]})
    });
    (200, json!({"resources": resources.collect::<Value>()}))
}

fn pod(namespace: &str, name: &str, image: &str) -> Value {
    // Lists leave kind and version out.
    json!({
        "metadata": {"namespace": namespace, "name": name, "uid": name, "managedFields": [{"manager": "m"}]},
        "spec": {"containers": [{"name": "c", "image": image}]},
    })
}

fn policy(name: &str, kinds: &[&str], validate: Value) -> Value {
    json!({
        "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": name},
        "spec": {"rules": [{"name": "r", "match": {"any": [{"resources": {"kinds": kinds}}]}, "validate": validate}]},
    })
}

fn latest() -> Value {
    policy(
        "latest",
        &["Pod"],
        json!({"message": "no latest", "pattern": {"spec": {"containers": [{"image": "!*:latest"}]}}}),
    )
}

/// A cluster with two pages of pods, a Deployment in two versions, and policies of its own.
fn cluster() -> Answers {
    let deployment = json!({
        "metadata": {"namespace": "shop", "name": "web"},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": "web:latest"}]}}},
    });
    let mut own = latest();
    own.as_object_mut().unwrap().retain(|name, _| name != "kind" && name != "apiVersion");
    own["status"] = json!({"ready": true});
    let exception = json!({
        "metadata": {"namespace": "shop", "name": "e"},
        "spec": {
            "exceptions": [{"policyName": "latest", "ruleNames": ["r"]}],
            "match": {"any": [{"resources": {"kinds": ["Pod"], "names": ["a"]}}]},
        },
    });
    let group = |name: &str, versions: &[&str]| {
        let version = |version: &&str| json!({"groupVersion": format!("{name}/{version}")});
        json!({"name": name, "versions": versions.iter().map(version).collect::<Value>(), "preferredVersion": version(&versions[0])})
    };
    [
        ("GET /apis", (200, json!({"groups": [group("apps", &["v1", "v1beta1"]), group("kyverno.io", &["v1", "v2"]), group("gone.example", &["v1"])]}))),
        ("GET /api/v1", resources(&[("namespaces", "Namespace", false), ("pods", "Pod", true), ("secrets", "Secret", true)])),
        ("GET /apis/apps/v1", resources(&[("deployments", "Deployment", true), ("deployments/scale", "Scale", true)])),
        ("GET /apis/apps/v1beta1", resources(&[("deployments", "Deployment", true)])),
        ("GET /apis/kyverno.io/v1", resources(&[("clusterpolicies", "ClusterPolicy", false), ("policies", "Policy", true)])),
        ("GET /apis/kyverno.io/v2", resources(&[("policyexceptions", "PolicyException", true)])),
        ("GET /apis/kyverno.io/v1/clusterpolicies", list(json!([own]))),
        ("GET /apis/kyverno.io/v1/policies", list(json!([]))),
        ("GET /apis/kyverno.io/v2/policyexceptions", list(json!([exception]))),
        ("GET /api/v1/namespaces", list(json!([{"metadata": {"name": "shop", "labels": {"tier": "gold"}}}, {"metadata": {"name": "bank"}}]))),
        ("GET /api/v1/pods", (200, json!({"items": [pod("shop", "a", "a:latest")], "metadata": {"continue": "2"}}))),
        ("GET /api/v1/pods?continue=2", list(json!([pod("bank", "b", "b:latest"), pod("bank", "c", "c:1")]))),
        ("GET /api/v1/namespaces/shop/pods", list(json!([pod("shop", "a", "a:latest")]))),
        ("GET /api/v1/namespaces/bank/pods", list(json!([pod("bank", "b", "b:latest"), pod("bank", "c", "c:1")]))),
        ("GET /apis/apps/v1/deployments", list(json!([deployment.clone()]))),
        ("GET /apis/apps/v1/namespaces/shop/deployments", list(json!([deployment]))),
        ("GET /api/v1/namespaces/shop/configmaps/limits", (200, json!({"metadata": {"name": "limits"}, "data": {"pods": "1"}}))),
        ("GET /api/v1/secrets", (403, json!({"kind": "Status", "status": "Failure", "code": 403, "message": "secrets is forbidden", "reason": "Forbidden"}))),
        ("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", (201, json!({"status": {"allowed": true}}))),
    ]
    .map(|(path, answer)| (path.to_owned(), answer))
    .into()
}

/// `kind namespace/name rule: status` of each result.
fn verdicts(printed: &str) -> Vec<String> {
    let objects: Vec<Value> =
        serde_json::from_str(printed).unwrap_or_else(|error| panic!("{error}: {printed}"));
    let mut found = Vec::new();
    for object in &objects {
        assert!(
            object["file"] == "" && object["line"].is_null(),
            "objects of a cluster stand in no file: {object}"
        );
        for result in object["results"].as_array().unwrap() {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (kind, namespace, name) =
                (text(&object["kind"]), text(&object["namespace"]), text(&object["name"]));
            found.push(format!(
                "{kind} {namespace}/{name} {}: {}",
                text(&result["rule"]),
                text(&result["status"])
            ));
        }
    }
    found
}

#[test]
fn objects_of_every_page_and_kind_are_judged_once() {
    let server = Server::start(cluster());
    let policy = server.file("policy.json", &latest());
    let (code, out, err) = server.apply(&[&policy, "-o", "json"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let all = [
        "Pod shop/a r: fail",
        "Pod bank/b r: fail",
        "Pod bank/c r: pass",
        "Deployment shop/web autogen-r: fail",
    ];
    assert_eq!(verdicts(&out), all);
    let (_, out, _) = server.apply(&[&policy, "-n", "shop", "-o", "json"]);
    assert_eq!(verdicts(&out), [all[0], all[3]]);
    let (_, out, _) = server.apply(&[&policy]);
    assert!(out.contains("Applying 3 policy rule(s) to 4 resource(s)...\n"), "{out}");
}

#[test]
fn policies_and_exceptions_of_the_cluster() {
    let server = Server::start(cluster());
    let (code, out, err) = server.apply(&["-o", "json"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    let expected = [
        "Pod shop/a r: skip",
        "Pod bank/b r: fail",
        "Pod bank/c r: pass",
        "Deployment shop/web autogen-r: fail",
    ];
    assert_eq!(verdicts(&out), expected);
    let mut without = cluster();
    without.insert("GET /apis".to_owned(), (200, json!({"groups": []})));
    let (code, _, err) = Server::start(without).apply(&[]);
    assert_eq!(code, Some(2));
    assert!(err.contains("the cluster has no kinds of kyverno.io"), "{err}");
}

#[test]
fn the_cluster_answers_what_policies_ask() {
    let server = Server::start(cluster());
    let mut asks =
        policy("asks", &["Pod"], json!({"message": "{{pods}} {{limit.data.pods}} {{may}}", "deny": {}}));
    asks["metadata"]["annotations"] = json!({"pod-policies.kyverno.io/autogen-controllers": "none"});
    asks["spec"]["rules"][0]["match"]["any"][0]["resources"]["namespaceSelector"] =
        json!({"matchLabels": {"tier": "gold"}});
    asks["spec"]["rules"][0]["context"] = json!([
        {"name": "pods", "apiCall": {"urlPath": "/api/v1/namespaces/{{request.namespace}}/pods", "jmesPath": "items | length(@) | to_string(@)"}},
        {"name": "limit", "configMap": {"name": "limits", "namespace": "shop"}},
        {"name": "may", "apiCall": {"method": "POST", "urlPath": "/apis/authorization.k8s.io/v1/subjectaccessreviews",
            "data": [{"key": "kind", "value": "SubjectAccessReview"}], "jmesPath": "to_string(status.allowed)"}},
    ]);
    let (code, out, err) = server.apply(&[&server.file("asks.json", &asks), "-o", "json"]);
    assert_eq!((code, err.as_str()), (Some(1), ""));
    assert_eq!(verdicts(&out), ["Pod shop/a r: fail"], "only the gold namespace is meant");
    assert!(out.contains("1 1 true"), "{out}");
    assert_eq!(server.count("GET /api/v1/namespaces/shop/pods"), 1);
}

#[test]
fn what_may_not_be_read_is_told_and_the_rest_is_judged() {
    let server = Server::start(cluster());
    let both = policy("both", &["Pod", "Secret"], json!({"message": "m", "deny": {}}));
    let (code, out, err) = server.apply(&[&server.file("both.json", &both), "-o", "json"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("cannot list /api/v1/secrets: denied"), "{err}");
    assert_eq!(verdicts(&out).len(), 3);
}

#[test]
fn a_cluster_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let kubeconfig = "{apiVersion: v1, kind: Config, current-context: c, clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}], users: [{name: u, user: {}}], contexts: [{name: c, context: {cluster: c, user: u}}]}";
    fs::write(&config, kubeconfig).unwrap();
    let (code, out, err) = told(&apply(&config, &[]));
    assert_eq!((code, out.as_str()), (Some(3), ""));
    assert!(err.contains("the API server cannot be reached"), "{err}");
}

/// The same on a real API server: its own objects are read, and its answers to a policy's questions.
#[test]
fn a_real_cluster_is_read() {
    let Some(config) = std::env::var_os("MESHWARD_TEST_KUBECONFIG").map(PathBuf::from) else {
        meshward_netlab::skipped("MESHWARD_TEST_KUBECONFIG names no cluster");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.json");
    let mut named = policy(
        "named",
        &["Namespace"],
        json!({"message": "{{count}}", "deny": {"conditions": {"any": [
        {"key": "{{count}}", "operator": "LessThan", "value": 3}]}}}),
    );
    named["spec"]["rules"][0]["context"] = json!([{"name": "count", "apiCall": {"urlPath": "/api/v1/namespaces", "jmesPath": "items | length(@)"}}]);
    fs::write(&path, named.to_string()).unwrap();
    let (code, out, err) = told(&apply(&config, &[&path.display().to_string(), "-o", "json"]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let found = verdicts(&out);
    for name in ["default", "kube-system"] {
        assert!(found.contains(&format!("Namespace /{name} r: pass")), "{found:?}");
    }
}
