//! Serving TLS with a certificate that changes while connections live: a webhook whose certificate expired stops a
//! cluster, and a restart for a new one is an outage of its own.
//!
//! ```text
//! two files ─ polled ─┐
//!                     ├─► pair that fits ─► CertificateStore ─► every new connection
//! Authority ─ leaf ───┘      └─ does not fit, cannot be read: the old one stays, told by a condition
//! ```

mod authority;
mod facts;
mod follow;
mod pair;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Unit;
use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

pub use authority::{Authority, AuthorityError, LeafPem, SKEW};
pub use facts::CertificateFacts;
pub use follow::{CertificateFiles, ReadPair};
pub use pair::{Pair, PairError};

/// The certificate in use. Clones of the `Arc` share it; [`CertificateStore::replace`] is one pointer swap.
#[derive(Debug)]
pub struct CertificateStore(ArcSwapOption<Pair>);

impl CertificateStore {
    /// Starts with `pair`.
    pub fn new(pair: Pair) -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::from_pointee(pair)))
    }

    /// Starts without a certificate: until there is one, handshakes fail.
    pub fn empty() -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::empty()))
    }

    /// New connections get `pair`; those that are open keep theirs.
    pub fn replace(&self, pair: Pair) {
        self.0.store(Some(Arc::new(pair)));
    }

    /// When the certificate in use expires; `None` where there is none yet.
    pub fn expires(&self) -> Option<Timestamp> {
        self.0.load().as_ref().map(|pair| pair.expires())
    }

    /// TLS 1.2 and 1.3 with HTTP/2 and HTTP/1.1, for [`crate::serve::serve`].
    ///
    /// # Errors
    /// When the provider knows no cipher suite of the two versions, which does not happen with ring.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for CertificateStore {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load().as_ref().map(|pair| pair.certified())
    }
}

/// `certificate_expiry_timestamp_seconds`, to alert on while there is time. Register an `Arc` of the store.
impl Collector for CertificateStore {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "When the serving certificate expires, in seconds since 1970";
        let unit = Some(&Unit::Seconds);
        let Some(expires) = self.expires() else { return Ok(()) };
        let gauge = ConstGauge::new(expires.as_second());
        let name = "certificate_expiry_timestamp";
        gauge.encode(encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?)
    }
}
