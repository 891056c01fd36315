//! What is wrong with policies, exceptions, exemptions and labels as they are written. The peers accept an exclusion
//! that can never match, one that exempts more than anybody meant, and one that a stranger's image fits; all three look
//! like the right one until an incident. Everything here reads objects only, and where resources are given it proves
//! what it says by evaluating them with and without the exclusion.
//!
//! ```text
//! documents ─┬─ fields, kinds, versions ──────────────────────────────┐
//!            ├─ exclusions · exemptions · exceptions · labels ────────┼─► [Finding { lint, path, message, instead, fix }]
//!            └─ with resources: what each exclusion saves, and needs ─┘
//! ```

mod admission;
mod cover;
pub(crate) mod documents;
mod exception;
mod exclusion;
mod exemption;
mod image;
pub(crate) mod namespaces;
mod table;
pub(crate) mod used;

use serde_json::Value;

use crate::go::time::Moment;
use crate::jmespath::Environment;
use crate::kyverno::quirk::Quirk;

pub use table::all;
pub use used::wider_than;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Not what is meant, or more than what is needed.
    Warning,
    /// Has no effect at all, is refused, or lets a stranger in.
    Error,
}

impl Severity {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One thing that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Lint {
    /// Its name, which never changes: kebab-case.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// What it finds, in one sentence.
    pub about: &'static str,
    /// What to write instead.
    pub instead: &'static str,
    /// The quirk of Kyverno that it points at.
    pub quirk: Option<Quirk>,
}

impl Lint {
    /// The lint of that name.
    #[must_use]
    pub fn named(id: &str) -> Option<&'static Lint> {
        all().find(|lint| lint.id == id)
    }
}

/// One thing found.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked for.
    pub lint: &'static Lint,
    /// The document, by its place in the list.
    pub document: usize,
    /// Where in it, such as `spec.entries[0].allow[1].values[0]`; empty for the whole.
    pub path: String,
    /// The same as a JSON pointer (RFC 6901), to find the line. It may name a place that does not exist.
    pub pointer: String,
    /// What is wrong here, with what was found.
    pub message: String,
    /// What to write instead, here.
    pub instead: String,
    /// The object, or the part of it at `path`, as it should be.
    pub fix: Option<Value>,
}

/// What is looked at.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    /// Policies, exceptions, exemptions, presets, namespaces, admission configurations; other objects are passed over.
    pub documents: &'a [Value],
    /// Pods and controllers, to tell what each exclusion saves; none if nobody asks.
    pub resources: &'a [Value],
    /// The clock, and what else expressions of policies may ask.
    pub environment: &'a dyn Environment,
}

impl Given<'_> {
    fn now(&self) -> Moment {
        // Without a clock nothing can be told of expiry; the beginning of time expires nothing.
        self.environment.now().unwrap_or(Moment { seconds: i64::MIN, nanoseconds: 0, offset: 0 })
    }
}

/// Everything that is found, in the order of the documents and, in each, as it is written.
#[must_use]
pub fn lint(given: &Given<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (document, value) in given.documents.iter().enumerate() {
        let mut report = Report { findings: &mut findings, document };
        documents::check(given, value, &mut report);
    }
    cover::check(given, &mut findings);
    if !given.resources.is_empty() {
        used::check(given, &mut findings);
    }
    findings.sort_by_key(|finding| finding.document);
    findings
}

/// Whether an object is of a kind that is looked at.
#[must_use]
pub fn is_about(object: &Value) -> bool {
    documents::kind(object).is_some()
}

/// Where findings about one document go.
struct Report<'f> {
    findings: &'f mut Vec<Finding>,
    document: usize,
}

impl Report<'_> {
    fn add(
        &mut self,
        lint: &'static Lint,
        path: impl Into<String>,
        message: String,
        instead: impl Into<String>,
    ) {
        let path = path.into();
        let instead: String = instead.into();
        self.findings.push(Finding {
            lint,
            document: self.document,
            pointer: pointer(&path),
            path,
            message,
            instead: if instead.is_empty() { lint.instead.to_owned() } else { instead },
            fix: None,
        });
    }

    fn fixed(&mut self, fix: Value) {
        if let Some(last) = self.findings.last_mut() {
            last.fix = Some(fix);
        }
    }

    /// Whether something of these kinds was found at a place of this document.
    fn has(&self, path: &str, lints: &[&'static Lint]) -> bool {
        let here = |finding: &&Finding| finding.document == self.document && finding.path == path;
        self.findings.iter().filter(here).any(|finding| lints.is_empty() || lints.contains(&finding.lint))
    }
}

/// A path such as `spec.entries[0].allow` as a JSON pointer (RFC 6901); brackets hold numbers, or keys of any text.
#[must_use]
pub fn pointer(path: &str) -> String {
    let mut pointer = String::with_capacity(path.len() + 1);
    let mut rest = path;
    while !rest.is_empty() {
        let (step, left) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']').unwrap_or((inside, "")),
            None => {
                let plain = rest.strip_prefix('.').unwrap_or(rest);
                plain.split_at(plain.find(['.', '[']).unwrap_or(plain.len()))
            }
        };
        pointer.push('/');
        pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
        rest = left;
    }
    pointer
}

pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a list; what is not a text is passed over, because its type is told elsewhere.
pub(crate) fn texts<'v>(value: &'v Value, key: &str) -> Vec<&'v str> {
    value.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// `; did you mean "x"?`
fn hint<'n>(found: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    crate::nearest::nearest(found, names).map(|name| format!("; did you mean {name:?}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_pointers() {
        let cases = [
            ("", ""),
            ("spec.rules[0].match", "/spec/rules/0/match"),
            ("metadata.labels[a.b/c]", "/metadata/labels/a.b~1c"),
            ("exempt[0][1]", "/exempt/0/1"),
        ];
        for (path, expected) in cases {
            assert_eq!(pointer(path), expected, "{path}");
        }
    }

    #[test]
    fn ids_are_names_of_their_own() {
        let mut ids: Vec<&str> = all().map(|lint| lint.id).collect();
        for id in &ids {
            assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
            assert_eq!(Lint::named(id).map(|lint| lint.id), Some(*id));
        }
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count);
        for quirk in Quirk::all() {
            assert_eq!(table::of_quirk(quirk).quirk, Some(quirk));
        }
    }
}
