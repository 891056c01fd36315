//! Documents inside annotations and variables (YAML or JSON), read as strictly and as bounded as manifests are.

use meshward_manifest::{Documents, Limits, Options};
use serde_json::Value;

use crate::pod::LONGEST_ANNOTATION;

/// Far above what any mesh writes, far below what would cost the agent anything.
const LIMITS: Limits = Limits { bytes: LONGEST_ANNOTATION, depth: 32, nodes: 32_768, repeated_nodes: 4096 };

/// Parses one document; an empty text is null.
///
/// # Errors
/// What is wrong with the text, and where in it.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    let options = Options { limits: LIMITS, spans: false, strict: false };
    let mut documents = Documents::new(text.as_bytes(), options);
    let value = match documents.next() {
        None => return Ok(Value::Null),
        Some(Err(error)) => return Err(error.to_string()),
        Some(Ok(document)) => document.value,
    };
    match documents.next() {
        None => Ok(value),
        Some(_) => Err("found more than one document, accepted: one".into()),
    }
}
