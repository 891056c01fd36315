//! Many manifests at once: files, folders and standard input, cut into documents as they are read and worked on by all
//! processors. Only the documents in work are in memory; results come back in the order of the input, whoever was
//! faster.
//!
//! ```text
//! paths ─ files ─► reader ─ batches of documents, bounded ─► workers ─ in order, bounded ─► whoever takes them
//! ```

mod files;
mod progress;
mod reader;
mod stream;

use std::path::PathBuf;
use std::sync::Arc;

use annotate_snippets::Level;
use meshward_manifest::{Document, Limits, ManifestError, Span};

use crate::input;
use crate::results::{Problem, Source};

pub(crate) use files::{Found, files};
pub(crate) use stream::in_order;

/// Bounds of one document: a `List` of ten thousand pods fits, and not much more than a gigabyte is ever needed.
const LIMITS: Limits = Limits { bytes: 128 << 20, depth: 128, nodes: 4_000_000, repeated_nodes: 1_000_000 };

/// A document in its file.
pub(crate) struct Part<'a> {
    /// The file as the user named it.
    pub(crate) file: &'a Arc<str>,
    /// The text around the document.
    pub(crate) source: Source<'a>,
    /// The document.
    pub(crate) document: &'a Document,
}

impl Part<'_> {
    /// A problem of this document, with the line it is about.
    pub(crate) fn problem(&self, message: &str, span: Option<Span>) -> Problem {
        problem(self.file, self.source, message, span)
    }

    /// A warning about this document, laid out.
    pub(crate) fn warning(&self, message: &str, span: Option<Span>) -> String {
        input::report(self.source, self.file, Level::WARNING, message, span)
    }
}

/// What has to be told beside a document's value.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What could not be read.
    pub(crate) problems: Vec<Problem>,
    /// What may not be meant so, laid out.
    pub(crate) warnings: Vec<String>,
}

/// What was made of some documents that follow each other, or of all.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    /// One value a call, in the order of the documents.
    pub(crate) values: Vec<T>,
    /// Everything else, in the order of the input.
    pub(crate) told: Told,
}

impl<T> Default for Loaded<T> {
    fn default() -> Self {
        Self { values: Vec::new(), told: Told::default() }
    }
}

/// Calls `work` for every document of the files and folders `paths`. What cannot be read is told beside the values.
pub(crate) fn each_document<T: Send>(
    paths: &[PathBuf],
    work: impl Fn(&Part<'_>, &mut Told) -> T + Sync,
) -> Loaded<T> {
    let mut all = Loaded::default();
    in_order(files(paths), true, work, |loaded| {
        all.values.extend(loaded.values);
        all.told.problems.extend(loaded.told.problems);
        all.told.warnings.extend(loaded.told.warnings);
    });
    all
}

fn broken(file: &Arc<str>, source: Source<'_>, error: &ManifestError) -> Problem {
    problem(file, source, &error.problem.to_string(), Some(Span::empty(error.at)))
}

fn problem(file: &Arc<str>, source: Source<'_>, message: &str, span: Option<Span>) -> Problem {
    let report = input::report(source, file, Level::ERROR, message, span);
    let position = span.map(|span| source.position(span));
    Problem { file: file.clone(), position, message: message.to_owned(), report: Some(report) }
}

/// A problem of a whole file.
fn unreadable(file: &Arc<str>, message: String) -> Problem {
    Problem { file: file.clone(), message, ..Problem::default() }
}
