//! Certificates that somebody else keeps: cert-manager, or an administrator.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meshward_kit::admin::Condition;
use meshward_kit::tls::{CertificateFiles, CertificateStore, ReadPair};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::CaBundle;

/// How often files are looked at; the kubelet brings new ones about once a minute.
const EVERY: Duration = Duration::from_secs(5);

/// Where they are.
#[derive(Debug, Clone)]
pub struct Files {
    /// Certificate and key.
    pub pair: CertificateFiles,
    /// The authorities by which the API server knows us; without it, those that its machine trusts.
    pub authorities: Option<PathBuf>,
}

impl Files {
    /// Takes the files into use. A daemon that cannot serve does not start.
    ///
    /// # Errors
    /// Files that cannot be read or do not belong together.
    pub fn load(&self, store: &CertificateStore) -> Result<String, ReadPair> {
        store.replace(self.pair.load()?);
        self.bundle()
    }

    fn bundle(&self) -> Result<String, ReadPair> {
        let Some(path) = &self.authorities else { return Ok(String::new()) };
        std::fs::read_to_string(path)
            .map_err(|cause| ReadPair::File { path: path.display().to_string(), cause })
    }

    /// Brings every change of the files into use, until `token` is cancelled. What cannot be read changes nothing and is
    /// told.
    pub async fn follow(
        self,
        store: Arc<CertificateStore>,
        bundle: watch::Sender<CaBundle>,
        shown: Condition,
        authorities: Condition,
        token: CancellationToken,
    ) {
        let pair = self.pair.clone().follow(store, EVERY, shown, token.clone());
        let bundles = async {
            while token.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
                match self.bundle() {
                    Ok(found) => {
                        authorities.hold();
                        bundle.send_if_modified(|now| {
                            let news = now.as_ref() != Some(&found);
                            *now = Some(found);
                            news
                        });
                    }
                    Err(error) => {
                        if authorities.fail(error.to_string()) {
                            tracing::error!(%error, "authorities not read; the old ones stay");
                        }
                    }
                }
            }
        };
        tokio::join!(pair, bundles);
    }
}
