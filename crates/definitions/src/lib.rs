//! The custom resource definitions that the chart brings. A crate of its own, since only whoever writes them needs
//! schemas: neither the daemons nor the policies' engine carry the code for it.
//!
//! ```text
//! policy::exemption::schema (from the types) ─ structural ─┐
//! columns, names, rules of each kind ──────────────────────┴─► CustomResourceDefinition ─► charts/meshward/definitions
//! ```

mod kyverno;
mod ours;
mod reports;
mod status;
mod structural;

use serde_json::{Map, Value, json};

/// Whose definition it is; a folder of the chart for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    /// Our own kinds.
    Meshward,
    /// Kyverno's, as permissive as can be: what is in them is checked by the controller.
    Kyverno,
    /// Reports of the Policy Working Group.
    Reports,
    /// Those that are to take their place.
    OpenReports,
}

impl Set {
    /// The folder's name.
    pub fn folder(self) -> &'static str {
        match self {
            Set::Meshward => "meshward",
            Set::Kyverno => "kyverno",
            Set::Reports => "reports",
            Set::OpenReports => "openreports",
        }
    }
}

/// A definition to be written.
#[derive(Debug, Clone)]
pub struct Definition {
    /// Whose it is.
    pub set: Set,
    /// The object.
    pub object: Value,
}

impl Definition {
    /// The object's name, such as `exemptions.meshward.dev`.
    pub fn name(&self) -> &str {
        self.object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
    }

    /// Where it is written, below the folder of definitions.
    pub fn path(&self) -> String {
        format!("{}/{}.yaml", self.set.folder(), self.name())
    }
}

/// Every definition.
pub fn all() -> Vec<Definition> {
    let of =
        |set: Set, objects: Vec<Value>| objects.into_iter().map(move |object| Definition { set, object });
    of(Set::Meshward, ours::definitions())
        .chain(of(Set::Kyverno, kyverno::definitions()))
        .chain(of(Set::Reports, reports::definitions()))
        .chain(of(Set::OpenReports, reports::open_definitions()))
        .collect()
}

/// What a kind is called.
struct Names {
    group: &'static str,
    kind: &'static str,
    plural: &'static str,
    short: &'static str,
    category: Option<&'static str>,
    namespaced: bool,
}

impl Names {
    fn definition(&self, versions: Vec<Value>) -> Value {
        let Names { group, kind, plural, short, category, namespaced } = self;
        let mut names = json!({
            "kind": kind, "listKind": format!("{kind}List"), "plural": plural,
            "singular": kind.to_lowercase(), "shortNames": [short],
        });
        if let Some(category) = category {
            names["categories"] = json!([category]);
        }
        json!({
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": format!("{plural}.{group}")},
            "spec": {
                "group": group, "names": names,
                "scope": if *namespaced { "Namespaced" } else { "Cluster" },
                "versions": versions,
            },
        })
    }
}

/// A column of `kubectl get`; those of priority 1 are shown by `-o wide` only.
struct Column {
    name: &'static str,
    path: &'static str,
    of: &'static str,
    wide: bool,
}

const fn column(name: &'static str, path: &'static str, of: &'static str) -> Column {
    Column { name, path, of, wide: false }
}

const fn wide(name: &'static str, path: &'static str, of: &'static str) -> Column {
    Column { name, path, of, wide: true }
}

fn columns<'c>(columns: impl IntoIterator<Item = &'c Column>) -> Value {
    let write = |column: &Column| {
        let mut written = json!({"name": column.name, "type": column.of, "jsonPath": column.path});
        if column.wide {
            written["priority"] = json!(1);
        }
        written
    };
    columns.into_iter().map(write).collect()
}

/// The schema of an object with these properties beside those that every object has.
fn object_schema(description: &str, properties: Map<String, Value>, required: &[&str]) -> Value {
    let text = |of: &str| json!({"type": "string", "description": of});
    let mut all = Map::new();
    all.insert("apiVersion".into(), text("The version of the schema that the object is written in."));
    all.insert("kind".into(), text("What the object is."));
    all.insert("metadata".into(), json!({"type": "object"}));
    all.extend(properties);
    let mut schema = json!({"type": "object", "description": description, "properties": all});
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schema
}

#[cfg(test)]
mod tests;
