//! Changes to a copy of a pod template, each of them noted. Containers are told by their place in the original, so
//! that changes cannot get into each other's way; the new order is made at the end.

use serde_json::{Map, Value};

use crate::container::Container;
use crate::pod::PodTemplate;
use crate::swap::outcome::Change;
use crate::swap::wait::Wait;

/// Annotations that name a container in their key. The API server refuses one about a container that is not there
/// (kubernetes/kubernetes pkg/apis/core/validation, `ValidateAppArmorPodAnnotations`).
const ABOUT_CONTAINERS: [&str; 2] =
    ["container.apparmor.security.beta.kubernetes.io/", "container.seccomp.security.alpha.kubernetes.io/"];

/// A template being changed.
pub(crate) struct Edit {
    template: Value,
    changes: Vec<Change>,
    /// Init containers of the original that go.
    dropped: Vec<usize>,
    /// The wait container, and in front of which init container of the original it goes.
    wait: Option<(usize, Value)>,
}

impl Edit {
    pub(crate) fn new(pod: &PodTemplate<'_>) -> Self {
        Self { template: pod.template().clone(), changes: Vec::new(), dropped: Vec::new(), wait: None }
    }

    pub(crate) fn record(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Changes one container.
    pub(crate) fn container(
        &mut self,
        container: &Container<'_>,
        change: impl FnOnce(&mut Map<String, Value>),
    ) {
        let list = if container.is_init() { "initContainers" } else { "containers" };
        let list = self.template.get_mut("spec").and_then(|spec| spec.get_mut(list)?.as_array_mut());
        if let Some(Value::Object(value)) = list.and_then(|list| list.get_mut(container.index())) {
            change(value);
        }
    }

    /// Puts the wait container in front of init container `place`, in place of `replaced` and of an older one.
    pub(crate) fn replace_with_wait(
        &mut self,
        replaced: &[Container<'_>],
        older: Option<&Container<'_>>,
        place: usize,
        wait: &Wait<'_>,
    ) {
        let resources = replaced.iter().find_map(|container| container.resources());
        self.wait = Some((place, wait.container(resources).into()));
        self.dropped.extend(replaced.iter().chain(older).map(Container::index));
        let containers: Vec<String> = replaced.iter().map(|container| container.name().to_string()).collect();
        containers.iter().for_each(|name| self.forget(name));
        self.record(Change::Replaced { containers });
    }

    /// Brings a wait container up to what it should be, and in front of init container `place`.
    pub(crate) fn refresh_wait(&mut self, present: &Container<'_>, place: usize, wait: &Wait<'_>) {
        let mut fresh = present.value().as_object().cloned().unwrap_or_default();
        for (field, value) in wait.fields() {
            fresh.insert(field.into(), value);
        }
        // With these it would run something else, or for ever.
        for field in ["command", "restartPolicy"] {
            fresh.shift_remove(field);
        }
        let fresh = Value::Object(fresh);
        if place == present.index() && fresh == *present.value() {
            return;
        }
        self.dropped.push(present.index());
        self.wait = Some((place, fresh));
        self.record(Change::Refreshed);
    }

    /// Puts a wait container in front of init container `place`, or behind all of them.
    pub(crate) fn insert_wait(&mut self, place: Option<usize>, wait: &Wait<'_>) {
        self.wait = Some((place.unwrap_or(usize::MAX), wait.container(None).into()));
        self.record(Change::Inserted);
    }

    /// Writes an annotation, unless it is there just so.
    pub(crate) fn annotate(&mut self, key: &str, text: String) {
        let Value::Object(template) = &mut self.template else { return };
        let mut written = false;
        within(template, "metadata", |metadata| {
            within(metadata, "annotations", |annotations| {
                written = annotations.get(key).and_then(Value::as_str) != Some(&text);
                annotations.insert(key.into(), text.into());
            });
        });
        if written {
            self.record(Change::Annotated { key: key.into() });
        }
    }

    fn forget(&mut self, container: &str) {
        let annotations = self.template.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut);
        let Some(annotations) = annotations else { return };
        let keys = ABOUT_CONTAINERS.map(|prefix| format!("{prefix}{container}"));
        let gone: Vec<String> =
            keys.into_iter().filter(|key| annotations.shift_remove(key).is_some()).collect();
        self.changes.extend(gone.into_iter().map(|key| Change::Removed { key }));
    }

    /// The changed template, and what was done to it.
    pub(crate) fn finish(mut self) -> (Value, Vec<Change>) {
        if let (Some(wait), Value::Object(template)) = (self.wait, &mut self.template) {
            within(template, "spec", |spec| {
                let list = spec.entry("initContainers").or_insert(Value::Null);
                let old = list.as_array_mut().map(std::mem::take).unwrap_or_default();
                *list = reorder(old, &self.dropped, wait).into();
            });
        }
        (self.template, self.changes)
    }
}

fn reorder(old: Vec<Value>, dropped: &[usize], wait: (usize, Value)) -> Vec<Value> {
    let mut new = Vec::with_capacity(old.len() + 1);
    let mut wait = Some(wait);
    for (index, container) in old.into_iter().enumerate() {
        if let Some((_, wait)) = wait.take_if(|(place, _)| *place <= index) {
            new.push(wait);
        }
        if !dropped.contains(&index) {
            new.push(container);
        }
    }
    new.extend(wait.map(|(_, wait)| wait));
    new
}

/// Changes the object at `key`, made where there is none. What is no object there counts as none: a null stands for
/// "not there", and the API server takes nothing else.
pub(crate) fn within(
    parent: &mut Map<String, Value>,
    key: &str,
    change: impl FnOnce(&mut Map<String, Value>),
) {
    let value = parent.entry(key).or_insert(Value::Null);
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    if let Value::Object(map) = value {
        change(map);
    }
}
