//! Context entries of a rule. Those of loops are not looked at; they fail when they are asked for.

use super::{Modes, Refused, list, present, text};
use crate::image::Image;
use crate::jmespath::{Dialect, Expression};
use crate::kyverno::variables;
use serde_json::Value;

/// Names that mean something already.
const TAKEN: [&str; 6] =
    ["images", "request", "serviceAccountName", "serviceAccountNamespace", "element", "elementIndex"];

pub(super) fn check(rule: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    for (index, entry) in list(rule, "context").iter().enumerate() {
        let path = format!("{path}.context[{index}]");
        let name = text(entry, "name");
        let taken =
            |word: &&&str| name == **word || name.strip_prefix(**word).is_some_and(|r| r.starts_with('.'));
        if let Some(word) = TAKEN.iter().find(taken) {
            refused.add(
                format!("{path}.name"),
                format!("{word} means something already, accepted: another name"),
            );
        }
        source(entry, &path, modes, refused);
    }
}

fn source(entry: &Value, path: &str, modes: &Modes, refused: &mut Refused<'_>) {
    if let Some(variable) = present(entry, "variable") {
        expression(variable, &format!("{path}.variable"), refused);
        let has_path = !text(variable, "jmesPath").is_empty();
        if present(variable, "value").is_none() && !has_path {
            refused.add(format!("{path}.variable"), "accepted: value, jmesPath, or both");
        }
        if present(variable, "default").is_some() && !has_path {
            refused
                .add(format!("{path}.variable.default"), "without jmesPath it is never used, accepted: both");
        }
    }
    if let Some(map) = present(entry, "configMap") {
        for name in ["name", "namespace"].into_iter().filter(|name| text(map, name).is_empty()) {
            refused.add(format!("{path}.configMap.{name}"), "missing");
        }
    }
    if let Some(call) = present(entry, "apiCall") {
        expression(call, &format!("{path}.apiCall"), refused);
        if !text(call, "urlPath").is_empty() && present(call, "service").is_some() {
            refused.add(format!("{path}.apiCall"), "both urlPath and service are set, accepted: one of them");
        }
    }
    if let Some(reference) = present(entry, "globalReference") {
        let path = format!("{path}.globalReference");
        expression(reference, &path, refused);
        if modes.namespaced {
            refused.add(&path, "it is not for a Policy, accepted: in a ClusterPolicy");
        } else if text(reference, "name").is_empty() {
            refused.add(format!("{path}.name"), "missing");
        }
    }
    if let Some(image) = present(entry, "imageRegistry") {
        let path = format!("{path}.imageRegistry");
        expression(image, &path, refused);
        let reference = text(image, "reference");
        let is_known = !variables::contains(reference);
        if reference.is_empty() {
            refused.add(format!("{path}.reference"), "missing");
        } else if let Some(error) = Image::parse(reference, "docker.io", true).err().filter(|_| is_known) {
            refused.add(format!("{path}.reference"), format!("{reference:?} is no image: {error}"));
        }
    }
}

/// A `jmesPath` without variables has to be one.
fn expression(source: &Value, path: &str, refused: &mut Refused<'_>) {
    let path = format!("{path}.jmesPath");
    let text = text(source, "jmesPath");
    if text.is_empty() || variables::contains(text) {
        return;
    }
    if let Err(error) = Expression::parse(text, Dialect::Kyverno) {
        refused.add(path, format!("{text:?} is no JMESPath: {error}"));
    }
}
