//! The accept loop beneath the admin server and the webhook: axum's own takes no connection limit, no time limit for
//! the handshake or the headers, and no deadline for the drain.
//!
//! ```text
//! permit ─► accept ─► TCP_NODELAY ─► TLS handshake (bounded) ─► HTTP/1 or, by ALPN, HTTP/2 ─► router
//! token cancelled ─► no more accepts ─► connections finish what they answer ─► deadline ─► the rest is cut
//! ```

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// What clients may take.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time. More wait in the listener's backlog: nothing is refused that could be served soon.
    pub connections: usize,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// Time for the headers of a request (HTTP/1), and for the answer to a ping (HTTP/2): idle clients are let go.
    pub headers: Duration,
    /// Time for open requests once the token is cancelled.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            handshake: Duration::from_secs(5),
            headers: Duration::from_secs(30),
            drain: Duration::from_secs(10),
        }
    }
}

/// A socket that can be served.
pub trait Listener: Send + 'static {
    /// One connection.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;

    /// The next connection.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Without it a small answer waits for the client's delayed ACK: 44 ms instead of 0.3.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&self) -> io::Result<UnixStream> {
        Ok(UnixListener::accept(self).await?.0)
    }
}

/// Serves `router` until `token` is cancelled, then drains. With `tls` every connection is TLS.
pub async fn serve<L: Listener>(
    listener: L,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    limits: Limits,
    token: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let permits = Arc::new(Semaphore::new(limits.connections));
    let graceful = GracefulShutdown::new();
    let cut = CancellationToken::new();
    let mut failing = false;
    loop {
        let next = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = token.cancelled() => break,
            next = next => next,
        };
        match stream {
            Ok(stream) => {
                failing = false;
                let connection = Connection { router: router.clone(), limits: limits.clone() };
                let (acceptor, watcher, cut) = (acceptor.clone(), graceful.watcher(), cut.clone());
                tokio::spawn(async move {
                    let _permit = permit;
                    tokio::select! {
                        () = cut.cancelled() => {}
                        () = connection.serve(stream, acceptor, watcher) => {}
                    }
                });
            }
            Err(error) => {
                // Out of descriptors, or a client that left already: told once, and not in a hot loop.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "cannot accept a connection");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    drop(listener);
    if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(after = ?limits.drain, "connections were still open; cutting them");
        cut.cancel();
    }
}

struct Connection {
    router: Router,
    limits: Limits,
}

impl Connection {
    async fn serve<S>(self, stream: S, acceptor: Option<TlsAcceptor>, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Some(acceptor) = acceptor else { return self.speak(stream, false, watcher).await };
        match tokio::time::timeout(self.limits.handshake, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                self.speak(stream, h2, watcher).await;
            }
            // Port scanners and probes without TLS: not worth more.
            Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => tracing::debug!(after = ?self.limits.handshake, "TLS handshake took too long"),
        }
    }

    async fn speak<S>(self, stream: S, h2: bool, watcher: Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        // The protocol is known, so that nothing waits for a client's first bytes without a time limit.
        let mut builder = Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.headers);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(self.limits.headers)
            .keep_alive_timeout(self.limits.headers);
        let builder = if h2 { builder.http2_only() } else { builder.http1_only() };
        let service = TowerToHyperService::new(self.router);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        if let Err(error) = watcher.watch(connection.into_owned()).await {
            tracing::debug!(%error, "connection ended early");
        }
    }
}
