//! The tables under `cases`: what `sigs.k8s.io/yaml` makes of scalars, keys and documents (`peers/peer.go` wrote the
//! answers). Every row must agree, save the few named here.

use std::fs;

use meshward_manifest::{Documents, ManifestError, Options};
use serde_json::Value;

/// Rows that libyaml refuses and YAML 1.2 allows; the value is right, so reading them harms nobody.
const ALLOWED: [(&str, &str); 2] = [(r#""\ud83d\ude00""#, r#""😀""#), (r#""\/""#, r#""/""#)];

fn table(name: &str) -> String {
    fs::read_to_string(format!("{}/tests/cases/{name}", env!("CARGO_MANIFEST_DIR"))).expect("case table")
}

/// The only document; `Value::Null` for none, as the peer prints it.
fn load(text: &str) -> Result<Value, ManifestError> {
    let mut documents = Documents::new(text.as_bytes(), Options::default());
    documents.next().transpose().map(|document| document.map_or(Value::Null, |document| document.value))
}

/// `None` where the peer reported an error.
fn expected(text: &str) -> Option<Value> {
    (text != "error").then(|| serde_json::from_str(text).expect("JSON in the table"))
}

/// Equal as JSON texts are: `1e21` and `1000000000000000000000` are one number.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

fn disagreement(name: &str, ours: &Result<Value, ManifestError>, theirs: Option<&Value>) -> Option<String> {
    match (ours, theirs) {
        (Ok(ours), Some(theirs)) if same(ours, theirs) => None,
        (Err(_), None) => None,
        _ => Some(format!("{name}\n  ours   {ours:?}\n  theirs {theirs:?}")),
    }
}

#[test]
fn scalars_resolve_as_in_go_yaml() {
    let table = table("scalars.tsv");
    let mut wrong = Vec::new();
    let mut rows = 0;
    for row in table.lines().skip(1) {
        let [text, value, key] = row.split('\t').collect::<Vec<_>>()[..] else { panic!("bad row {row:?}") };
        rows += 1;
        let allowed = ALLOWED.iter().find(|(allowed, _)| *allowed == text).map(|(_, value)| *value);
        let wanted = expected(allowed.unwrap_or(value));
        let ours = load(&format!("v: {text}\n")).map(|document| document["v"].clone());
        wrong.extend(disagreement(&format!("value {text}"), &ours, wanted.as_ref()));
        let wanted = expected(allowed.unwrap_or(key));
        let ours = load(&format!("? {text}\n: 1\n")).map(|document| {
            document.as_object().and_then(|map| map.keys().next().cloned()).unwrap_or_default().into()
        });
        wrong.extend(disagreement(&format!("key {text}"), &ours, wanted.as_ref()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rows > 200, "only {rows} rows");
}

#[test]
fn documents_load_as_in_go_yaml() {
    let table = table("documents.txt");
    let mut wrong = Vec::new();
    let mut cases = 0;
    for case in table.split("=== ").skip(1) {
        let (name, rest) = case.split_once('\n').expect("a name");
        let (text, wanted) = rest.rsplit_once("==> ").expect("an answer");
        let text = text.strip_suffix("\\\n").unwrap_or(text).replace("\\r\n", "\r\n");
        cases += 1;
        wrong.extend(disagreement(name, &load(&text), expected(wanted.trim_end()).as_ref()));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 80, "only {cases} cases");
}
