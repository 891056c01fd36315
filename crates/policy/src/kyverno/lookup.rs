//! What a rule's context needs from outside. The engine itself opens no file and no connection: a command line answers
//! from files, a webhook from watched objects, and both say by `None` what they cannot answer at all.

use serde_json::Value;

/// Answers for context entries. `None` means that such entries are not loaded here: a variable that names one is then
/// unknown, unless a value was given for it. An error is a failure of this one entry, in words.
pub trait Lookup {
    /// A ConfigMap, with `data` and `metadata`.
    fn config_map(&self, namespace: &str, name: &str) -> Option<Result<Value, String>> {
        let _ = (namespace, name);
        None
    }

    /// The response to `apiCall`, given with its variables replaced and before its `jmesPath` is applied.
    fn api_call(&self, call: &Value) -> Option<Result<Value, String>> {
        let _ = call;
        None
    }

    /// The value of a global context entry.
    fn global_reference(&self, name: &str) -> Option<Result<Value, String>> {
        let _ = name;
        None
    }

    /// Manifest and configuration of an image.
    fn image_data(&self, reference: &str) -> Option<Result<Value, String>> {
        let _ = reference;
        None
    }
}

/// Answers nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoLookup;

impl Lookup for NoLookup {}
