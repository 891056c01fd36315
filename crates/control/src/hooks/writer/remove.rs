//! The end of a release: nothing of its webhook configurations may be left, or the API server would go on asking nobody.

use kube::Client;
use kube::api::{DeleteParams, ListParams};
use meshward_kit::client::{Kind, RequestError};

use super::found::resources;
use super::{Instance, api};

/// Removes every configuration of a release; the names of those that were there.
///
/// # Errors
/// A request failed.
pub async fn remove_all(client: &Client, instance: &Instance) -> Result<Vec<String>, RequestError> {
    let mut removed = Vec::new();
    for resource in resources() {
        let api = api(client, &resource);
        let attempted = RequestError::of(format!("list {}", resource.plural));
        let all = api.list(&ListParams::default().labels(&instance.selector())).await.map_err(attempted)?;
        for object in all.items {
            let name = object.metadata.name.unwrap_or_default();
            let attempted = RequestError::of(format!("remove {} {name}", resource.kind));
            match api.delete(&name, &DeleteParams::default()).await.map_err(attempted) {
                Err(error) if error.kind() != Kind::Gone => return Err(error),
                _ => removed.push(format!("{} {name}", resource.kind)),
            }
        }
    }
    Ok(removed)
}
