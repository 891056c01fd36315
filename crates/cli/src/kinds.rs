//! What a manifest's `apiVersion` and `kind` promise about pods. Pod Security Admission looks into eight kinds; a verb
//! that reads files has to tell "this kind has no pod" from "this is misspelt", because the second would pass in silence.

use meshward_policy::pss::{Pod, extract};
use serde_json::Value;

/// What there is to check in an object.
pub(crate) enum Subject<'a> {
    /// Its pod.
    Pod(Box<PodOf<'a>>),
    /// Nothing: objects of this kind hold no pod, or hold none here.
    Nothing,
}

/// The pod of an object.
pub(crate) struct PodOf<'a> {
    /// The pod or template.
    pub(crate) pod: Pod<'a>,
    /// The object that the view of the pod was made of: the whole, or the template of a custom resource.
    pub(crate) root: &'a Value,
    /// Where that object is in the whole, as a JSON pointer.
    pub(crate) base: &'static str,
}

/// Kinds that hold pods, with the only version of each that is served.
const POD_KINDS: [(&str, &str); 9] = [
    ("Pod", "v1"),
    ("PodTemplate", "v1"),
    ("ReplicationController", "v1"),
    ("Deployment", "apps/v1"),
    ("ReplicaSet", "apps/v1"),
    ("StatefulSet", "apps/v1"),
    ("DaemonSet", "apps/v1"),
    ("Job", "batch/v1"),
    ("CronJob", "batch/v1"),
];

