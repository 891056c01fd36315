//! Reading manifests from files and standard input, and pointing at what is wrong in them: file, line, column, and the
//! user's own line under the message.

use std::io::{ErrorKind, IsTerminal, Read};
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use meshward_manifest::{Document, Documents, Options, Place, Span};

use crate::exit::Failure;
use crate::kyverno::problem::{Problem, Problems};
use crate::load::Found;
use crate::results::Source;
use crate::terminal;

/// A file, read and parsed.
#[derive(Debug)]
pub(crate) struct Input {
    /// As the user named it.
    pub(crate) name: String,
    text: Vec<u8>,
    /// Its documents; at least one.
    pub(crate) documents: Vec<Document>,
}

impl Input {
    /// Reads `path`, or standard input for `-`. Every document that cannot be read is reported; one is enough to fail,
    /// because half a file may be less than its author meant.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let name = name_of(path);
        let text = bytes(path).map_err(|error| Failure::input(format!("cannot read {name}: {error}")))?;
        let mut input = Self { name, text, documents: Vec::new() };
        let mut broken = Vec::new();
        for document in Documents::new(&input.text, Options::default()) {
            match document {
                Ok(document) => input.documents.push(document),
                Err(error) => broken.push(error),
            }
        }
        if !broken.is_empty() {
            let reports: Vec<String> = broken
                .iter()
                .map(|error| {
                    input.report(Level::ERROR, &error.problem.to_string(), Some(Span::empty(error.at)))
                })
                .collect();
            return Err(Failure::Reported(reports.join("\n")));
        }
        if input.documents.is_empty() {
            return Err(Failure::input(format!(
                "{}: no document; accepted: YAML or JSON with at least one",
                input.name
            )));
        }
        Ok(input)
    }

    /// Reads `path` and keeps what can be read of it; every document that cannot be read is told and does not stop the
    /// others. `None` if the file itself cannot be read.
    pub(crate) fn read_readable(path: &Path, problems: &mut Problems) -> Option<Self> {
        Some(Self::open(path, problems)?.parsed(problems))
    }

    /// What was read already, with every document of it that can be read.
    pub(crate) fn of_text(name: &str, text: Vec<u8>, problems: &mut Problems) -> Self {
        Self { name: name.to_owned(), text, documents: Vec::new() }.parsed(problems)
    }

    fn parsed(mut self, problems: &mut Problems) -> Self {
        let mut documents = Vec::new();
        for document in Documents::new(&self.text, Options::default()) {
            match document {
                Ok(document) => documents.push(document),
                Err(error) => problems.tell(Problem::broken(&self, &error)),
            }
        }
        self.documents = documents;
        self
    }

    /// The bytes of `path`, nothing of it parsed. `None`, and told, if it cannot be read.
    pub(crate) fn open(path: &Path, problems: &mut Problems) -> Option<Self> {
        let name = name_of(path);
        match bytes(path) {
            Ok(text) => Some(Self { name, text, documents: Vec::new() }),
            Err(error) => {
                problems.tell(Problem::of_file(&name, format!("cannot read {name}: {error}")));
                None
            }
        }
    }

    /// What a file holds, nothing of it parsed.
    ///
    /// # Errors
    /// What keeps it from being read.
    pub(crate) fn of(found: &Found) -> std::io::Result<Self> {
        let mut text = Vec::new();
        found.open()?.read_to_end(&mut text)?;
        Ok(Self { name: found.name.to_string(), text, documents: Vec::new() })
    }

    /// The file as it is.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.text
    }

    /// A document as it is written, where that can be told: what was cut out has to read as the document again.
    pub(crate) fn source(&self, document: &Document) -> Option<String> {
        let start = document.span.start.offset as usize;
        let line =
            self.text.get(..start)?.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let text = std::str::from_utf8(self.text.get(line..document.span.end as usize)?).ok()?;
        let text = text.trim_end().to_string() + "\n";
        let mut again = Documents::new(text.as_bytes(), Options { spans: false, ..Options::default() });
        let same = again.next()?.is_ok_and(|again| again.value == document.value) && again.next().is_none();
        same.then_some(text)
    }

    /// An error of this file with the line it is about, where that is known.
    pub(crate) fn error(&self, message: &str, place: Option<Place>) -> String {
        self.report(Level::ERROR, message, place.map(|place| place.value))
    }

    /// A warning of this file with the line it is about, where that is known.
    pub(crate) fn warning(&self, message: &str, place: Option<Place>) -> String {
        self.report(Level::WARNING, message, place.map(|place| place.key.unwrap_or(place.value)))
    }

    fn report(&self, level: Level<'_>, message: &str, span: Option<Span>) -> String {
        report(Source::whole(&self.text), &self.name, level, message, span)
    }
}

/// A path as messages name it.
fn name_of(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_string() } else { path.display().to_string() }
}

/// A message about a file, or about a document of it, with the line it is about.
pub(crate) fn report(
    source: Source<'_>,
    name: &str,
    level: Level<'_>,
    message: &str,
    span: Option<Span>,
) -> String {
    let renderer = match terminal::colours_on(std::io::stderr().is_terminal()) {
        true => Renderer::styled(),
        false => Renderer::plain(),
    };
    let title = level.primary_title(message);
    let Some(span) = span else {
        return format!("{}\n  --> {name}", renderer.render(&[Group::with_title(title)]));
    };
    let window = Window::around(source, &span);
    let snippet = Snippet::source(window.text.as_str())
        .line_start(window.first_line)
        .path(name)
        .annotation(AnnotationKind::Primary.span(window.span));
    renderer.render(&[title.element(snippet)]).to_string()
}

fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut text)?;
    } else {
        std::fs::File::open(path)?.read_to_end(&mut text).map_err(|error| match error.kind() {
            ErrorKind::IsADirectory => {
                std::io::Error::other("it is a folder, accepted: a file, or - for standard input")
            }
            _ => error,
        })?;
    }
    Ok(text)
}

/// The few lines of a file that a message is about: a snippet of a large file must not cost the whole file.
struct Window {
    text: String,
    first_line: usize,
    span: std::ops::Range<usize>,
}

impl Window {
    /// At most this many bytes of one line, and of what is marked in it.
    const LONGEST: usize = 160;

    fn around(source: Source<'_>, span: &Span) -> Self {
        let Source { text, start: base } = source;
        let inside = |offset: u32| offset.saturating_sub(base.offset) as usize;
        let at = inside(span.start.offset).min(text.len());
        let line_start = text[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let start = line_start.max(at.saturating_sub(Self::LONGEST));
        let line_end =
            text[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |length| at + length);
        let end = line_end.min(at + Self::LONGEST);
        let before = String::from_utf8_lossy(&text[start..at]).into_owned();
        let after = String::from_utf8_lossy(&text[at..end]).into_owned();
        let marked = inside(span.end).clamp(at, end) - at;
        // Lossy decoding may have changed lengths; what is marked has to end on a character.
        let marked =
            (0..=marked.min(after.len())).rev().find(|length| after.is_char_boundary(*length)).unwrap_or(0);
        let first = after.chars().next().map_or(0, char::len_utf8);
        let span = before.len()..before.len() + marked.max(first);
        Self { text: before + &after, first_line: span_line(source, line_start), span }
    }
}

fn span_line(source: Source<'_>, line_start: usize) -> usize {
    source.start.line as usize + source.text[..line_start].iter().filter(|byte| **byte == b'\n').count()
}
