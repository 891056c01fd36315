//! What the controller writes into the status of our kinds.

use serde_json::{Value, json};

/// The schema of `status`.
pub(crate) fn schema() -> Value {
    json!({
        "type": "object",
        "description": "What the controller found out; written by it alone.",
        "properties": {
            "observedGeneration": {
                "type": "integer", "format": "int64",
                "description": "The metadata.generation that this is about.",
            },
            "conditions": conditions("Ready: it was read and is in force. Expired, where it can expire."),
            "podsSaved": {
                "type": "integer", "format": "int64",
                "description": "How many pods would be found at fault without it.",
            },
            "lastUsed": {
                "type": "string", "format": "date-time",
                "description": "When the newest pod was made that it allowed something.",
            },
            "expired": {"type": "boolean", "description": "Whether it has no effect any more."},
            "noLongerNeeded": texts("What it allows and no pod needs: candidates to be taken out."),
            "overBroad": texts("What it allows more widely than any pod needs, and what would be enough."),
        },
    })
}

fn texts(about: &str) -> Value {
    json!({"type": "array", "description": about, "items": {"type": "string"}})
}

/// Conditions as all of Kubernetes has them.
pub(crate) fn conditions(about: &str) -> Value {
    json!({
        "type": "array",
        "description": about,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status"],
            "properties": {
                "type": {"type": "string", "description": "What it is about."},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "reason": {"type": "string", "description": "One word."},
                "message": {"type": "string", "description": "A sentence."},
                "lastTransitionTime": {"type": "string", "format": "date-time"},
                "observedGeneration": {"type": "integer", "format": "int64"},
            },
        },
    })
}
