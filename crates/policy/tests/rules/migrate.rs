//! What policies and labels become, and that the proof tells when verdicts differ.

use crate::lint::Still;
use crate::table::{only, rows, text};
use meshward_netlab::skipped;
use meshward_policy::exemption::Exemption;
use meshward_policy::migrate::{Given, migrate, prove};
use serde_json::{Value, json};

fn list(row: &Value, key: &str) -> Vec<Value> {
    row.get(key).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn texts(value: &Value) -> String {
    let all: Vec<&str> = value.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    all.join(" ")
}

/// The exemptions in short: kind, name, images, kinds, control and values.
fn allowed(objects: &[Value]) -> Vec<String> {
    let mut all = Vec::new();
    for object in objects.iter().filter(|object| text(object, "kind") != "Namespace") {
        let exemption = Exemption::parse(object).unwrap_or_else(|errors| panic!("{object}: {errors:?}"));
        for entry in object["spec"]["entries"].as_array().unwrap() {
            let holder = match entry.get("containers") {
                None => "pod".to_owned(),
                Some(containers) => {
                    format!("{} {}", texts(&containers["images"]), texts(&containers["kinds"]))
                }
            };
            for allow in entry["allow"].as_array().unwrap() {
                let (control, values) = (text(allow, "control"), texts(&allow["values"]));
                all.push(
                    format!("{} {} {holder} {control} {values}", exemption.kind(), exemption.key())
                        .trim()
                        .to_owned(),
                );
            }
        }
    }
    all
}

#[test]
fn documents_become_labels_and_exemptions() {
    for (place, row) in rows("migrate") {
        only(&row, &["name", "documents", "resources", "labels", "allow", "lost", "differs"], &place);
        let name = format!("{place}, {}", text(&row, "name"));
        let (documents, resources) = (list(&row, "documents"), list(&row, "resources"));
        let given = Given { documents: &documents, resources: &resources, environment: &Still };
        let migration = migrate(&given);
        let own = migration
            .objects
            .iter()
            .find(|object| object["metadata"]["name"] == "prod" && text(object, "kind") == "Namespace");
        let labels = own.map_or(Value::Null, |namespace| namespace["metadata"]["labels"].clone());
        assert_eq!(labels, row.get("labels").cloned().unwrap_or_default(), "{name}: {:?}", migration.notes);
        assert_eq!(
            json!(allowed(&migration.objects)),
            json!(list(&row, "allow")),
            "{name}: {:?}",
            migration.notes
        );
        let lost: Vec<&str> =
            migration.notes.iter().filter(|note| note.lost).map(|note| note.path.as_str()).collect();
        assert_eq!(json!(lost), json!(list(&row, "lost")), "{name}: {:?}", migration.notes);
        let proof = prove(&given, &migration);
        assert_eq!(proof.compared, resources.len(), "{name}");
        let differs: Vec<String> = proof
            .differences
            .iter()
            .map(|d| format!("{} {}", d.mode.as_str(), if d.before.is_some() { "before" } else { "after" }))
            .collect();
        assert_eq!(json!(differs), json!(list(&row, "differs")), "{name}: {:?}", proof.differences);
    }
}

/// The public library's policies are recognised by what they refuse.
#[test]
fn policies_of_the_library_are_recognised() {
    let Some(suites) = suites() else { return skipped("no suites of the peers here") };
    let folder = suites.join("kyverno-policies/pod-security");
    let cases = [
        ("baseline/disallow-host-namespaces/disallow-host-namespaces", "recognised as Host Namespaces"),
        ("baseline/disallow-host-process/disallow-host-process", "recognised as HostProcess"),
        ("baseline/disallow-host-path/disallow-host-path", "recognised as HostPath Volumes"),
        ("baseline/restrict-apparmor-profiles/restrict-apparmor-profiles", "recognised as AppArmor"),
        (
            "restricted/require-run-as-non-root-user/require-run-as-non-root-user",
            "recognised as Running as Non-root user",
        ),
    ];
    for (name, expected) in cases {
        let path = folder.join(format!("{name}.yaml"));
        let mut documents = crate::table::documents(&path);
        documents[0]["metadata"]["name"] = json!("renamed");
        documents.push(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "prod"}}));
        let given = Given { documents: &documents, resources: &[], environment: &Still };
        let notes = migrate(&given).notes;
        assert!(notes.iter().any(|note| note.message == expected), "{name}: {notes:?}");
    }
}

fn suites() -> Option<std::path::PathBuf> {
    let given = std::env::var_os("MESHWARD_SUITES").map(std::path::PathBuf::from);
    let root = given
        .unwrap_or_else(|| std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"));
    root.is_dir().then_some(root)
}
