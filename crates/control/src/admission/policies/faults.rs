//! Evaluations that go wrong on purpose, for the tests of everything around them. Only in builds with the feature
//! `faults`, which no release has.

use std::time::Duration;

use serde_json::Value;

/// The evaluation panics with this annotation's text.
const PANIC: &str = "faults.meshward.dev/panic";
/// The evaluation takes so many milliseconds.
const SLEEP: &str = "faults.meshward.dev/sleep";

/// Does what a policy's annotations ask for.
#[allow(clippy::panic, reason = "that is what it is for")]
pub(super) fn strike(annotations: &Value) {
    let text = |name: &str| annotations.get(name).and_then(Value::as_str);
    if let Some(milliseconds) = text(SLEEP).and_then(|text| text.parse().ok()) {
        std::thread::sleep(Duration::from_millis(milliseconds));
    }
    if let Some(text) = text(PANIC) {
        panic!("{text}");
    }
}
