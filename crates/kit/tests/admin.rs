//! The admin server over real sockets: what it answers, and what it does with clients that misbehave.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use meshward_kit::admin::{self, Readiness};
use meshward_kit::serve::{Limits, serve};
use prometheus_client::registry::Registry;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

struct Server {
    address: std::net::SocketAddr,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(router: Router, limits: Limits) -> Server {
    let listener = admin::bind_tcp("[::]:0".parse().expect("an address")).await.expect("a port");
    let address = ([127, 0, 0, 1], listener.local_addr().expect("bound").port()).into();
    let token = CancellationToken::new();
    let task = tokio::spawn(serve(listener, None, router, limits, token.clone()));
    Server { address, token, task }
}

impl Server {
    async fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("writes");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("reads");
        answer
    }
}

#[tokio::test]
async fn pages() {
    let readiness = Readiness::new();
    let pods = readiness.require("pods", "the first list has not come yet");
    let mut metrics = Registry::with_prefix("meshward");
    metrics.register_collector(Box::new(readiness.clone()));
    let server = start(admin::router(readiness, Arc::new(metrics)), Limits::default()).await;

    assert!(server.get("/healthz").await.starts_with("HTTP/1.1 200 OK"));
    let waiting = server.get("/readyz").await;
    assert!(waiting.starts_with("HTTP/1.1 503 "), "{waiting}");
    assert!(waiting.ends_with("not ready\nmissing pods: the first list has not come yet\n"), "{waiting}");
    let metrics = server.get("/metrics").await;
    assert!(metrics.contains("application/openmetrics-text; version=1.0.0"), "{metrics}");
    assert!(metrics.contains("meshward_condition{name=\"pods\",required=\"true\"} 0"), "{metrics}");
    assert!(metrics.ends_with("# EOF\n"), "{metrics}");

    pods.hold();
    let ready = server.get("/readyz").await;
    assert!(ready.starts_with("HTTP/1.1 200 OK") && ready.ends_with("\r\n\r\nready\n"), "{ready}");
    assert!(server.get("/metrics").await.contains("required=\"true\"} 1"));
    assert!(server.get("/nothing").await.starts_with("HTTP/1.1 404 "));

    server.token.cancel();
    tokio::time::timeout(SOON, server.task).await.expect("ends").expect("well");
}

#[tokio::test]
async fn a_client_that_says_nothing_is_let_go() {
    let limits = Limits { headers: Duration::from_millis(100), ..Limits::default() };
    let server = start(Router::new(), limits).await;
    let mut silent = TcpStream::connect(server.address).await.expect("connects");
    silent.write_all(b"GET / HTTP/1.1\r\nx: ").await.expect("writes");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(SOON, silent.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the server waits for ever");
}

#[tokio::test]
async fn more_connections_than_allowed_wait_their_turn() {
    let limits = Limits { connections: 1, ..Limits::default() };
    let server = start(Router::new().route("/", get(async || "hello")), limits).await;
    let first = TcpStream::connect(server.address).await.expect("connects");
    let second = tokio::time::timeout(Duration::from_millis(200), server.get("/")).await;
    assert!(second.is_err(), "served beside the first");
    drop(first);
    let third = tokio::time::timeout(SOON, server.get("/")).await.expect("served");
    assert!(third.ends_with("hello"), "{third}");
}

#[tokio::test]
async fn open_requests_end_before_the_server_does() {
    let (started, mut wait) = tokio::sync::mpsc::channel(1);
    let (release, released) = tokio::sync::watch::channel(false);
    let slow = async move || {
        started.send(()).await.expect("the test listens");
        released.clone().wait_for(|go| *go).await.expect("the test lives");
        "done"
    };
    let server = start(Router::new().route("/", get(slow)), Limits::default()).await;
    let token = server.token.clone();
    let task = async {
        let answer = server.get("/").await;
        (answer, server.task)
    };
    let end = async {
        wait.recv().await.expect("started");
        token.cancel();
        release.send(true).expect("the server listens");
    };
    let ((answer, task), ()) = tokio::join!(task, end);
    assert!(answer.ends_with("done"), "{answer}");
    tokio::time::timeout(SOON, task).await.expect("ends").expect("well");
}

#[tokio::test]
async fn a_request_without_end_is_cut() {
    let (started, mut wait) = tokio::sync::mpsc::channel(1);
    let stuck = async move || {
        started.send(()).await.expect("the test listens");
        std::future::pending::<()>().await;
    };
    let limits = Limits { drain: Duration::from_millis(100), ..Limits::default() };
    let server = start(Router::new().route("/", get(stuck)), limits).await;
    let mut stream = TcpStream::connect(server.address).await.expect("connects");
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.expect("writes");
    wait.recv().await.expect("started");
    server.token.cancel();
    tokio::time::timeout(SOON, server.task).await.expect("ends").expect("well");
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, stream.read_to_end(&mut rest)).await.expect("cut").ok();
}
