//! The pods of the node as they stand, for whoever lists them: the admin socket and the metrics. Reading never waits for
//! the engine.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use meshward_mesh::PodRecord;

/// A cheap handle; clones show the same pods.
#[derive(Debug, Clone, Default)]
pub struct Registry(Arc<RwLock<BTreeMap<String, Arc<PodRecord>>>>);

impl Registry {
    /// Every pod there is anything to tell about, by namespace and name.
    pub fn list(&self) -> Vec<Arc<PodRecord>> {
        let records = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut list: Vec<_> = records.values().cloned().collect();
        list.sort_by(|a, b| (&a.namespace, &a.name, &a.uid).cmp(&(&b.namespace, &b.name, &b.uid)));
        list
    }

    /// One pod.
    pub(super) fn get_by_key(&self, key: &str) -> Option<Arc<PodRecord>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    pub(super) fn put(&self, key: &str, record: Arc<PodRecord>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(key.to_string(), record);
    }

    pub(super) fn remove(&self, key: &str) -> Option<Arc<PodRecord>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(key)
    }
}
