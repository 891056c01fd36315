//! TLS over real sockets: who is served with what, also while the files change under load.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use jiff::Timestamp;
use meshward_kit::admin::{Readiness, openmetrics};
use meshward_kit::serve::{Limits, serve};
use meshward_kit::tls::{Authority, CertificateFiles, CertificateStore, LeafPem, Pair, PairError};
use prometheus_client::registry::Registry;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(20);
const DAY: Duration = Duration::from_secs(86_400);
const NAME: &str = "meshward.meshward-system.svc";

fn authority() -> Authority {
    Authority::generate("meshward test", Timestamp::now(), 10 * DAY).expect("an authority")
}

fn leaf(authority: &Authority) -> LeafPem {
    authority.leaf(&[NAME.to_string()], Timestamp::now(), DAY).expect("a leaf")
}

fn pair(leaf: &LeafPem) -> Pair {
    Pair::from_pem(leaf.certificate.as_bytes(), leaf.key.as_bytes()).expect("a pair")
}

fn connector(trusted: &[&Authority], alpn: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for authority in trusted {
        let der = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).expect("PEM");
        roots.add(der).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    // A resumed session would not look at the certificate again.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config))
}

struct Server {
    address: std::net::SocketAddr,
    token: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

async fn start(store: &Arc<CertificateStore>, limits: Limits) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let token = CancellationToken::new();
    let router = Router::new().route("/", get(async || "hello"));
    let tls = store.server_config().expect("a configuration");
    let task = tokio::spawn(serve(listener, Some(tls), router, limits, token.clone()));
    Server { address, token, task }
}

impl Server {
    /// The certificate that is shown, once a request was answered.
    async fn ask(&self, connector: &TlsConnector) -> std::io::Result<Vec<u8>> {
        ask(self.address, connector).await
    }

    async fn end(self) {
        self.token.cancel();
        tokio::time::timeout(SOON, self.task).await.expect("ends").expect("well");
    }
}

async fn ask(address: std::net::SocketAddr, connector: &TlsConnector) -> std::io::Result<Vec<u8>> {
    let name = ServerName::try_from(NAME).expect("a name");
    let mut stream = connector.connect(name, TcpStream::connect(address).await?).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    assert!(answer.ends_with("hello"), "{answer}");
    let shown = stream.get_ref().1.peer_certificates().expect("certificates");
    Ok(shown[0].to_vec())
}

#[tokio::test]
async fn serves_both_protocols_to_those_who_trust() {
    let ours = authority();
    let store = CertificateStore::new(pair(&leaf(&ours)));
    let server = start(&store, Limits::default()).await;
    server.ask(&connector(&[&ours], b"http/1.1")).await.unwrap();
    let stranger = server.ask(&connector(&[&authority()], b"http/1.1")).await.unwrap_err();
    assert!(stranger.to_string().contains("invalid peer certificate"), "{stranger}");

    let name = ServerName::try_from(NAME).unwrap();
    let stream = TcpStream::connect(server.address).await.unwrap();
    let stream = connector(&[&ours], b"h2").connect(name, stream).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let executor = hyper_util::rt::TokioExecutor::new();
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::get(format!("https://{NAME}/"));
    let request = request.body(http_body_util::Empty::<axum::body::Bytes>::new()).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
    drop(sender);
    server.end().await;
}

#[tokio::test]
async fn a_client_that_does_not_shake_hands_is_let_go() {
    let limits = Limits { handshake: Duration::from_millis(100), ..Limits::default() };
    let server = start(&CertificateStore::new(pair(&leaf(&authority()))), limits).await;
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(SOON, silent.read_to_end(&mut rest)).await.expect("let go").unwrap();
    server.end().await;
}

#[test]
fn pairs() {
    let (ours, now) = (authority(), Timestamp::now());
    let good = leaf(&ours);
    let expires = pair(&good).expires().as_second();
    assert!((expires - now.as_second() - 86_400).abs() < 60, "{expires}");

    let kept = Authority::from_pem(ours.certificate_pem(), &ours.key_pem()).unwrap();
    let other = leaf(&kept);
    let read = |certificate: &str, key: &str| Pair::from_pem(certificate.as_bytes(), key.as_bytes());
    assert!(matches!(read(&good.certificate, &other.key), Err(PairError::Mismatch { .. })));
    assert!(matches!(read("", &good.key), Err(PairError::Certificate { .. })));
    assert!(matches!(read(&good.key, &good.key), Err(PairError::Certificate { .. })));
    assert!(matches!(read(&good.certificate, ""), Err(PairError::Key)));
    assert!(matches!(read(&good.certificate, &good.certificate), Err(PairError::Key)));
    assert!(Authority::from_pem("", &ours.key_pem()).is_err());
    assert!(ours.leaf(&["näme".to_string()], now, DAY).is_err());
}

