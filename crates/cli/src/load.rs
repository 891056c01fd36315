//! Many manifests at once: files, folders and standard input, cut into documents as they are read and worked on by all
//! processors. Only the documents in work are in memory; results come back in the order of the input, whoever was
//! faster.
//!
//! ```text
//! paths ─ files ─► reader (this thread) ─ batches of documents, bounded ─► workers ─► values and problems, in order
//! ```

mod files;
mod progress;

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use annotate_snippets::Level;
use meshward_manifest::{ChunkReader, Document, Documents, Limits, ManifestError, Options, OwnedChunk, Span};

use crate::input;
use crate::results::{Problem, Source};
use progress::Progress;

pub(crate) use files::{Found, files};

/// Bounds of one document: a `List` of ten thousand pods fits, and not much more than a gigabyte is ever needed.
const LIMITS: Limits = Limits { bytes: 128 << 20, depth: 128, nodes: 4_000_000, repeated_nodes: 1_000_000 };
/// So many bytes of documents are handed over at once: one by one they would cost more to hand over than to work on.
const BATCH: usize = 64 << 10;

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

/// What was made of the documents.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    /// One value a call, in the order of the documents.
    pub(crate) values: Vec<T>,
    /// Everything else, in the order of the input.
    pub(crate) told: Told,
}

/// Calls `work` for every document of the files and folders `paths`. What cannot be read is told beside the values.
pub(crate) fn each_document<T: Send>(
    paths: &[PathBuf],
    work: impl Fn(&Part<'_>, &mut Told) -> T + Sync,
) -> Loaded<T> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(16);
    let done = Mutex::new(Vec::new());
    thread::scope(|scope| {
        // Full: the reader waits, so that no more than these batches are ever in memory.
        let (sender, receiver) = sync_channel::<Batch>(2 * threads);
        // The workers' own: if all of them panicked, sending fails instead of waiting for ever.
        let receiver = Arc::new(Mutex::new(receiver));
        let (done, work) = (&done, &work);
        for _ in 0..threads {
            let receiver = receiver.clone();
            scope.spawn(move || run_worker(&receiver, done, work));
        }
        drop(receiver);
        Reader { sender, next: 0, done, progress: Progress::start() }.read(paths);
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|output: &Output<T>| output.index);
    let mut loaded = Loaded { values: Vec::new(), told: Told::default() };
    for output in done {
        loaded.values.extend(output.values);
        loaded.told.problems.extend(output.told.problems);
        loaded.told.warnings.extend(output.told.warnings);
    }
    loaded
}

/// Some documents of one file.
struct Batch {
    index: usize,
    file: Arc<str>,
    chunks: Vec<OwnedChunk>,
    bytes: usize,
}

struct Output<T> {
    index: usize,
    values: Vec<T>,
    told: Told,
}

impl<T> Output<T> {
    fn new(index: usize) -> Self {
        Self { index, values: Vec::new(), told: Told::default() }
    }
}

fn run_worker<T>(
    batches: &Mutex<Receiver<Batch>>,
    done: &Mutex<Vec<Output<T>>>,
    work: &impl Fn(&Part<'_>, &mut Told) -> T,
) {
    loop {
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(batch) = batch else { return };
        let mut output = Output::new(batch.index);
        batch.chunks.iter().for_each(|chunk| evaluate(&batch.file, chunk, work, &mut output));
        done.lock().unwrap_or_else(PoisonError::into_inner).push(output);
    }
}

fn evaluate<T>(
    file: &Arc<str>,
    chunk: &OwnedChunk,
    work: &impl Fn(&Part<'_>, &mut Told) -> T,
    output: &mut Output<T>,
) {
    let source = Source { text: chunk.bytes(), start: chunk.start() };
    let options = Options { limits: LIMITS, ..Options::default() };
    for document in Documents::of_chunk(chunk.chunk(), options) {
        match document {
            Ok(document) => {
                let part = Part { file, source, document: &document };
                let warnings = document.warnings.iter();
                output.told.warnings.extend(
                    warnings.map(|warning| {
                        part.warning(&warning.kind.to_string(), Some(Span::empty(warning.at)))
                    }),
                );
                output.values.push(work(&part, &mut output.told));
            }
            Err(error) => output.told.problems.push(broken(file, source, &error)),
        }
    }
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

/// Reads the files one after the other and hands their documents out.
struct Reader<'d, T> {
    sender: SyncSender<Batch>,
    /// The number of the next batch or problem.
    next: usize,
    done: &'d Mutex<Vec<Output<T>>>,
    progress: Progress,
}

impl<T> Reader<'_, T> {
    fn read(mut self, paths: &[PathBuf]) {
        for found in files(paths) {
            match found {
                Ok(found) => self.read_file(&found),
                Err(problem) => self.tell(problem),
            }
        }
        self.progress.end();
    }

    fn read_file(&mut self, found: &Found) {
        let file = &found.name;
        let documents = match open(&found.path) {
            Ok(source) => self.cut(file, source),
            Err(error) => Err(error),
        };
        match documents {
            Ok(0) => {
                self.tell(unreadable(file, "no document; accepted: YAML or JSON with at least one".into()))
            }
            Ok(_) => {}
            Err(error) => self.tell(unreadable(file, format!("cannot read it: {error}"))),
        }
    }

    /// Hands out a file's documents; says how many texts there were that are not comments alone.
    fn cut(&mut self, file: &Arc<str>, source: Box<dyn Read>) -> io::Result<usize> {
        let mut reader = ChunkReader::new(source, &LIMITS);
        let mut batch = self.batch(file);
        let mut count = 0;
        while let Some(chunk) = reader.next_chunk()? {
            match chunk {
                Ok(chunk) => {
                    count += usize::from(holds_text(chunk.bytes()));
                    batch.bytes += chunk.bytes().len();
                    batch.chunks.push(chunk);
                }
                Err(error) => {
                    count += 1;
                    let full = std::mem::replace(&mut batch, self.batch(file));
                    self.send(full);
                    let at = Source { text: b"", start: error.at };
                    self.tell(broken(file, at, &error));
                    batch = self.batch(file);
                }
            }
            if batch.bytes >= BATCH {
                let full = std::mem::replace(&mut batch, self.batch(file));
                self.send(full);
            }
        }
        self.send(batch);
        Ok(count)
    }

    fn batch(&mut self, file: &Arc<str>) -> Batch {
        self.next += 1;
        Batch { index: self.next, file: file.clone(), chunks: Vec::new(), bytes: 0 }
    }

    fn send(&mut self, batch: Batch) {
        self.progress.add(batch.chunks.len());
        if !batch.chunks.is_empty() {
            // It fails only where every worker has panicked, which ends the process with their message.
            let _ = self.sender.send(batch);
        }
    }

    fn tell(&mut self, problem: Problem) {
        self.next += 1;
        let mut output = Output::new(self.next);
        output.told.problems.push(problem);
        self.done.lock().unwrap_or_else(PoisonError::into_inner).push(output);
    }
}

/// Whether there is anything in a document but comments and markers.
fn holds_text(bytes: &[u8]) -> bool {
    let blank =
        |line: &[u8]| matches!(line.trim_ascii(), [] | [b'#', ..] | b"---" | b"..." | b"\xef\xbb\xbf");
    !bytes.split(|byte| *byte == b'\n').all(blank)
}

fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path)?;
    match file.metadata()?.is_dir() {
        true => Err(io::Error::from(ErrorKind::IsADirectory)),
        false => Ok(Box::new(file)),
    }
}
