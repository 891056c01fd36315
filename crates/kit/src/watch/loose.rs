//! An object of which nothing is expected. The client's own types refuse a whole list for one field of the wrong type.

use std::borrow::Cow;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::ApiResource;
use kube::core::{DynamicResourceScope, Resource};
use kube::runtime::utils::Backoff as Pace;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::backoff::Backoff;

/// Any JSON value; of its metadata what the client needs to go on from it.
#[derive(Debug, Clone)]
pub struct Loose {
    metadata: ObjectMeta,
    /// The object, without `metadata.managedFields`.
    pub value: Value,
}

impl<'de> Deserialize<'de> for Loose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut value = Value::deserialize(deserializer)?;
        let text = |field: &str| Some(value.get("metadata")?.get(field)?.as_str()?.to_string());
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            uid: text("uid"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        // By far the largest part of most objects.
        if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        Ok(Self { metadata, value })
    }
}

impl Resource for Loose {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn kind(dt: &ApiResource) -> Cow<'_, str> {
        dt.kind.as_str().into()
    }

    fn group(dt: &ApiResource) -> Cow<'_, str> {
        dt.group.as_str().into()
    }

    fn version(dt: &ApiResource) -> Cow<'_, str> {
        dt.version.as_str().into()
    }

    fn plural(dt: &ApiResource) -> Cow<'_, str> {
        dt.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// Our backoff as the client's watch wants it.
#[derive(Debug)]
pub(super) struct Jitter(pub(super) Backoff);

impl Iterator for Jitter {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(self.0.next_delay())
    }
}

impl Pace for Jitter {
    fn reset(&mut self) {
        self.0.reset();
    }
}

#[cfg(test)]
mod tests {
    use kube::core::ObjectList;

    use super::*;

    #[test]
    fn one_object_of_the_wrong_shape_spoils_no_list() {
        let list = r#"{"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "9"}, "items": [
            {"metadata": {"name": "a", "resourceVersion": "7", "labels": {"x": 1}, "managedFields": [{}]}},
            {"metadata": "none"}, 7, {"metadata": {"name": ["b"], "creationTimestamp": "yesterday"}}]}"#;
        let list: ObjectList<Loose> = serde_json::from_str(list).unwrap();
        assert_eq!(list.items.len(), 4);
        assert_eq!(list.items[0].metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(list.items[0].value.pointer("/metadata/managedFields"), None);
    }
}
