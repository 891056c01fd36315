//! What TLS is served with, and by which authority the API server knows us: certificates of our own, kept in a Secret
//! that every replica follows, or files that somebody else keeps. An expired certificate would stop a whole cluster, so
//! that nobody has to think of it is the point of this module.
//!
//! ```text
//! leader ─ material::next ─► Secret ─ watch ─► every replica ─┬─► CertificateStore ─► new connections
//!                                                             └─► caBundle ─► hooks (leader)
//! ```

mod files;
pub mod material;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::Client;
use kube::api::{Api, PostParams};
use meshward_kit::admin::Condition;
use meshward_kit::client::{Kind, RequestError};
use meshward_kit::tls::{AuthorityError, CertificateStore};
use meshward_kit::watch::{Event, Watched, resource};
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

pub use files::Files;
pub use material::{Material, Wishes};

/// The longest that the leader leaves certificates unlooked at.
const LOOK: Duration = Duration::from_secs(30);

/// The authorities by which the API server knows us (PEM): empty for those that its machine trusts, `None` while it is
/// not known yet.
pub type CaBundle = Option<String>;

/// The Secret as it was last seen.
#[derive(Clone, Default)]
struct Kept {
    /// Whether the API server has told us.
    listed: bool,
    /// The present version; `None`: there is no Secret.
    present: Option<Secret>,
    /// Whether it holds `material`.
    usable: bool,
    /// What was served last, also if the Secret is gone.
    material: Material,
}

/// Certificates of our own.
#[derive(Clone)]
pub struct OwnCertificates {
    client: Client,
    namespace: String,
    name: String,
    wishes: Wishes,
    owner: Option<OwnerReference>,
    kept: watch::Sender<Kept>,
}

/// Why a certificate was not renewed.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error(transparent)]
    Make(#[from] AuthorityError),
    #[error(transparent)]
    Write(#[from] RequestError),
}

impl OwnCertificates {
    /// Kept in the Secret of this name; `owner` is whoever it goes with.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        wishes: Wishes,
        owner: Option<OwnerReference>,
    ) -> Self {
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        Self { client, namespace, name, wishes, owner, kept: watch::Sender::default() }
    }

    /// Serves what the Secret holds, until `token` is cancelled. `shown` holds while that can be served.
    pub async fn follow(
        self,
        store: Arc<CertificateStore>,
        bundle: watch::Sender<CaBundle>,
        listed: Condition,
        shown: Condition,
        token: CancellationToken,
    ) {
        let watched = Watched::all(self.client.clone(), resource("", "v1", "Secret", "secrets"));
        let watched = watched.within(&self.namespace).fields(&format!("metadata.name={}", self.name));
        let (mut events, mut found) = (watched.follow(listed), None);
        while let Some(Some(event)) = token.run_until_cancelled(events.next()).await {
            match event {
                Event::Init => found = None,
                Event::InitApply(object) => found = Some(object.value),
                Event::InitDone => self.see(found.take(), &store, &bundle, &shown),
                Event::Apply(object) => self.see(Some(object.value), &store, &bundle, &shown),
                Event::Delete(_) => self.see(None, &store, &bundle, &shown),
            }
        }
    }

    /// Takes what was found into use.
    fn see(
        &self,
        found: Option<Value>,
        store: &CertificateStore,
        bundle: &watch::Sender<CaBundle>,
        shown: &Condition,
    ) {
        let present = found.and_then(|object| Secret::deserialize(object).ok());
        let data = present.as_ref().map(|secret| secret.data.clone().unwrap_or_default());
        let material = data.map(|data| {
            Material::from_data(&data.into_iter().map(|(key, ByteString(text))| (key, text)).collect())
        });
        self.kept.send_modify(|kept| {
            kept.listed = true;
            kept.present = present;
            kept.usable = false;
            let Some(material) = material else { return };
            match material.pair() {
                Ok(pair) => {
                    if kept.material.certificate != material.certificate {
                        tracing::info!(secret = self.name, expires = %pair.expires(), "certificate in use");
                    }
                    store.replace(pair);
                    bundle.send_replace(Some(material.bundle.clone()));
                    shown.hold();
                    (kept.material, kept.usable) = (material, true);
                }
                // The leader replaces it; what is served until then is what was.
                Err(error) => {
                    tracing::warn!(secret = self.name, %error, "the Secret's certificate cannot be served");
                    if store.expires().is_none() {
                        shown.fail(format!("Secret {}: {error}", self.name));
                    }
                }
            }
        });
    }

    /// Makes and renews what the Secret holds, as long as it is polled: one replica at a time does. `trusted` is the
    /// bundle that every webhook configuration carries.
    pub async fn keep(&self, mut trusted: watch::Receiver<CaBundle>, shown: Condition) {
        let mut kept = self.kept.subscribe();
        let look = LOOK.min(self.wishes.settle / 4).max(Duration::from_millis(200));
        loop {
            let now = kept.borrow_and_update().clone();
            let known = trusted.borrow_and_update().clone();
            if now.listed {
                match self.renew(&now, known.as_deref()).await {
                    Ok(()) => {
                        shown.hold();
                    }
                    Err(KeepError::Write(error)) if error.kind() == Kind::Conflict => {}
                    Err(error) => {
                        if shown.fail(error.to_string()) {
                            tracing::error!(%error, "certificate not renewed; trying again");
                        }
                    }
                }
            }
            tokio::select! {
                _ = kept.changed() => {}
                _ = trusted.changed() => {}
                () = tokio::time::sleep(look) => {}
            }
        }
    }

    async fn renew(&self, kept: &Kept, trusted: Option<&str>) -> Result<(), KeepError> {
        let due = material::next(&kept.material, &self.wishes, Timestamp::now(), trusted)?;
        let (material, why) = match due {
            Some(due) => due,
            None if kept.usable => return Ok(()),
            None => (kept.material.clone(), "the Secret was gone or could not be used"),
        };
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let data = material.to_data().into_iter().map(|(key, text)| (key, ByteString(text))).collect();
        let attempted = RequestError::of(format!("write Secret {}/{}", self.namespace, self.name));
        let written = match kept.present.clone() {
            Some(present) => {
                let secret = Secret { data: Some(data), ..present };
                api.replace(&self.name, &PostParams::default(), &secret).await
            }
            None => api.create(&PostParams::default(), &self.secret(data)).await,
        };
        written.map_err(attempted)?;
        tracing::info!(secret = self.name, why, "certificates written");
        Ok(())
    }

    fn secret(&self, data: std::collections::BTreeMap<String, ByteString>) -> Secret {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            labels: Some([("app.kubernetes.io/managed-by".into(), "meshward-control".into())].into()),
            owner_references: self.owner.clone().map(|owner| vec![owner]),
            ..ObjectMeta::default()
        };
        Secret { metadata, data: Some(data), type_: Some("kubernetes.io/tls".into()), ..Secret::default() }
    }
}
