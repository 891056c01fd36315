//! `--generate-exceptions`: a PolicyException for each violation, as Kyverno writes it. Such exceptions are wide (a whole
//! rule, or any tag of an image); they are where a narrow one starts from.

use meshward_policy::image::Image;
use meshward_policy::kyverno::policy::RuleReport;
use serde_json::{Value, json};

use super::paper::document;
use crate::kyverno::policies::Loaded;
use crate::results::ObjectReference;

/// The exception for one failed rule. `images` are those of the object's containers, by the containers' names.
pub(super) fn exception(
    loaded: &Loaded,
    report: &RuleReport,
    object: &ObjectReference,
    images: &[(String, String)],
    ttl: &str,
) -> Value {
    let rule = &*report.result.rule;
    let mut kinds = vec![object.kind.clone()];
    let mut names = vec![object.name.clone()];
    let mut rules = vec![rule.to_owned()];
    // What a controller makes has to be let through too.
    if let Some(own) = rule.strip_prefix("autogen-cronjob-") {
        kinds.extend(["Job".to_owned(), "Pod".to_owned()]);
        rules.extend([format!("autogen-{own}"), own.to_owned()]);
    } else if let Some(own) = rule.strip_prefix("autogen-") {
        kinds.push("Pod".to_owned());
        rules.push(own.to_owned());
    }
    if rules.len() > 1 {
        names.push(format!("{}-*", object.name));
    }
    let name = [loaded.key.as_str(), rule, &object.namespace, &object.name].join("-").replace('/', "-");
    let mut metadata = json!({ "name": name });
    if ttl != "0" && ttl != "0s" {
        metadata = json!({ "labels": { "cleanup.kyverno.io/ttl": ttl }, "name": name });
    }
    let resources = json!({ "kinds": kinds, "names": names, "namespaces": [object.namespace] });
    let mut spec = json!({
        "exceptions": [{ "policyName": loaded.key, "ruleNames": rules }],
        "match": { "all": [{ "resources": resources }] },
    });
    if let Some(standard) = &report.standard {
        let controls = standard.controls.iter().map(|control| {
            let mut value = json!({ "controlName": control.control });
            let of = images_of(&control.containers, images);
            if !of.is_empty() {
                value["images"] = of.iter().map(|image| any_tag(image)).collect();
            }
            value
        });
        spec["podSecurity"] = controls.collect();
    }
    json!({ "apiVersion": "kyverno.io/v2beta1", "kind": "PolicyException", "metadata": metadata, "spec": spec })
}

/// A document with what Kyverno puts around it.
pub(super) fn text(exception: &Value, json: bool) -> String {
    format!("---\n{}\n", document(exception, json))
}

/// The images of containers with their registry and tag written out.
pub(super) fn images_of(containers: &[String], images: &[(String, String)]) -> Vec<String> {
    let of = |container: &String| {
        let (_, image) = images.iter().find(|(name, _)| name == container)?;
        Some(Image::parse(image, "docker.io", true).map_or_else(|_| image.clone(), |image| image.to_string()))
    };
    containers.iter().filter_map(of).collect()
}

/// An image of any tag or digest; a registry's port counts as a tag, as in Kyverno.
fn any_tag(image: &str) -> String {
    match image.find([':', '@']) {
        Some(at) => format!("{}*", &image[..at]),
        None => image.to_owned(),
    }
}
