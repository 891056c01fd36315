//! Clients of a webhook: each sends one request after the other over TLS, as fast as it is answered. They share this
//! machine's cores with the webhook, so the figures are those of the pair.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::http::request::Parts;
use hyper::{Request, Response, body::Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Which HTTP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// A connection for each client, kept open.
    Http1,
    /// Few connections, as the API server has them.
    Http2,
}

/// Streams of one HTTP/2 connection; servers allow some more.
const STREAMS: usize = 100;
/// What is sent before anything counts.
const WARM_UP: Duration = Duration::from_millis(500);

/// Who is asked what.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) tls: Arc<ClientConfig>,
    pub(crate) body: Bytes,
    /// What a right answer has in it.
    pub(crate) wanted: &'static str,
}

/// What came of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) per_second: f64,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
}

enum Sender {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Target {
    /// What every request of a client begins with.
    fn head(&self) -> Result<Parts> {
        let uri = format!("https://{}{}", self.address, self.path);
        let request = Request::post(uri).header("host", self.address.to_string());
        Ok(request.header("content-type", "application/json").body(())?.into_parts().0)
    }

    fn request(&self, head: &Parts) -> Request<Full<Bytes>> {
        Request::from_parts(head.clone(), Full::new(self.body.clone()))
    }

    async fn connect(&self, protocol: Protocol) -> Result<TlsStream<TcpStream>> {
        let mut tls = ClientConfig::clone(&self.tls);
        let name: &[u8] = if protocol == Protocol::Http2 { b"h2" } else { b"http/1.1" };
        tls.alpn_protocols = vec![name.to_vec()];
        let stream = TcpStream::connect(self.address).await.context("nobody listens")?;
        stream.set_nodelay(true)?;
        let host = ServerName::from(self.address.ip());
        Ok(TlsConnector::from(Arc::new(tls)).connect(host, stream).await?)
    }

    /// One sender for each client.
    async fn senders(&self, protocol: Protocol, clients: usize) -> Result<Vec<Sender>> {
        let mut senders = Vec::with_capacity(clients);
        while senders.len() < clients {
            let stream = TokioIo::new(self.connect(protocol).await?);
            match protocol {
                Protocol::Http1 => {
                    let (sender, connection) = http1::handshake(stream).await?;
                    tokio::spawn(connection);
                    senders.push(Sender::Http1(sender));
                }
                Protocol::Http2 => {
                    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                    tokio::spawn(connection);
                    let share = STREAMS.min(clients - senders.len());
                    senders.extend((0..share).map(|_| Sender::Http2(sender.clone())));
                }
            }
        }
        Ok(senders)
    }

    /// One request, and its answer.
    pub(crate) async fn once(&self) -> Result<String> {
        let mut sender = self.senders(Protocol::Http1, 1).await?.pop().context("no client")?;
        let answer = sender.send(self.request(&self.head()?)).await?;
        Ok(String::from_utf8_lossy(&answer.into_body().collect().await?.to_bytes()).into_owned())
    }

    /// Sends for a while.
    pub(crate) async fn load(&self, protocol: Protocol, clients: usize, time: Duration) -> Result<Outcome> {
        let (begin, mut running) = (Instant::now() + WARM_UP, JoinSet::new());
        for sender in self.senders(protocol, clients).await? {
            running.spawn(self.clone().client(sender, begin, begin + time));
        }
        let mut times = Vec::new();
        while let Some(own) = running.join_next().await {
            times.extend(own??);
        }
        ensure!(!times.is_empty(), "no request was answered in {time:?}");
        times.sort_unstable();
        let quantile = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1e3;
        Ok(Outcome {
            per_second: times.len() as f64 / time.as_secs_f64(),
            p50: quantile(0.5),
            p99: quantile(0.99),
        })
    }

    /// Sends a number of requests in all, which all have to succeed.
    pub(crate) async fn times(&self, count: usize, clients: usize) -> Result<()> {
        let mut running = JoinSet::new();
        for (number, mut sender) in self.senders(Protocol::Http2, clients).await?.into_iter().enumerate() {
            let (target, own) = (self.clone(), (count + number) / clients);
            running.spawn(async move {
                let head = target.head()?;
                for _ in 0..own {
                    target.answered(&mut sender, &head).await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = running.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Sends one request and looks at its answer.
    async fn answered(&self, sender: &mut Sender, head: &Parts) -> Result<()> {
        let answer = sender.send(self.request(head)).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        if !status.is_success() || !contains(&body, self.wanted.as_bytes()) {
            bail!("answer {status}: {}", String::from_utf8_lossy(&body[..body.len().min(300)]));
        }
        Ok(())
    }

    async fn client(self, mut sender: Sender, begin: Instant, end: Instant) -> Result<Vec<Duration>> {
        let (mut times, head) = (Vec::new(), self.head()?);
        loop {
            let sent = Instant::now();
            if sent >= end {
                return Ok(times);
            }
            self.answered(&mut sender, &head).await?;
            if sent >= begin {
                times.push(sent.elapsed());
            }
        }
    }
}

impl Sender {
    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>> {
        Ok(match self {
            Self::Http1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Http2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        })
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