/// The kinds of Kubernetes' own groups in their stable versions (k8s.io/api v0.37, apiextensions, kube-aggregator).
#[rustfmt::skip]
const STABLE: [(&str, &[&str]); 18] = [
    ("v1", &["Pod", "PodTemplate", "ReplicationController", "Service", "ConfigMap", "Secret", "Namespace", "Node",
        "ServiceAccount", "PersistentVolume", "PersistentVolumeClaim", "Endpoints", "Event", "LimitRange",
        "ResourceQuota", "Binding", "ComponentStatus", "List", "Status"]),
    ("apps/v1", &["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "ControllerRevision"]),
    ("batch/v1", &["Job", "CronJob"]),
    ("autoscaling/v1", &["HorizontalPodAutoscaler", "Scale"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("policy/v1", &["PodDisruptionBudget", "Eviction"]),
    ("rbac.authorization.k8s.io/v1", &["Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"]),
    ("networking.k8s.io/v1", &["Ingress", "IngressClass", "NetworkPolicy", "IPAddress", "ServiceCIDR"]),
    ("storage.k8s.io/v1", &["StorageClass", "VolumeAttachment", "CSIDriver", "CSINode", "CSIStorageCapacity",
        "VolumeAttributesClass"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("apiregistration.k8s.io/v1", &["APIService"]),
    ("admissionregistration.k8s.io/v1", &["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration",
        "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("discovery.k8s.io/v1", &["EndpointSlice"]),
    ("events.k8s.io/v1", &["Event"]),
    ("node.k8s.io/v1", &["RuntimeClass"]),
    ("certificates.k8s.io/v1", &["CertificateSigningRequest"]),
];

/// Where custom resources keep pod templates, most of them.
const TEMPLATES: [&str; 3] = ["/spec/template", "/spec/jobTemplate/spec/template", "/template"];

/// What there is to check in `object`.
///
/// # Errors
/// In words, why the object is none that a cluster would take, with what is accepted.
pub(crate) fn subject(object: &Value) -> Result<Subject<'_>, String> {
    if !object.is_object() {
        return Err(format!(
            "no Kubernetes object: found {}, accepted: a map with apiVersion and kind",
            name(object)
        ));
    }
    let (version, kind) = (text(object, "apiVersion")?, text(object, "kind")?);
    match extract(object) {
        Ok(Some(pod)) => return Ok(Subject::Pod(Box::new(PodOf { pod, root: object, base: "" }))),
        Ok(None) => return Ok(Subject::Nothing),
        Err(_) => known(version, kind)?,
    }
    // Pod Security Admission looks at the pods of a custom resource only when they come; whoever asks beforehand wants
    // to know then.
    let template = TEMPLATES.into_iter().find_map(|base| {
        let root = object.pointer(base)?;
        root.pointer("/spec/containers").is_some().then(|| PodOf { pod: Pod::new(root), root, base })
    });
    Ok(template.map_or(Subject::Nothing, |pod| Subject::Pod(Box::new(pod))))
}

fn text<'v>(object: &'v Value, field: &str) -> Result<&'v str, String> {
    match object.get(field) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text),
        None | Some(Value::Null | Value::String(_)) => {
            Err(format!("no Kubernetes object: {field} is missing, accepted: a map with apiVersion and kind"))
        }
        Some(other) => Err(format!("{field} is {}, accepted: a string", name(other))),
    }
}

fn name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// Whether a kind without a pod can be meant. Groups that are not Kubernetes' own may hold anything, and so may
/// versions that come and go with releases.
fn known(version: &str, kind: &str) -> Result<(), String> {
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    let mut groups = STABLE.iter().map(|(known, _)| known.rsplit_once('/').map_or("", |(group, _)| group));
    let ours = groups.any(|known| known == group) || group == "extensions";
    if ours && let Some((_, accepted)) = POD_KINDS.iter().find(|(known, _)| *known == kind) {
        return Err(format!("unknown apiVersion {version:?} of kind {kind}, accepted: {accepted}"));
    }
    match STABLE.iter().find(|(known, _)| *known == version) {
        Some((_, kinds)) if kinds.contains(&kind) => Ok(()),
        Some((_, kinds)) => Err(unknown_kind(version, kind, kinds)),
        None if ours && !is_unstable(version) => Err(unknown_version(group, version)),
        None => Ok(()),
    }
}

fn is_unstable(version: &str) -> bool {
    let version = version.rsplit('/').next().unwrap_or_default();
    version.contains("alpha") || version.contains("beta")
}

fn unknown_kind(version: &str, kind: &str, kinds: &[&str]) -> String {
    // The same word in the wrong case, or in another group, is the commonest mistake.
    let elsewhere = STABLE.iter().find(|(_, kinds)| kinds.contains(&kind));
    let hint = match elsewhere {
        Some((accepted, _)) => format!("{kind} is of apiVersion {accepted}"),
        None => format!("accepted: {}", kinds.join(", ")),
    };
    format!("unknown kind {kind:?} of apiVersion {version}, {hint}")
}

fn unknown_version(group: &str, version: &str) -> String {
    let of_group = |known: &&str| known.rsplit_once('/').map_or("", |(group, _)| group) == group;
    let versions: Vec<&str> = STABLE.iter().map(|(version, _)| *version).filter(of_group).collect();
    format!("unknown apiVersion {version:?}, accepted: {}", versions.join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(version: &str, kind: &str) -> Result<&'static str, String> {
        let template = json!({"spec": {"containers": []}});
        let object = json!({"apiVersion": version, "kind": kind, "spec": {"template": template}});
        subject(&object).map(|subject| match subject {
            Subject::Pod(pod) if pod.base.is_empty() => "pod",
            Subject::Pod(pod) => pod.base,
            Subject::Nothing => "nothing",
        })
    }

    #[test]
    fn tells_other_kinds_from_misspelt_ones() {
        for (version, kind, expected) in [
            ("v1", "Pod", Ok("pod")),
            ("apps/v1", "Deployment", Ok("pod")),
            ("argoproj.io/v1alpha1", "Rollout", Ok("/spec/template")),
            ("apps.openshift.io/v1", "DeploymentConfig", Ok("/spec/template")),
            ("serving.knative.dev/v1", "Service", Ok("/spec/template")),
            (
                "batch/v1beta1",
                "CronJob",
                Err("unknown apiVersion \"batch/v1beta1\" of kind CronJob, accepted: batch/v1"),
            ),
            (
                "apps/v2",
                "Deployment",
                Err("unknown apiVersion \"apps/v2\" of kind Deployment, accepted: apps/v1"),
            ),
            (
                "extensions/v1beta1",
                "Deployment",
                Err("unknown apiVersion \"extensions/v1beta1\" of kind Deployment, accepted: apps/v1"),
            ),
            ("v1", "Deployment", Err("unknown apiVersion \"v1\" of kind Deployment, accepted: apps/v1")),
            ("v1", "pod", Err("unknown kind \"pod\" of apiVersion v1, accepted: Pod, PodTemplate, ")),
            (
                "v1",
                "Ingress",
                Err(
                    "unknown kind \"Ingress\" of apiVersion v1, Ingress is of apiVersion networking.k8s.io/v1",
                ),
            ),
            ("v2", "ConfigMap", Err("unknown apiVersion \"v2\", accepted: v1")),
            ("resource.k8s.io/v1", "ResourceClaim", Ok("/spec/template")),
            ("scheduling.k8s.io/v1alpha1", "Workload", Ok("/spec/template")),
        ] {
            match (found(version, kind), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{version} {kind}"),
                (Err(found), Err(expected)) => assert!(found.starts_with(expected), "{found}"),
                (found, _) => panic!("{version} {kind}: {found:?}"),
            }
        }
        for (version, kind) in
            [("v1", "Service"), ("rbac.authorization.k8s.io/v1", "Role"), ("example.org/v1", "Thing")]
        {
            let object = json!({"apiVersion": version, "kind": kind});
            assert!(matches!(subject(&object), Ok(Subject::Nothing)), "{version} {kind}");
        }
    }

    #[test]
    fn says_what_is_no_object() {
        for (object, message) in [
            (json!("text"), "no Kubernetes object: found a string, accepted: a map with apiVersion and kind"),
            (
                json!({"kind": "Pod"}),
                "no Kubernetes object: apiVersion is missing, accepted: a map with apiVersion and kind",
            ),
            (
                json!({"apiVersion": "v1"}),
                "no Kubernetes object: kind is missing, accepted: a map with apiVersion and kind",
            ),
            (json!({"apiVersion": 1, "kind": "Pod"}), "apiVersion is a number, accepted: a string"),
        ] {
            assert_eq!(subject(&object).err().as_deref(), Some(message));
        }
    }
}
