//! A pod as the API server shows it, read loosely: whatever of it is not as it should be is left out, and only what
//! decides rules is kept, as text, because a node holds a hundred of them and looks at each a few times in its life.

use std::sync::Arc;

use meshward_mesh::WAIT_CONTAINER;
use serde_json::{Map, Value, json};

/// The annotation by which the kubelet marks the API object of a static pod; its value is the uid that the container
/// runtime knows the pod by (kubernetes, pkg/kubelet/types/pod_update.go, `ConfigMirrorAnnotationKey`).
const MIRROR: &str = "kubernetes.io/config.mirror";
/// `kubectl apply` keeps a second copy of the object here.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// Fields of a container that no mesh looks at.
const IDLE_FIELDS: [&str; 8] = [
    "imagePullPolicy",
    "lifecycle",
    "resizePolicy",
    "resources",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "volumeDevices",
    "workingDir",
];
/// Fields of a pod's specification that decide rules.
const SPEC_FIELDS: [&str; 7] =
    ["containers", "hostNetwork", "hostUsers", "initContainers", "nodeSelector", "os", "securityContext"];

/// Why an object of the API server is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an object without {missing}: {name}")]
pub struct MalformedObject {
    /// The field.
    pub missing: &'static str,
    /// Whatever name it has.
    pub name: String,
}

/// A pod of this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodView {
    /// Its uid in the API.
    pub uid: String,
    /// Its uid in the container runtime; another one for static pods.
    pub key: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The containers that run, by name.
    pub running: Vec<String>,
    text: Arc<[u8]>,
}

impl PodView {
    /// Reads an object.
    ///
    /// # Errors
    /// [`MalformedObject`] when it has no name, namespace or uid.
    pub fn read(mut object: Value) -> Result<Self, MalformedObject> {
        let text = |field: &'static str| {
            let found = object.pointer("/metadata")?.get(field)?.as_str()?;
            (!found.is_empty()).then(|| found.to_string())
        };
        let name = text("name");
        let title = name.clone().unwrap_or_else(|| "no name either".into());
        let missing = |missing| MalformedObject { missing, name: title.clone() };
        let name = name.ok_or_else(|| missing("metadata.name"))?;
        let namespace = text("namespace").ok_or_else(|| missing("metadata.namespace"))?;
        let uid = text("uid").ok_or_else(|| missing("metadata.uid"))?;
        let mirror = object.pointer("/metadata/annotations").and_then(|all| all.get(MIRROR)?.as_str());
        let key = mirror.unwrap_or(&uid).to_string();
        let running = running(&object);
        trim(&mut object);
        let text = serde_json::to_vec(&object).unwrap_or_default().into();
        Ok(Self { uid, key, namespace, name, running, text })
    }

    /// The object, without what decides nothing.
    pub fn object(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or_default()
    }
}

/// Keeps of a Namespace what decides rules.
///
/// # Errors
/// [`MalformedObject`] when it has no name.
pub fn namespace(mut object: Value) -> Result<(String, Value), MalformedObject> {
    let name = object.pointer("/metadata/name").and_then(Value::as_str).map(str::to_string);
    let name =
        name.ok_or_else(|| MalformedObject { missing: "metadata.name", name: "no name either".into() })?;
    let mut metadata = json!({"name": name});
    for field in ["labels", "annotations"] {
        if let Some(found) = object.pointer_mut("/metadata").and_then(|all| all.get_mut(field)) {
            metadata[field] = found.take();
        }
    }
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    Ok((name, json!({"kind": "Namespace", "metadata": metadata})))
}

fn statuses(object: &Value) -> impl Iterator<Item = &Value> {
    ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"]
        .into_iter()
        .filter_map(|field| object.pointer("/status")?.get(field)?.as_array())
        .flatten()
}

fn running(object: &Value) -> Vec<String> {
    statuses(object)
        .filter(|status| status.pointer("/state/running").is_some_and(|state| !state.is_null()))
        .filter_map(|status| Some(status.get("name")?.as_str()?.to_string()))
        .filter(|name| name != WAIT_CONTAINER)
        .collect()
}

