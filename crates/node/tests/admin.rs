//! The agent's unix socket, asked as `meshward status` asks it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use meshward_kit::admin::Readiness;
use meshward_mesh::{NodeStatus, Phase, PodRecord};
use meshward_node::admin::{Pages, SocketConditions, router, serve_socket};
use meshward_node::settings::{Invocation, Reloader, SettingValue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

async fn get(path: &std::path::Path, page: &str) -> String {
    let mut stream = UnixStream::connect(path).await.expect("connects");
    let request = format!("GET {page} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    answer.split_once("\r\n\r\n").expect("a head").1.to_string()
}

fn record() -> PodRecord {
    serde_json::from_value(serde_json::json!({
        "namespace": "shop", "name": "web-0", "uid": "1", "phase": "redirected", "reason": "rules in force",
    }))
    .expect("a record")
}

fn holds(readiness: &Readiness, name: &str) -> bool {
    readiness.report().conditions.iter().all(|one| one.name != name || one.holds)
}

#[tokio::test]
async fn a_folder_that_takes_no_socket_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let readiness = Readiness::new();
    let conditions = SocketConditions {
        served: readiness.advise("admin-socket"),
        folder: readiness.require("run-folder", "not made yet"),
    };
    let token = CancellationToken::new();
    let task = serve_socket(file.join("admin.sock"), axum::Router::new(), conditions, token.clone());
    let task = tokio::spawn(task);
    let told = async {
        while !readiness.report().to_string().contains("missing run-folder: cannot listen on") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, told).await.expect("it says that it cannot");
    assert!(!readiness.report().ready && !holds(&readiness, "admin-socket"));
    token.cancel();
    tokio::time::timeout(SOON, task).await.unwrap().unwrap();
}

#[tokio::test]
async fn tells_pods_and_settings() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let environment = BTreeMap::from([(OsString::from("NODE_NAME"), OsString::from("worker-1"))]);
    let invocation = Invocation::parse([OsString::from("meshward-node")], environment).unwrap();
    let reloader = Reloader::new(invocation.clone(), invocation.load().unwrap());
    let readiness = Readiness::new();
    readiness.require("pods", "the first list has not come yet");
    let conditions = SocketConditions {
        served: readiness.advise("admin-socket"),
        folder: readiness.require("run-folder", "not made yet"),
    };
    let pages = Pages {
        node: "worker-1".into(),
        readiness: readiness.clone(),
        records: Arc::new(|| vec![Arc::new(record())]),
        values: reloader.values(),
    };

    // The old agent still answers there: the new one takes over when it has gone.
    let old = meshward_kit::admin::bind_unix(&path).await.unwrap();
    let token = CancellationToken::new();
    let task = tokio::spawn(serve_socket(path.clone(), router(pages), conditions, token.clone()));
    let failed = |holds: bool| {
        let readiness = readiness.clone();
        async move {
            while readiness
                .report()
                .conditions
                .iter()
                .any(|one| one.name == "admin-socket" && one.holds != holds)
            {
                tokio::task::yield_now().await;
            }
        }
    };
    tokio::time::timeout(SOON, failed(false)).await.expect("it says that it cannot");
    // An agent that is not ready because of that would never be waited for.
    assert!(holds(&readiness, "run-folder"));
    drop(old);
    tokio::time::timeout(SOON, failed(true)).await.expect("it takes over");

    let status: NodeStatus = serde_json::from_str(&get(&path, "/v1/pods").await).unwrap();
    assert_eq!((status.node.as_str(), status.ready), ("worker-1", false));
    assert_eq!(status.pods[0].phase, Phase::Redirected);
    let missing = status.conditions.iter().find(|one| !one.holds).unwrap();
    assert_eq!((missing.name.as_str(), missing.reason.as_str()), ("pods", "the first list has not come yet"));
    let settings: Vec<SettingValue> = serde_json::from_str(&get(&path, "/v1/settings").await).unwrap();
    assert!(settings.iter().any(|one| one.name == "node-name" && one.value == "worker-1"));

    token.cancel();
    tokio::time::timeout(SOON, task).await.unwrap().unwrap();
    assert!(!path.exists());
}
