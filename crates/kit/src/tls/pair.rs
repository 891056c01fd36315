//! A certificate and its key, checked to fit each other before anybody is served with them.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::parse_x509_certificate;

/// A certificate chain with its key.
#[derive(Debug, Clone)]
pub struct Pair {
    certified: Arc<CertifiedKey>,
    expires: Timestamp,
}

/// Why two texts are no pair.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The certificates cannot be read.
    #[error("the certificate cannot be read: {cause} (accepted: PEM, the server's certificate first)")]
    Certificate {
        /// What is wrong.
        cause: String,
    },
    /// The key cannot be read. Nothing of it is told.
    #[error("the key cannot be read (accepted: one PEM key, PKCS#8, PKCS#1 or SEC1)")]
    Key,
    /// Each is good, together they are not.
    #[error("certificate and key do not belong together: {cause}")]
    Mismatch {
        /// What rustls says.
        cause: rustls::Error,
    },
}

impl Pair {
    /// Reads a pair from PEM.
    ///
    /// # Errors
    /// Unreadable texts, or a key of another certificate.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let unreadable = |cause: String| PairError::Certificate { cause };
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| unreadable(error.to_string()))?;
        let first = chain.first().ok_or_else(|| unreadable("there is none in it".into()))?;
        let (_, parsed) = parse_x509_certificate(first).map_err(|error| unreadable(error.to_string()))?;
        let expires = Timestamp::from_second(parsed.validity().not_after.timestamp())
            .map_err(|error| unreadable(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| PairError::Key)?;
        let provider = rustls::crypto::ring::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|cause| match cause {
            rustls::Error::InconsistentKeys(_) => PairError::Mismatch { cause },
            _ => PairError::Key,
        })?;
        Ok(Self { certified: Arc::new(certified), expires })
    }

    /// When it expires.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    pub(super) fn certified(&self) -> Arc<CertifiedKey> {
        self.certified.clone()
    }
}