fn trim(object: &mut Value) {
    // Items of a list do not repeat their kind.
    let mut kept = json!({"kind": "Pod", "metadata": {}, "spec": {}, "status": {}});
    for field in ["name", "namespace", "labels", "annotations"] {
        if let Some(found) = object.pointer_mut("/metadata").and_then(|all| all.get_mut(field)) {
            kept["metadata"][field] = found.take();
        }
    }
    if let Some(annotations) = kept.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    for field in SPEC_FIELDS {
        if let Some(found) = object.pointer_mut("/spec").and_then(|spec| spec.get_mut(field)) {
            kept["spec"][field] = found.take();
        }
    }
    for field in ["containers", "initContainers"] {
        let list = kept["spec"].get_mut(field).and_then(Value::as_array_mut);
        for container in list.into_iter().flatten().filter_map(Value::as_object_mut) {
            for idle in IDLE_FIELDS {
                container.remove(idle);
            }
        }
    }
    if let Some(volumes) = object.pointer_mut("/spec/volumes").and_then(Value::as_array_mut) {
        // Kuma's proxy reads its settings from such a volume.
        let kind = |volume: &Value| volume.get("downwardAPI").is_some();
        kept["spec"]["volumes"] = volumes.iter_mut().filter(|one| kind(one)).map(Value::take).collect();
    }
    kept["status"]["phase"] = object.pointer("/status/phase").cloned().unwrap_or_default();
    kept["status"]["initContainerStatuses"] = finished(object);
    *object = kept;
}

/// The init containers that came to their end.
fn finished(object: &Value) -> Value {
    let list = object.pointer("/status/initContainerStatuses").and_then(Value::as_array);
    let ended = list.into_iter().flatten().filter_map(|status| {
        let code = status.pointer("/state/terminated/exitCode")?;
        let mut kept = Map::new();
        kept.insert("name".into(), status.get("name")?.clone());
        kept.insert("state".into(), json!({"terminated": {"exitCode": code}}));
        Some(Value::Object(kept))
    });
    ended.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_decides_rules_is_kept() {
        let view = PodView::read(json!({
            "metadata": {"name": "web", "namespace": "shop", "uid": "u1", "managedFields": [{"manager": "x"}],
                "annotations": {LAST_APPLIED: "{…}", "sidecar.istio.io/inject": "true"}},
            "spec": {"containers": [{"name": "web", "resources": {"limits": {}}, "args": ["a"]}, 7],
                "tolerations": [{}], "volumes": [{"name": "a", "emptyDir": {}}, {"name": "b", "downwardAPI": {}}]},
            "status": {"phase": "Running", "conditions": [{}],
                "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 0, "x": 1}}}],
                "containerStatuses": [{"name": "web", "state": {"running": {}}}, {"name": "b", "state": {}}, 1]},
        }))
        .unwrap();
        assert_eq!((view.key.as_str(), view.running.as_slice()), ("u1", &["web".to_string()][..]));
        let expected = json!({"kind": "Pod",
            "metadata": {"name": "web", "namespace": "shop", "annotations": {"sidecar.istio.io/inject": "true"}},
            "spec": {"containers": [{"name": "web", "args": ["a"]}, 7], "volumes": [{"name": "b", "downwardAPI": {}}]},
            "status": {"phase": "Running",
                "initContainerStatuses": [{"name": "init", "state": {"terminated": {"exitCode": 0}}}]}});
        assert_eq!(view.object(), expected);
    }

    #[test]
    fn a_static_pod_is_known_by_the_runtimes_uid() {
        let object = json!({"metadata": {"name": "etcd", "namespace": "kube-system", "uid": "api",
            "annotations": {MIRROR: "hash"}}});
        let view = PodView::read(object).unwrap();
        assert_eq!((view.uid.as_str(), view.key.as_str()), ("api", "hash"));
    }

    #[test]
    fn what_is_no_object_is_told() {
        for (object, missing) in [
            (json!(7), "metadata.name"),
            (json!({"metadata": []}), "metadata.name"),
            (json!({"metadata": {"name": "web"}}), "metadata.namespace"),
            (json!({"metadata": {"name": "web", "namespace": "shop", "uid": 7}}), "metadata.uid"),
        ] {
            assert_eq!(PodView::read(object).unwrap_err().missing, missing);
        }
        assert_eq!(namespace(json!({"metadata": {"name": 1}})).unwrap_err().missing, "metadata.name");
    }
}
