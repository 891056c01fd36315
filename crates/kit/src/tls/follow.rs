//! A pair in two files, as cert-manager or an administrator leaves it in a Secret. Polled, since the kubelet brings a new
//! one by swapping the symlink of the folder, and a watch of the files' inodes would never see that.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{CertificateStore, Pair, PairError};
use crate::admin::Condition;

/// Reads of a pair of files that changes while it is read.
const READS: usize = 3;

/// Where the pair is.
#[derive(Debug, Clone)]
pub struct CertificateFiles {
    /// The chain, PEM: `tls.crt`.
    pub certificate: PathBuf,
    /// The key, PEM: `tls.key`.
    pub key: PathBuf,
}

/// Why the files are no pair.
#[derive(Debug, thiserror::Error)]
pub enum ReadPair {
    /// A file cannot be read.
    #[error("cannot read {path}: {cause}")]
    File {
        /// Its path.
        path: String,
        /// The error.
        cause: std::io::Error,
    },
    /// Their contents are wrong.
    #[error("cannot use {certificate} with {key}: {cause}")]
    Pair {
        /// Path of the certificate.
        certificate: String,
        /// Path of the key.
        key: String,
        /// What is wrong.
        cause: PairError,
    },
}

type Bytes = (Vec<u8>, Vec<u8>);

impl CertificateFiles {
    /// Reads the pair, for the start.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong together.
    pub fn load(&self) -> Result<Pair, ReadPair> {
        self.parse(&self.read()?)
    }

    fn read(&self) -> Result<Bytes, ReadPair> {
        let file = |path: &PathBuf| {
            std::fs::read(path).map_err(|cause| ReadPair::File { path: path.display().to_string(), cause })
        };
        let mut certificate = file(&self.certificate)?;
        for _ in 1..READS {
            let key = file(&self.key)?;
            // The same certificate before and after: the key between them is of the same change.
            let after = file(&self.certificate)?;
            if after == certificate {
                return Ok((certificate, key));
            }
            certificate = after;
        }
        Ok((certificate, file(&self.key)?))
    }

    fn parse(&self, (certificate, key): &Bytes) -> Result<Pair, ReadPair> {
        Pair::from_pem(certificate, key).map_err(|cause| ReadPair::Pair {
            certificate: self.certificate.display().to_string(),
            key: self.key.display().to_string(),
            cause,
        })
    }

    /// Brings every change of the files into `store`, until `token` is cancelled. What cannot be used changes nothing;
    /// `condition` tells of it.
    pub async fn follow(
        self,
        store: Arc<CertificateStore>,
        every: Duration,
        condition: Condition,
        token: CancellationToken,
    ) {
        let mut seen = self.read().ok();
        while token.run_until_cancelled(tokio::time::sleep(every)).await.is_some() {
            let found = match self.read() {
                Ok(bytes) if Some(&bytes) == seen.as_ref() => continue,
                Ok(bytes) => {
                    let parsed = self.parse(&bytes);
                    seen = Some(bytes);
                    parsed
                }
                Err(error) => {
                    seen = None;
                    Err(error)
                }
            };
            match found {
                Ok(pair) => {
                    tracing::info!(expires = %pair.expires(), "certificate replaced");
                    store.replace(pair);
                    condition.hold();
                }
                Err(error) => {
                    if condition.fail(format!("the old certificate stays: {error}")) {
                        tracing::error!(%error, "certificate not replaced; the old one stays");
                    }
                }
            }
        }
    }
}