/// As the kubelet changes a Secret: a new folder, and the symlink to it swapped.
fn place(folder: &Path, generation: usize, leaf: &LeafPem) {
    let version = folder.join(format!("..{generation}"));
    std::fs::create_dir(&version).expect("a folder");
    std::fs::write(version.join("tls.crt"), &leaf.certificate).expect("written");
    std::fs::write(version.join("tls.key"), &leaf.key).expect("written");
    let fresh = folder.join("..data_tmp");
    std::os::unix::fs::symlink(&version, &fresh).expect("a link");
    std::fs::rename(&fresh, folder.join("..data")).expect("swapped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_change_under_load_and_nobody_notices() {
    let (first, second) = (authority(), authority());
    let folder = tempfile::tempdir().unwrap();
    place(folder.path(), 1, &leaf(&first));
    let data = folder.path().join("..data");
    let files = CertificateFiles { certificate: data.join("tls.crt"), key: data.join("tls.key") };
    let store = CertificateStore::new(files.load().unwrap());
    let readiness = Readiness::new();
    let condition = readiness.advise("certificate");
    let token = CancellationToken::new();
    let every = Duration::from_millis(5);
    let following = tokio::spawn(files.follow(store.clone(), every, condition, token.clone()));
    let server = start(&store, Limits::default()).await;

    let connector = connector(&[&first, &second], b"http/1.1");
    let answered = Arc::new(AtomicUsize::new(0));
    let stop = CancellationToken::new();
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let (connector, answered, stop, address) =
                (connector.clone(), answered.clone(), stop.clone(), server.address);
            tokio::spawn(async move {
                while !stop.is_cancelled() {
                    ask(address, &connector).await.expect("answered");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();

    let last = leaf(&second);
    for generation in 2..12 {
        let next = if generation == 11 { last.clone() } else { leaf(&first) };
        place(folder.path(), generation, &next);
        let until = answered.load(Ordering::Relaxed) + 4;
        let load = async {
            while answered.load(Ordering::Relaxed) < until {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(SOON, load).await.expect("clients are answered");
    }
    let wanted = CertificateDer::from_pem_slice(last.certificate.as_bytes()).unwrap();
    let comes = async { while server.ask(&connector).await.unwrap() != wanted.to_vec() {} };
    tokio::time::timeout(SOON, comes).await.expect("the last one is served");
    stop.cancel();
    for client in clients {
        client.await.expect("no request failed");
    }

    // A key of another certificate, and a missing file: the old pair stays, and it is told.
    std::fs::write(data.join("tls.key"), &leaf(&first).key).unwrap();
    let told = |part: &'static str| {
        let readiness = readiness.clone();
        async move {
            let told = async {
                while !readiness.report().to_string().contains(part) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(SOON, told).await.expect(part);
        }
    };
    told("do not belong together").await;
    assert_eq!(server.ask(&connector).await.unwrap(), wanted.to_vec());
    std::fs::remove_file(data.join("tls.key")).unwrap();
    told("No such file").await;
    assert_eq!(server.ask(&connector).await.unwrap(), wanted.to_vec());
    std::fs::write(data.join("tls.key"), &last.key).unwrap();
    let holds = async {
        while !readiness.report().conditions[0].holds {
            tokio::time::sleep(every).await
        }
    };
    tokio::time::timeout(SOON, holds).await.expect("well again");

    let mut metrics = Registry::with_prefix("meshward");
    metrics.register_collector(Box::new(store.clone()));
    let text = openmetrics(&metrics).unwrap();
    let line =
        format!("meshward_certificate_expiry_timestamp_seconds {}", store.expires().unwrap().as_second());
    assert!(text.contains(&line), "{text}");

    token.cancel();
    tokio::time::timeout(SOON, following).await.unwrap().unwrap();
    server.end().await;
}
