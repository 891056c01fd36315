//! Finding the pods in whatever object a user or the API server hands over. Every workload kind keeps its pod
//! template somewhere else, and lists nest them; this module is the one place that knows where.

use serde_json::Value;

use crate::pod::PodTemplate;

/// Lists inside lists are followed this deep; `kubectl` never writes more than one level.
const MOST_NESTED: usize = 4;

/// The pods and pod templates that `object` holds, in its order: a Pod, a PodTemplate, a workload of any kind whose
/// template stands at `spec.template` (Deployment, ReplicaSet, ReplicationController, StatefulSet, DaemonSet, Job,
/// DeploymentConfig, Argo's Rollout, Knative's Service…), a CronJob, or a list of such objects. Anything else
/// holds none.
pub fn pods(object: &Value) -> Vec<PodTemplate<'_>> {
    let mut found = Vec::new();
    collect(object, None, String::new(), 0, &mut found);
    found
}

fn collect<'a>(
    object: &'a Value,
    kind_of_items: Option<&'a str>,
    pointer: String,
    depth: usize,
    found: &mut Vec<PodTemplate<'a>>,
) {
    let kind = object.get("kind").and_then(Value::as_str).or(kind_of_items).unwrap_or_default();
    if let Some(items) = object.get("items").and_then(Value::as_array)
        && kind.ends_with("List")
    {
        if depth < MOST_NESTED {
            // The items of a PodList need not repeat their kind.
            let kind_of_items = kind.strip_suffix("List").filter(|kind| !kind.is_empty());
            for (index, item) in items.iter().enumerate() {
                collect(item, kind_of_items, format!("{pointer}/items/{index}"), depth + 1, found);
            }
        }
        return;
    }
    let place = match kind {
        "" => return,
        "Pod" => "",
        "PodTemplate" => "/template",
        "CronJob" => "/spec/jobTemplate/spec/template",
        _ => "/spec/template",
    };
    let Some(template) = object.pointer(place) else { return };
    if kind == "Pod" || template.pointer("/spec/containers").is_some_and(Value::is_array) {
        found.push(PodTemplate::new(kind, object, template, pointer + place));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pointers(object: &Value) -> Vec<String> {
        pods(object).iter().map(|pod| format!("{} {} {}", pod.kind(), pod.name(), pod.pointer())).collect()
    }

    fn template() -> Value {
        json!({"metadata": {}, "spec": {"containers": [{"name": "app"}]}})
    }

    #[test]
    fn every_workload_kind_has_its_place() {
        for kind in [
            "Deployment",
            "ReplicaSet",
            "ReplicationController",
            "StatefulSet",
            "DaemonSet",
            "Job",
            "DeploymentConfig",
            "Rollout",
        ] {
            let object = json!({"kind": kind, "metadata": {"name": "web"}, "spec": {"template": template()}});
            assert_eq!(pointers(&object), [format!("{kind} web /spec/template")]);
        }
        let object = json!({"kind": "CronJob", "metadata": {"name": "tick"},
            "spec": {"jobTemplate": {"spec": {"template": template()}}}});
        assert_eq!(pointers(&object), ["CronJob tick /spec/jobTemplate/spec/template"]);
        let object = json!({"kind": "PodTemplate", "metadata": {"name": "t"}, "template": template()});
        assert_eq!(pointers(&object), ["PodTemplate t /template"]);
        let object = json!({"kind": "Pod", "metadata": {"generateName": "web-"}, "spec": {}});
        assert_eq!(pointers(&object), ["Pod web- "]);
    }

    #[test]
    fn lists_are_followed_and_items_inherit_their_kind() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"containers": []}});
        let deployment =
            json!({"kind": "Deployment", "metadata": {"name": "b"}, "spec": {"template": template()}});
        let list = json!({"kind": "List", "items": [
            {"kind": "PodList", "items": [pod]}, deployment, {"kind": "Service", "spec": {}}, 7]});
        assert_eq!(pointers(&list), ["Pod a /items/0/items/0", "Deployment b /items/1/spec/template"]);
    }

    #[test]
    fn nothing_else_holds_pods() {
        for object in [
            json!({"kind": "Service", "spec": {"selector": {}}}),
            json!({"kind": "Namespace"}),
            json!({"spec": {"containers": []}}),
            json!({"kind": "Certificate", "spec": {"template": {"metadata": {}}}}),
            json!([]),
            json!("Pod"),
        ] {
            assert!(pods(&object).is_empty(), "{object}");
        }
    }
}
