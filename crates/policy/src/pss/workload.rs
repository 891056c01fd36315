//! Where an object keeps its pod: the controllers that Pod Security Admission looks into.

use serde_json::Value;
use thiserror::Error;

use super::Pod;

/// The object is of a kind that holds no pod.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("unexpected object type: {group_version}, Kind={kind}")]
pub struct NoPodSpec {
    /// The object's `apiVersion`, with upstream's leading `/` for the core group; `/` when it has none.
    pub group_version: String,
    /// The object's `kind`.
    pub kind: String,
}

/// The pod of an object: the object itself if it is a Pod, or the template of one of the eight controllers; `None` if
/// the template is missing and the kind allows that. The list is upstream's `DefaultPodSpecExtractor`; CronJob's
/// metadata comes from the pod template, not from the job template.
///
/// # Errors
/// [`NoPodSpec`] for every other kind, `List`s included.
pub fn extract(object: &Value) -> Result<Option<Pod<'_>>, NoPodSpec> {
    let version = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    let base = match (version, kind) {
        ("v1", "Pod") => return Ok(Some(Pod::new(object))),
        ("v1", "PodTemplate") => "/template",
        ("v1", "ReplicationController")
        | ("apps/v1", "ReplicaSet" | "Deployment" | "StatefulSet" | "DaemonSet")
        | ("batch/v1", "Job") => "/spec/template",
        ("batch/v1", "CronJob") => "/spec/jobTemplate/spec/template",
        _ => {
            let core = if version.contains('/') { "" } else { "/" };
            return Err(NoPodSpec { group_version: format!("{core}{version}"), kind: kind.to_owned() });
        }
    };
    let template = object.pointer(base).filter(|template| !template.is_null());
    Ok(match template {
        Some(template) => Some(Pod::at(template, base)),
        None if kind == "ReplicationController" => None,
        None => Some(Pod::at(&Value::Null, base)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::extract;

    #[test]
    fn finds_the_pod_of_every_controller() {
        let template = json!({"metadata": {}, "spec": {"runtimeClassName": "x"}});
        let spec = json!({"template": template});
        let table = [
            (json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]}), ""),
            (json!({"apiVersion": "v1", "kind": "PodTemplate", "template": template}), "/template"),
            (json!({"apiVersion": "v1", "kind": "ReplicationController", "spec": spec}), "/spec/template"),
            (json!({"apiVersion": "apps/v1", "kind": "ReplicaSet", "spec": spec}), "/spec/template"),
            (json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}), "/spec/template"),
            (json!({"apiVersion": "apps/v1", "kind": "StatefulSet", "spec": spec}), "/spec/template"),
            (json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "spec": spec}), "/spec/template"),
            (json!({"apiVersion": "batch/v1", "kind": "Job", "spec": spec}), "/spec/template"),
            (
                json!({"apiVersion": "batch/v1", "kind": "CronJob", "spec": {"jobTemplate": {"spec": spec}}}),
                "/spec/jobTemplate/spec/template",
            ),
        ];
        for (object, base) in table {
            let pod = extract(&object).unwrap().unwrap();
            assert_eq!((pod.base(), pod.runtime_class()), (base, "x"), "{object}");
        }
    }

    #[test]
    fn names_what_holds_no_pod() {
        let table = [
            (json!({"apiVersion": "v1", "kind": "Secret"}), "unexpected object type: /v1, Kind=Secret"),
            (json!({"apiVersion": "apps/v2", "kind": "Job"}), "unexpected object type: apps/v2, Kind=Job"),
            (json!(3), "unexpected object type: /, Kind="),
        ];
        for (object, text) in table {
            assert_eq!(extract(&object).unwrap_err().to_string(), text);
        }
        let empty = json!({"apiVersion": "v1", "kind": "ReplicationController", "spec": {}});
        assert!(extract(&empty).unwrap().is_none());
    }
}
