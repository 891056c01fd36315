//! The kinds behind resources. Those of Kubernetes itself never change, and nearly every request about a subresource is
//! about one of them.

use serde_json::Value;

/// The kind of a built-in resource that has subresources.
pub(super) fn built_in(group: &str, resource: &str) -> Option<&'static str> {
    Some(match (group, resource) {
        ("", "pods") => "Pod",
        ("", "services") => "Service",
        ("", "nodes") => "Node",
        ("", "namespaces") => "Namespace",
        ("", "serviceaccounts") => "ServiceAccount",
        ("", "persistentvolumes") => "PersistentVolume",
        ("", "persistentvolumeclaims") => "PersistentVolumeClaim",
        ("", "replicationcontrollers") => "ReplicationController",
        ("", "resourcequotas") => "ResourceQuota",
        ("apps", "deployments") => "Deployment",
        ("apps", "replicasets") => "ReplicaSet",
        ("apps", "statefulsets") => "StatefulSet",
        ("apps", "daemonsets") => "DaemonSet",
        ("batch", "jobs") => "Job",
        ("batch", "cronjobs") => "CronJob",
        ("networking.k8s.io", "ingresses") => "Ingress",
        ("policy", "poddisruptionbudgets") => "PodDisruptionBudget",
        ("autoscaling", "horizontalpodautoscalers") => "HorizontalPodAutoscaler",
        ("apiextensions.k8s.io", "customresourcedefinitions") => "CustomResourceDefinition",
        ("certificates.k8s.io", "certificatesigningrequests") => "CertificateSigningRequest",
        _ => return None,
    })
}

/// The kind of a resource in an APIResourceList.
pub(super) fn find<'v>(list: &'v Value, resource: &str) -> Option<&'v str> {
    let mut all = list.get("resources")?.as_array()?.iter();
    let found = all.find(|one| one.get("name").is_some_and(|name| name == resource))?;
    found.get("kind")?.as_str()
}
