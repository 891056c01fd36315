//! A document to lint with its file, kept until all are read: findings may be about one and be found by another.

use std::sync::Arc;

use meshward_manifest::{Document, Location};
use meshward_policy::lint::{self, Finding, Severity as Weight};
use serde_json::Value;

use crate::load::{Part, Told};
use crate::results::{FieldValue, Listed, ObjectReference, Position, Severity, Source, Status, Verdict};

/// One object of a document.
pub(crate) struct Written {
    file: Arc<str>,
    text: Arc<[u8]>,
    start: Location,
    document: Arc<Document>,
    /// Which of the document's objects.
    number: usize,
}

/// The objects of a document that can be linted.
pub(crate) fn read(part: &Part<'_>, told: &mut Told) -> Vec<Written> {
    let mut found = Vec::new();
    let mut kept: Option<(Arc<[u8]>, Arc<Document>)> = None;
    for (number, object) in part.document.objects().enumerate() {
        if lint::is_about(&object.value) {
            let (text, document) = kept
                .get_or_insert_with(|| (part.source.text.into(), Arc::new(part.document.clone())))
                .clone();
            found.push(Written { file: part.file.clone(), text, start: part.source.start, document, number });
        } else if let Err(refused) = crate::kinds::subject(&object.value) {
            let place = object.get(refused.pointer).or_else(|| object.place());
            told.problems.push(part.problem(&refused.message, place.map(|place| place.value)));
        }
    }
    found
}

impl Written {
    /// The object.
    pub(crate) fn value(&self) -> Value {
        self.document.objects().nth(self.number).map(|object| object.value.into_owned()).unwrap_or_default()
    }

    fn source(&self) -> Source<'_> {
        Source { text: &self.text, start: self.start }
    }

    fn position(&self, pointer: &str) -> Option<Position> {
        let object = self.document.objects().nth(self.number)?;
        let (place, found) = object.nearest(pointer)?;
        // Where something is missing, the key of what lacks it; a whole object is told by its first line.
        let span = if found { place.value } else { place.key.unwrap_or(place.value) };
        Some(self.source().position(span))
    }

    /// `policy.yaml:12`, for a path in the object.
    pub(crate) fn place(&self, path: &str) -> String {
        match self.position(&lint::pointer(path)) {
            Some(position) => format!("{}:{}", self.file, position.line),
            None => self.file.to_string(),
        }
    }

    /// The object with its findings.
    pub(super) fn listed<'f>(&self, findings: impl Iterator<Item = &'f Finding>, excerpts: bool) -> Listed {
        let value = self.value();
        let object = ObjectReference {
            file: self.file.clone(),
            position: self.position(""),
            ..ObjectReference::of(&value)
        };
        let mut verdicts: Vec<Verdict> = findings.map(|finding| self.verdict(&value, finding)).collect();
        if verdicts.is_empty() {
            verdicts.push(Verdict::new("", "lint", Status::Pass, "nothing found"));
        }
        let positions =
            || verdicts.iter().flat_map(|verdict| &verdict.fields).filter_map(|field| field.position);
        let excerpt = excerpts.then(|| self.source().excerpt(positions())).flatten();
        Listed { object, verdicts, headline: None, excerpt }
    }

    fn verdict(&self, value: &Value, finding: &Finding) -> Verdict {
        let lint = finding.lint;
        let (status, severity) = match lint.severity {
            Weight::Error => (Status::Fail, Severity::High),
            Weight::Warning => (Status::Warn, Severity::Medium),
            Weight::Info => (Status::Warn, Severity::Info),
        };
        let mut verdict = Verdict::new("", lint.id, status, finding.message.clone());
        verdict.severity = Some(severity);
        verdict.fields = vec![FieldValue {
            path: finding.path.clone(),
            value: value
                .pointer(&finding.pointer)
                .filter(|value| !value.is_object())
                .cloned()
                .unwrap_or_default(),
            position: self.position(&finding.pointer),
            remark: format!("instead: {}", finding.instead),
        }];
        verdict.properties.insert("explanation".into(), about(lint).into());
        verdict.properties.insert("instead".into(), finding.instead.clone());
        if let Some(fix) = &finding.fix {
            verdict.properties.insert("fix".into(), meshward_manifest::to_yaml(fix));
        }
        verdict
    }
}

/// What a lint finds; of a quirk, what Kyverno does.
pub(super) fn about(lint: &'static lint::Lint) -> &'static str {
    lint.quirk.map_or(lint.about, |quirk| quirk.text())
}

/// The narrowed forms, as YAML to put in the place of what is written.
pub(super) fn fixes(documents: &[Written], findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let (Some(fix), Some(document)) = (&finding.fix, documents.get(finding.document)) else { continue };
        let line = document.position(&finding.pointer).map_or(0, |position| position.line);
        let yaml = meshward_manifest::to_yaml(fix);
        text += &format!("\n# {}:{line}: instead of {}\n{yaml}", document.file, finding.path);
    }
    text
}
