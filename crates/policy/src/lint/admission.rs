//! The API server's file of exemptions.

use serde_json::Value;

use super::Report;
use super::table::{INVALID, PSA_EXEMPTS_CONTROLLER};
use crate::psa::Configuration;

pub(super) fn check(object: &Value, report: &mut Report<'_>) {
    let inner = object.get("plugins").and_then(Value::as_array).and_then(|plugins| {
        plugins.iter().position(|plugin| plugin.get("name").is_some_and(|name| name == "PodSecurity"))
    });
    let prefix = inner.map(|index| format!("plugins[{index}].configuration.")).unwrap_or_default();
    let configuration = match Configuration::from_value(object) {
        Ok(configuration) => configuration,
        Err(errors) => {
            for error in errors {
                let path = if error.field.starts_with("plugins") {
                    "plugins".into()
                } else {
                    prefix.clone() + &error.field
                };
                report.add(&INVALID, path, error.problem, "");
            }
            return;
        }
    };
    for (index, user) in configuration.exemptions.usernames.iter().enumerate() {
        let controller =
            user.starts_with("system:serviceaccount:kube-system:") && user.ends_with("-controller");
        if controller || user == "system:kube-controller-manager" {
            let message = format!("{user:?} makes the pods of everybody's controllers");
            report.add(
                &PSA_EXEMPTS_CONTROLLER,
                format!("{prefix}exemptions.usernames[{index}]"),
                message,
                "",
            );
        }
    }
}
