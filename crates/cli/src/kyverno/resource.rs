//! An object of a file as Kyverno's command line hands it to the engine: in a namespace, and without nulls where maps
//! belong.

use serde_json::{Map, Value, json};

/// Kinds without a namespace, by group (Kubernetes 1.33, `kubectl api-resources --namespaced=false`).
const CLUSTER_WIDE: [(&str, &[&str]); 16] = [
    ("", &["ComponentStatus", "Namespace", "Node", "NodeProxyOptions", "PersistentVolume"]),
    (
        "admissionregistration.k8s.io",
        &[
            "MutatingAdmissionPolicy",
            "MutatingAdmissionPolicyBinding",
            "MutatingWebhookConfiguration",
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
            "ValidatingWebhookConfiguration",
        ],
    ),
    ("apiextensions.k8s.io", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io", &["APIService"]),
    ("authentication.k8s.io", &["SelfSubjectReview", "TokenReview"]),
    ("authorization.k8s.io", &["SelfSubjectAccessReview", "SelfSubjectRulesReview", "SubjectAccessReview"]),
    ("certificates.k8s.io", &["CertificateSigningRequest", "ClusterTrustBundle"]),
    ("flowcontrol.apiserver.k8s.io", &["FlowSchema", "PriorityLevelConfiguration"]),
    ("networking.k8s.io", &["IPAddress", "IngressClass", "ServiceCIDR"]),
    ("node.k8s.io", &["RuntimeClass"]),
    ("rbac.authorization.k8s.io", &["ClusterRole", "ClusterRoleBinding"]),
    ("resource.k8s.io", &["DeviceClass", "ResourceSlice"]),
    ("scheduling.k8s.io", &["PriorityClass"]),
    (
        "storage.k8s.io",
        &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
    ),
    ("kyverno.io", &["ClusterPolicy", "ClusterCleanupPolicy", "GlobalContextEntry"]),
    ("storagemigration.k8s.io", &["StorageVersionMigration"]),
];

/// Fields that are maps; Helm charts write them without a value.
const MAPS: [&str; 6] = ["annotations", "labels", "matchLabels", "nodeSelector", "data", "stringData"];

/// Whether objects of this kind have no namespace. Kinds that are not Kubernetes' own count as namespaced, unless a
/// definition says otherwise.
pub(crate) fn is_cluster_wide(api_version: &str, kind: &str, definitions: &[Value]) -> bool {
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let defined = definitions.iter().find(|definition| {
        definition["spec"]["group"] == group && definition["spec"]["names"]["kind"] == kind
    });
    match defined {
        Some(definition) => definition["spec"]["scope"] == "Cluster",
        None => CLUSTER_WIDE.iter().any(|(known, kinds)| *known == group && kinds.contains(&kind)),
    }
}

/// The object as the engine gets it: in the namespace `default` if it names none, with empty maps instead of nulls.
/// `definitions` are CustomResourceDefinitions.
pub(crate) fn prepared(mut object: Value, definitions: &[Value]) -> Value {
    let cluster_wide = is_cluster_wide(text(&object, "/apiVersion"), text(&object, "/kind"), definitions);
    if !cluster_wide && text(&object, "/metadata/namespace").is_empty() && object.is_object() {
        match object.get_mut("metadata") {
            Some(Value::Object(metadata)) => {
                metadata.insert("namespace".to_owned(), json!("default"));
            }
            Some(Value::Null) | None => object["metadata"] = json!({ "namespace": "default" }),
            Some(_) => {}
        }
    }
    fill_maps(&mut object);
    object
}

fn fill_maps(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if value.is_null() && MAPS.contains(&key.as_str()) {
                    *value = Value::Object(Map::new());
                } else {
                    fill_maps(value);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(fill_maps),
        _ => {}
    }
}

/// The text at a JSON pointer; empty where there is none.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The items of a list; none of anything else.
pub(crate) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_get_a_namespace_unless_their_kind_has_none() {
        let object = |kind: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}});
        assert_eq!(text(&prepared(object("Pod"), &[]), "/metadata/namespace"), "default");
        assert_eq!(text(&prepared(object("Namespace"), &[]), "/metadata/namespace"), "");
        assert_eq!(text(&prepared(json!({"kind": "Pod"}), &[]), "/metadata/namespace"), "default");
        let own = json!({"apiVersion": "a.b/v1", "kind": "C", "metadata": {"name": "a"}});
        let definition = json!({"spec": {"group": "a.b", "names": {"kind": "C"}, "scope": "Cluster"}});
        assert_eq!(text(&prepared(own.clone(), &[definition]), "/metadata/namespace"), "");
        assert_eq!(text(&prepared(own, &[]), "/metadata/namespace"), "default");
    }

    #[test]
    fn maps_without_a_value_are_empty_and_other_nulls_stay() {
        let object =
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"labels": null, "x": null}});
        let expected =
            json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"labels": {}, "x": null}});
        assert_eq!(prepared(object, &[]), expected);
    }
}
