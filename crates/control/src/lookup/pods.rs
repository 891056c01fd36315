//! The pods of a namespace, as far as Pod Security looks at them.

use std::time::Instant;

use serde_json::Value;

use super::fetch::{self, Call};
use super::{AskError, Asker, path};

/// Pods of one page, and how large it may be: a pod that is full is about 100 KB.
const PAGE: usize = 250;
const PAGE_BYTES: usize = 32 << 20;

/// What was listed.
pub struct Listed {
    /// Without what no check reads.
    pub pods: Vec<Value>,
    /// How many there are beyond these.
    pub unlisted: usize,
}

impl Asker<'_> {
    /// Lists pods, up to `most` and until a moment. What could be listed until then is the answer.
    ///
    /// # Errors
    /// [`AskError`], if nothing could be.
    pub fn pods(&self, namespace: &str, most: usize, until: Instant) -> Result<Listed, AskError> {
        let Some(handle) = &self.handle else { return self.miss() };
        let Some(client) = &self.outside.client else {
            return Err(AskError::Failed("there is no API server to ask".to_owned()));
        };
        let root = format!("/api/v1/namespaces/{}/pods?limit={PAGE}", path::escape(namespace));
        let mut listed = Listed { pods: Vec::new(), unlisted: 0 };
        let mut url = root.clone();
        loop {
            let time = until.saturating_duration_since(Instant::now());
            let page = handle.block_on(fetch::fetch_up_to(client, &Call::get(&url), time, PAGE_BYTES));
            let mut page = match page {
                Ok((page, _)) => page,
                Err(error) if listed.pods.is_empty() => return Err(AskError::Failed(error.to_string())),
                Err(_) => return Ok(listed),
            };
            let more = page.pointer("/metadata/remainingItemCount").and_then(Value::as_u64);
            listed.unlisted = more.and_then(|more| usize::try_from(more).ok()).unwrap_or_default();
            if let Some(Value::Array(items)) = page.get_mut("items").map(Value::take) {
                listed.pods.extend(items.into_iter().map(slim));
            }
            let next = page.pointer("/metadata/continue").and_then(Value::as_str).unwrap_or_default();
            if next.is_empty() || listed.pods.len() >= most {
                return Ok(listed);
            }
            url = format!("{root}&continue={}", path::escape(next));
        }
    }
}

/// Takes out the largest parts that nothing looks at.
fn slim(mut pod: Value) -> Value {
    if let Some(pod) = pod.as_object_mut() {
        pod.remove("status");
    }
    if let Some(metadata) = pod.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    for list in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = pod.pointer_mut(&format!("/spec/{list}")).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
            container.remove("env");
        }
    }
    pod
}
