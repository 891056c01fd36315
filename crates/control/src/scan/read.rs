//! An object in the other versions that policies name. Each is read by itself: a second watch would tell of the same change
//! at another time, and results of one object that come apart would be reports that come and go.

use std::time::Duration;

use kube::Client;
use kube::api::Api;
use meshward_kit::backoff::Backoff;
use meshward_kit::client::{Kind, RequestError};
use meshward_kit::watch::Loose;
use serde_json::Value;

use super::evaluate::{Other, complete};
use crate::hooks::Api as Served;

/// How often an API server that answers is asked. One that does not answer is waited for: the watch stands still too.
const TRIES: usize = 3;
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// Bounds one request: the client waits as long as the connection stands.
const PATIENCE: Duration = Duration::from_secs(20);

/// The object in other versions; `None` if it is not there any more.
pub(super) async fn others(client: &Client, object: &Value, versions: &[Served]) -> Option<Vec<Other>> {
    let mut all = Vec::new();
    for served in versions {
        let object = read(client, object, served).await?;
        all.push(Other { served: served.clone(), object });
    }
    Some(all)
}

async fn read(client: &Client, object: &Value, served: &Served) -> Option<Result<Value, String>> {
    let text = |pointer| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name, uid) = (text("/metadata/namespace"), text("/metadata/name"), text("/metadata/uid"));
    let resource = served.client_resource();
    let api: Api<Loose> = match namespace {
        "" => Api::all_with(client.clone(), &resource),
        namespace => Api::namespaced_with(client.clone(), namespace, &resource),
    };
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    let mut tries = 0;
    loop {
        let answer = tokio::time::timeout(PATIENCE, api.get_opt(name)).await;
        let error = match answer.unwrap_or_else(|_| Err(late())) {
            Ok(None) => return None,
            Ok(Some(mut found)) => {
                complete(&mut found.value, served);
                let same = found.value.pointer("/metadata/uid").is_some_and(|found| found == uid);
                return same.then_some(Ok(found.value));
            }
            Err(error) => {
                RequestError::of(format!("read {} {name} in {}", served.plural, served.gvk.version))(error)
            }
        };
        tries += usize::from(error.kind() != Kind::Unreachable);
        if tries == TRIES || !matches!(error.kind(), Kind::Unreachable | Kind::Busy) {
            tracing::warn!(namespace, %error, "policies about this version are not asked; the next pass tries again");
            return Some(Err(error.to_string()));
        }
        tokio::time::sleep(backoff.next_delay()).await;
    }
}

fn late() -> kube::Error {
    kube::Error::Service(Box::new(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time")))
}
