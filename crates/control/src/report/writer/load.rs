//! Which reports of ours are there: their metadata alone, in pages.

use std::time::Duration;

use kube::Client;
use kube::api::{Api, ListParams};
use meshward_kit::admin::Condition;
use meshward_kit::backoff::Backoff;
use meshward_kit::client::{Kind, RequestError};
use meshward_kit::watch::Loose;

use crate::report::api::Form;
use crate::report::index::Index;
use crate::report::render::MANAGED_BY;

const PAGE: u32 = 200;
const RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Reads them, for as long as it takes.
pub(super) async fn index(client: &Client, form: Form, shown: &Condition) -> Index {
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        match read(client, form).await {
            Ok(index) => {
                shown.hold();
                return index;
            }
            Err(error) => {
                let told = error.to_string();
                if shown.fail(told.clone()) {
                    tracing::warn!("{told}; trying again");
                }
                tokio::time::sleep(backoff.next_delay()).await;
            }
        }
    }
}

async fn read(client: &Client, form: Form) -> Result<Index, RequestError> {
    let mut index = Index::default();
    for namespaced in [true, false] {
        let resource = form.resource(namespaced);
        let api: Api<Loose> = Api::all_with(client.clone(), &resource);
        let labels = format!("{}={}", MANAGED_BY.0, MANAGED_BY.1);
        let mut params = ListParams::default().labels(&labels).limit(PAGE);
        loop {
            let page = match api.list_metadata(&params).await {
                // The list is older than the API server remembers: begun again.
                Err(error) if expired(&error) && params.continue_token.is_some() => {
                    params.continue_token = None;
                    continue;
                }
                page => page.map_err(RequestError::of(format!("list {}", resource.plural)))?,
            };
            for report in &page.items {
                // Metadata is texts and numbers, which can always be written.
                index.found(&serde_json::to_value(&report.metadata).unwrap_or_default());
            }
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params.continue_token = Some(token),
                None => break,
            }
        }
    }
    Ok(index)
}

fn expired(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 410)
        && meshward_kit::client::kind(error) == Kind::Gone
}
