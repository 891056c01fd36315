//! Reading `podSecurity` and exclusions.

use super::{Exclusion, PodSecurity, PodSecurityError};
use crate::nearest::nearest;
use crate::pss::{CHECKS, Version};
use serde_json::Value;

pub(super) fn pod_security(value: &Value) -> Result<PodSecurity, PodSecurityError> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (level, version) = (text("level"), text("version"));
    let Ok(standard) = level.parse() else {
        return Err(wrong("level", &level, &["privileged", "baseline", "restricted"]));
    };
    let release = match version.as_str() {
        "" => Version::Latest,
        written => written.parse().map_err(|_| wrong("version", written, &["latest", "v1.N"]))?,
    };
    let exclusions = parse_exclusions(value.get("exclude").unwrap_or(&Value::Null), "exclude")?;
    Ok(PodSecurity { level, version, standard, release, exclusions })
}

/// Reads a list of exclusions, of a rule or of an exception.
///
/// # Errors
/// [`PodSecurityError`].
pub fn parse_exclusions(value: &Value, path: &str) -> Result<Vec<Exclusion>, PodSecurityError> {
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) => list,
        _ => return Err(wrong(path, &value.to_string(), &["a list"])),
    };
    list.iter().enumerate().map(|(index, value)| exclusion(value, &format!("{path}[{index}]"))).collect()
}

fn exclusion(value: &Value, path: &str) -> Result<Exclusion, PodSecurityError> {
    let at = |name: &str| format!("{path}.{name}");
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let texts = |name: &str| match value.get(name) {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(list) => {
            let all =
                list.as_array().map(|list| list.iter().map(|v| v.as_str().map(str::to_owned)).collect());
            all.flatten().ok_or_else(|| wrong(&at(name), &list.to_string(), &["a list of texts"]))
        }
    };
    let control = text("controlName");
    let controls = controls();
    if !controls.contains(&control.as_str()) {
        return Err(wrong(&at("controlName"), &control, &controls));
    }
    let (images, values) = (texts("images")?, texts("values")?);
    Ok(Exclusion { control, images, field: text("restrictedField"), values })
}

/// The names of all controls.
fn controls() -> Vec<&'static str> {
    let mut names: Vec<_> = CHECKS.iter().map(|check| check.control).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn wrong(path: &str, found: &str, accepted: &[&str]) -> PodSecurityError {
    let hint = nearest(found, accepted.iter().copied())
        .map(|name| format!("; did you mean {name:?}?"))
        .unwrap_or_default();
    let accepted = accepted.join(", ");
    PodSecurityError {
        path: path.to_owned(),
        reason: format!("unknown {found:?}, accepted: {accepted}{hint}"),
    }
}
