//! Objects of the API that were read: those that can be used, each with its origin, as one slice that an evaluation
//! takes; and what is wrong with the others, for their status.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::Origin;

/// What became of one object.
#[derive(Debug, Clone)]
pub struct Entry<T> {
    /// The object in its present version.
    pub origin: Arc<Origin>,
    /// What was made of it; of an object whose present version cannot be used, of the last one that could.
    pub value: Option<T>,
    /// Everything that is wrong with its present version.
    pub errors: Vec<String>,
}

/// Objects in the order of kind and name.
#[derive(Debug, Clone)]
pub struct Catalog<T> {
    entries: BTreeMap<(String, String), Entry<T>>,
    values: Arc<[T]>,
    origins: Arc<[Arc<Origin>]>,
}

impl<T> Default for Catalog<T> {
    fn default() -> Self {
        Self { entries: BTreeMap::new(), values: Arc::new([]), origins: Arc::new([]) }
    }
}

impl<T: Clone> Catalog<T> {
    /// What is in force.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// The object of each of [`Catalog::values`].
    pub fn origins(&self) -> &[Arc<Origin>] {
        &self.origins
    }

    /// Every object, usable or not.
    pub fn entries(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.values()
    }

    /// Puts in an object's present version. Call [`Catalog::arrange`] when all are in.
    pub(super) fn set(&mut self, object: &Value, read: Result<T, Vec<String>>) {
        let origin = Arc::new(Origin::of(object));
        let place = (origin.kind.clone(), origin.key());
        let earlier = self.entries.remove(&place).and_then(|entry| entry.value);
        let (value, errors) = match read {
            Ok(value) => (Some(value), Vec::new()),
            Err(errors) => (earlier, errors),
        };
        self.entries.insert(place, Entry { origin, value, errors });
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, origin: &Origin) {
        self.entries.remove(&(origin.kind.clone(), origin.key()));
    }

    /// Takes out those of a kind whose key `kept` does not hold.
    pub(super) fn retain(&mut self, kind: &str, kept: impl Fn(&str) -> bool) {
        self.entries.retain(|(of, key), _| of != kind || kept(key));
    }

    /// Makes the slices again, after changes.
    pub(super) fn arrange(&mut self) {
        let usable =
            || self.entries.values().filter_map(|entry| Some((entry.value.as_ref()?, &entry.origin)));
        self.values = usable().map(|(value, _)| value.clone()).collect();
        self.origins = usable().map(|(_, origin)| origin.clone()).collect();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_unusable_version_leaves_the_last_good_one_in_force() {
        let object = |name: &str| json!({"kind": "K", "metadata": {"name": name, "namespace": "n"}});
        let mut catalog = Catalog::default();
        catalog.set(&object("b"), Ok(1));
        catalog.set(&object("a"), Ok(2));
        catalog.set(&object("c"), Err(vec!["wrong".into()]));
        catalog.set(&object("b"), Err(vec!["worse".into()]));
        catalog.arrange();
        assert_eq!(catalog.values(), [2, 1]);
        assert_eq!(catalog.origins()[1].key(), "n/b");
        let told: Vec<_> = catalog.entries().map(|entry| (entry.value, entry.errors.len())).collect();
        assert_eq!(told, [(Some(2), 0), (Some(1), 1), (None, 1)]);
        catalog.retain("K", |key| key == "n/b");
        catalog.arrange();
        assert_eq!(catalog.values(), [1]);
    }
}
