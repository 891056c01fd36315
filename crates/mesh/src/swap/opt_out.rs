//! Who does not want to be swapped. What the pod says beats what its namespace says, as everywhere.

use serde_json::Value;

use crate::known::SWAP;
use crate::pod::PodTemplate;
use crate::problem::{PlanError, Problem, quoted};

/// What says no, in words; None where nothing does.
///
/// # Errors
/// A value that is neither yes nor no: a misspelt "no" must not be taken for a yes.
pub(crate) fn of(pod: &PodTemplate<'_>, namespace: Option<&Value>) -> Result<Option<String>, PlanError> {
    let of_pod = pod.metadata().get("annotations").and_then(|annotations| annotations.get(SWAP));
    let of_namespace = || namespace?.pointer("/metadata/labels")?.get(SWAP);
    let (value, place) = match of_pod {
        Some(value) => (value, format!("annotation {SWAP} of the pod")),
        None => match of_namespace() {
            Some(value) => (value, format!("label {SWAP} of the namespace")),
            None => return Ok(None),
        },
    };
    match value.as_str() {
        Some("disabled") => Ok(Some(format!("{place} is \"disabled\""))),
        Some("enabled") => Ok(None),
        text => {
            let found = quoted(text.unwrap_or(&value.to_string()));
            let problem = Problem::Value { place, found, accepted: "enabled or disabled" };
            Err(PlanError { object: pod.title(), problems: vec![problem] })
        }
    }
}
