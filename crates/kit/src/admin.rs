//! What operators and the kubelet ask a daemon: is it alive, is it ready and if not why not, how is it doing. Readiness
//! is a list of named conditions, so that the answer tells what is missing instead of a bare no.

mod readiness;
mod unix;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

pub use readiness::{Condition, ConditionReport, Readiness, ReadinessReport};
pub use unix::{UnixSocket, bind_unix};

/// The content type that Prometheus asks for.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Linux, include/uapi/asm-generic/errno.h: the kernel has no IPv6.
const EAFNOSUPPORT: i32 = 97;

const INDEX: &str = "/healthz  alive\n/readyz   ready, or what is missing\n/metrics  OpenMetrics\n";

/// Why a listener could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A TCP address.
    #[error("cannot listen on {address}: {cause}")]
    Tcp {
        /// The address.
        address: SocketAddr,
        /// The error.
        cause: std::io::Error,
    },
    /// A unix socket.
    #[error("cannot listen on {path}: {cause}")]
    Unix {
        /// The path.
        path: String,
        /// The error.
        cause: std::io::Error,
    },
    /// Something that is no socket is at the path.
    #[error("cannot listen on {path}: there is something that is not a socket; it is left alone")]
    NotASocket {
        /// The path.
        path: String,
    },
    /// Another process serves there.
    #[error("cannot listen on {path}: another process answers there")]
    InUse {
        /// The path.
        path: String,
    },
}

/// Listens on a TCP address. `[::]` is every address, of both families where the node has them and of IPv4 where it has
/// no IPv6.
///
/// # Errors
/// [`BindError::Tcp`].
pub async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, BindError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if address.ip() == Ipv6Addr::UNSPECIFIED && error.raw_os_error() == Some(EAFNOSUPPORT) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    bound.map_err(|cause| BindError::Tcp { address, cause })
}

/// The pages `/healthz`, `/readyz` and `/metrics`. Serve them with [`crate::serve::serve`].
pub fn router(readiness: Readiness, metrics: Arc<Registry>) -> Router {
    let ready = Router::new().route("/readyz", get(ready)).with_state(readiness);
    let metrics = Router::new().route("/metrics", get(scrape)).with_state(metrics);
    Router::new()
        .route("/", get(async || INDEX))
        // That the loop answers is all that alive means: a daemon whose API server is away must not be restarted.
        .route("/healthz", get(async || "ok\n"))
        .merge(ready)
        .merge(metrics)
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let code = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, report.to_string()).into_response()
}

async fn scrape(State(metrics): State<Arc<Registry>>) -> Response {
    match openmetrics(&metrics) {
        Ok(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the metrics: {error}\n"))
            .into_response(),
    }
}

/// The metrics as text.
///
/// # Errors
/// When a metric cannot be written.
pub fn openmetrics(metrics: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, metrics)?;
    Ok(text)
}
