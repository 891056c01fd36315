//! `images`: the container images of an object, taken apart.

use crate::image::Image;
use crate::jmespath::Environment;
use serde_json::{Map, Value, json};

/// The images of an object; `None` if it has no containers.
pub(super) fn of(object: &Value, environment: &dyn Environment) -> Result<Option<Value>, String> {
    let base = match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Pod" => "/spec",
        "DaemonSet" | "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "Job" => {
            "/spec/template/spec"
        }
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => return Ok(None),
    };
    let mut images = Map::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        let place = format!("{base}/{list}");
        let mut found = Map::new();
        for (index, container) in
            object.pointer(&place).and_then(Value::as_array).into_iter().flatten().enumerate()
        {
            let text = |name: &str| container.get(name).and_then(Value::as_str);
            let Some(name) = text("name") else { return Err("invalid key".to_owned()) };
            let Some(image) = text("image").filter(|image| !image.trim().is_empty()) else { continue };
            let parsed =
                Image::parse(image, environment.default_registry(), environment.adds_default_registry())
                    .map_err(|error| format!("invalid image '{image}' ({error})"))?;
            found.insert(name.to_owned(), describe(&parsed, &format!("{place}/{index}/image")));
        }
        if !found.is_empty() {
            images.insert(list.to_owned(), Value::Object(found));
        }
    }
    Ok((!images.is_empty()).then_some(Value::Object(images)))
}

/// Empty parts are left out, but for name and path.
pub(super) fn describe(image: &Image, pointer: &str) -> Value {
    let mut described = json!({"name": image.name, "path": image.path, "jsonPointer": pointer});
    let rest = [
        ("registry", image.registry.clone()),
        ("tag", image.tag.clone()),
        ("digest", image.digest.clone()),
        ("reference", image.to_string()),
        ("referenceWithTag", image.reference_with_tag()),
    ];
    if let Value::Object(described) = &mut described {
        for (name, text) in rest.into_iter().filter(|(_, text)| !text.is_empty()) {
            described.insert(name.to_owned(), Value::String(text));
        }
    }
    described
}
