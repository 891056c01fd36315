//! What a Service is to the API server: connections go to a replica that says it is ready.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// How often replicas are asked whether they are ready.
const PROBE: Duration = Duration::from_millis(200);

/// One replica's addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backend {
    pub(crate) webhooks: SocketAddr,
    pub(crate) admin: SocketAddr,
}

pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    backends: watch::Sender<Vec<Backend>>,
    ready: watch::Receiver<Vec<Backend>>,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (backends, wanted) = watch::channel(Vec::new());
        let (tell, ready) = watch::channel(Vec::new());
        tokio::spawn(probe(wanted, tell));
        tokio::spawn(relay(listener, ready.clone()));
        Self { address, backends, ready }
    }

    pub(crate) fn add(&self, backend: Backend) {
        self.backends.send_modify(|all| all.push(backend));
    }

    pub(crate) fn remove(&self, backend: Backend) {
        self.backends.send_modify(|all| all.retain(|one| *one != backend));
    }

    /// Waits until so many replicas are ready. One that was removed does not count, whatever the last look found.
    pub(crate) async fn ready(&self, count: usize) {
        let mut ready = self.ready.clone();
        let there = |all: &Vec<Backend>| {
            let wanted = self.backends.borrow();
            all.len() == count && all.iter().all(|backend| wanted.contains(backend))
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), ready.wait_for(there)).await;
        waited.expect("replicas are ready in time").unwrap();
    }
}

async fn probe(wanted: watch::Receiver<Vec<Backend>>, ready: watch::Sender<Vec<Backend>>) {
    loop {
        let mut found = Vec::new();
        let all = wanted.borrow().clone();
        for backend in all {
            if get(backend.admin, "/readyz").await.is_some_and(|answer| answer.starts_with("HTTP/1.1 200")) {
                found.push(backend);
            }
        }
        ready.send_if_modified(|now| {
            let news = *now != found;
            *now = found;
            news
        });
        tokio::time::sleep(PROBE).await;
    }
}

async fn relay(listener: TcpListener, ready: watch::Receiver<Vec<Backend>>) {
    let next = Arc::new(AtomicUsize::new(0));
    while let Ok((mut near, _)) = listener.accept().await {
        let all = ready.borrow().clone();
        if all.is_empty() {
            continue;
        }
        let backend = all[next.fetch_add(1, Ordering::Relaxed) % all.len()];
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(backend.webhooks).await else { return };
            let _ = near.set_nodelay(true).and(far.set_nodelay(true));
            drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
        });
    }
}

/// The whole answer of a plain HTTP request; `None` if there is none.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Option<String> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        Some(answer)
    };
    tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?
}
