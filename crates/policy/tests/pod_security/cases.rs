//! Behaviour tables on disk.

use std::{fs, path::Path};

use meshward_manifest::{Documents, Options};
use serde_json::Value;

/// Reads the one YAML document of a file.
pub(crate) fn read(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut documents = Documents::new(&text, Options::default());
    let first = documents.next().unwrap_or_else(|| panic!("{}: empty", path.display()));
    assert!(documents.next().is_none(), "{}: more than one document", path.display());
    let document = first.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(document.warnings.is_empty(), "{}: {:?}", path.display(), document.warnings);
    document.value
}

/// The rows of a table in `tests/cases`.
pub(crate) fn table(name: &str) -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    rows(&read(&path), "cases").to_vec()
}

pub(crate) fn rows<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
