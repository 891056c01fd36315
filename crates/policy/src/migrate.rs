//! From what guards pods elsewhere to labels of namespaces and exemptions: Kyverno's podSecurity rules with their
//! exclusions and exceptions, the per-control policies of its public library, Pod Security Admission's labels and the
//! API server's file. Nobody changes what guards a cluster on trust, so the verdicts of both sides are compared on the
//! caller's own resources, and what cannot be carried over is said.
//!
//! ```text
//! documents ─┬─ rules: podSecurity, or recognised by what they refuse ─┐
//!            ├─ exclusions, exceptions ─► entries ─────────────────────┼─► Migration { objects, notes } ─ prove ─► Proof
//!            └─ labels, AdmissionConfiguration ────────────────────────┘
//! ```

mod entries;
mod exceptions;
mod namespaces;
mod proof;
mod recognise;
mod rules;

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::exemption::{EntrySpec, GROUP, VERSION};
use crate::lint::text;
use crate::pss::LevelVersion;

pub use crate::lint::Given;
pub use proof::{Difference, Proof, prove};

/// What became of the documents.
#[derive(Debug, Clone, Default)]
pub struct Migration {
    /// Namespaces with labels, then exemptions.
    pub objects: Vec<Value>,
    /// What did not become the same, or could not be carried over.
    pub notes: Vec<Note>,
}

/// Something that whoever migrates has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The document, by its place in the list.
    pub document: usize,
    /// Where in it, such as `spec.rules[0]`.
    pub path: String,
    /// Whether a part of the document is not carried over at all.
    pub lost: bool,
    /// What and why.
    pub message: String,
}

/// What is asked of one namespace.
#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    enforce: Option<LevelVersion>,
    audit: Option<LevelVersion>,
    warn: Option<LevelVersion>,
}

/// What is gathered while documents are read.
#[derive(Debug, Default)]
struct Plan {
    namespaces: BTreeMap<String, Asked>,
    exemptions: Vec<Value>,
    notes: Vec<Note>,
}

impl Plan {
    fn note(&mut self, document: usize, path: impl Into<String>, lost: bool, message: impl Into<String>) {
        let note = Note { document, path: path.into(), lost, message: message.into() };
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// An exemption for some namespaces; one namespace has it for itself.
    fn exempt(
        &mut self,
        name: &str,
        reason: &str,
        namespaces: &[String],
        subjects: Value,
        entries: &[EntrySpec],
    ) {
        if entries.is_empty() || namespaces.is_empty() {
            return;
        }
        let mut subjects = subjects;
        let mut metadata = json!({ "name": object_name(name) });
        let kind = match namespaces {
            [own] if !crate::wildcard::is_pattern(own) => {
                metadata["namespace"] = json!(own);
                "Exemption"
            }
            _ => {
                subjects["namespaces"] = json!(namespaces);
                "ClusterExemption"
            }
        };
        let mut spec = json!({ "reason": reason });
        if subjects.as_object().is_some_and(|subjects| !subjects.is_empty()) {
            spec["subjects"] = subjects;
        }
        spec["entries"] = json!(entries);
        let version = format!("{GROUP}/{VERSION}");
        self.exemptions
            .push(json!({ "apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec }));
    }
}

/// A name that an object can have.
fn object_name(text: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c.to_ascii_lowercase() } else { '-' };
    let name: String = text.chars().map(plain).take(200).collect();
    name.trim_matches(['-', '.']).to_owned()
}

/// Everything that can be carried over.
#[must_use]
pub fn migrate(given: &Given<'_>) -> Migration {
    let mut plan = Plan::default();
    namespaces::read(given, &mut plan);
    let carried = rules::read(given, &mut plan);
    exceptions::read(given, &carried, &mut plan);
    let labels = plan.namespaces.iter().map(|(name, asked)| namespaces::labelled(name, asked));
    let objects = labels.chain(plan.exemptions.iter().cloned()).collect();
    Migration { objects, notes: plan.notes }
}

/// The namespaces that the documents and resources speak of.
fn known_namespaces(given: &Given<'_>) -> Vec<String> {
    let of = |object: &Value| match text(object, "/kind") {
        "Namespace" => Some(text(object, "/metadata/name").to_owned()),
        "Policy" => Some(crate::lint::used::namespace_of(object).to_owned()),
        _ => None,
    };
    let resources =
        given.resources.iter().map(|resource| crate::lint::used::namespace_of(resource).to_owned());
    let mut names: Vec<String> = given.documents.iter().filter_map(of).chain(resources).collect();
    names.sort();
    names.dedup();
    names
}
