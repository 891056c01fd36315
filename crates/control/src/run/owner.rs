//! What our objects go with: whoever takes the release away must not have to know what we made at run time.

use k8s_openapi::api::core::v1::{Namespace, Service};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::Api;
use kube::{Client, Resource};
use meshward_kit::client::RequestError;

use crate::settings::{Identity, Settings};

/// Our Service, for what is in our namespace; nobody where there is none.
pub(super) async fn service(client: &Client, identity: &Identity) -> Option<OwnerReference> {
    let api: Api<Service> = Api::namespaced(client.clone(), &identity.namespace);
    reference(&api, &identity.service_name).await
}

/// Our ClusterRole, or else our namespace, for what is of the cluster.
pub(super) async fn cluster(client: &Client, settings: &Settings) -> Option<OwnerReference> {
    if let Some(role) = &settings.webhooks.cluster_role {
        let api: Api<ClusterRole> = Api::all(client.clone());
        return reference(&api, role).await;
    }
    let api: Api<Namespace> = Api::all(client.clone());
    reference(&api, &settings.identity.namespace).await
}

async fn reference<K>(api: &Api<K>, name: &str) -> Option<OwnerReference>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    match api.get_metadata(name).await {
        // Not ours to keep anybody from being deleted.
        Ok(found) => found.metadata.uid.map(|uid| OwnerReference {
            api_version: K::api_version(&()).into_owned(),
            kind: K::kind(&()).into_owned(),
            name: name.to_owned(),
            uid,
            ..OwnerReference::default()
        }),
        Err(error) => {
            let error = RequestError::of(format!("read {} {name}", K::kind(&())))(error);
            tracing::warn!(%error, "what we make goes with nobody, and is left behind when we are taken away");
            None
        }
    }
}
