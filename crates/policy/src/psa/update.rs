//! Which updates of a pod are looked at: only those that can change what runs. Everything else about a running pod is
//! immutable, and a pod that was admitted under a laxer policy must still take labels and finalizers.

use std::collections::HashMap;

use serde_json::Value;

/// Whether an update changes the number of containers, an image, or adds an ephemeral container; upstream's
/// `isSignificantPodUpdate`.
#[must_use]
pub fn is_significant(pod: &Value, old: &Value) -> bool {
    ["containers", "initContainers"].into_iter().any(|list| {
        let (new, old) = (containers(pod, list), containers(old, list));
        new.len() != old.len() || new.iter().zip(old).any(|(new, old)| image(new) != image(old))
    }) || is_significant_ephemeral(pod, old)
}

/// By a map, because a pod's author can name as many ephemeral containers as the object's size allows.
fn is_significant_ephemeral(pod: &Value, old: &Value) -> bool {
    let mut images = HashMap::new();
    for container in containers(old, "ephemeralContainers") {
        images.entry(text(container, "name")).or_insert(image(container));
    }
    let mut new = containers(pod, "ephemeralContainers").iter();
    new.any(|new| images.get(text(new, "name")) != Some(&image(new)))
}

fn containers<'a>(pod: &'a Value, list: &str) -> &'a [Value] {
    let list = pod.get("spec").and_then(|spec| spec.get(list)).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

fn image(container: &Value) -> &str {
    text(container, "image")
}

fn text<'a>(container: &'a Value, key: &str) -> &'a str {
    container.get(key).and_then(Value::as_str).unwrap_or_default()
}
