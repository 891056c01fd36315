//! The threads: one reads, as many as there are processors work, and the caller's own takes what they made, in the order
//! of the input. Each batch has a place of its own in the queue of what is awaited, so that the order costs no sorting,
//! and the length of that queue bounds how many batches are in memory.

use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use meshward_manifest::{Documents, Options, OwnedChunk, Span};

use super::progress::Progress;
use super::reader::Reader;
use super::{Found, LIMITS, Loaded, Part, Told, broken, unreadable};
use crate::results::{Problem, Source};

/// As much as the main thread has: evaluation follows the nesting of objects and patterns.
const STACK: usize = 8 << 20;

/// Some documents of one file, and where what is made of them goes.
pub(super) struct Batch<T> {
    pub(super) file: Arc<str>,
    pub(super) chunks: Vec<OwnedChunk>,
    pub(super) reply: SyncSender<Loaded<T>>,
}

/// Calls `work` for every document of `files` on all processors, and `take` with what came out of it, in the order of the
/// input and while there is more to come. Without `spans` values do not know their places, and reading is faster.
pub(crate) fn in_order<T: Send>(
    files: Vec<Result<Found, Problem>>,
    spans: bool,
    work: impl Fn(&Part<'_>, &mut Told) -> T + Sync,
    mut take: impl FnMut(Loaded<T>),
) {
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(16);
    let options = Options { limits: LIMITS, spans, ..Options::default() };
    // Full: the reader waits, so that no more than these batches are ever in memory.
    let (awaited, outputs) = sync_channel::<Receiver<Loaded<T>>>(4 * threads);
    thread::scope(|scope| {
        let (sender, batches) = sync_channel::<Batch<T>>(4 * threads);
        // The workers' own: if all of them panicked, sending fails instead of waiting for ever.
        let batches = Arc::new(Mutex::new(batches));
        let work = &work;
        let mut refused = None;
        for _ in 0..threads {
            let batches = batches.clone();
            let worker = move || run_worker(&batches, options, work);
            let started = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, worker);
            refused = refused.or(started.err());
        }
        if let Some(error) = refused.filter(|_| Arc::strong_count(&batches) == 1) {
            let message = format!("cannot start a thread to work on it: {error}");
            let problems = vec![unreadable(&"input".into(), message)];
            return take(Loaded { values: Vec::new(), told: Told { problems, warnings: Vec::new() } });
        }
        drop(batches);
        scope.spawn(move || Reader::new(sender, awaited).read(&files));
        let mut progress = Progress::start();
        for output in outputs {
            // It fails where a worker has panicked, which ends the process with its message.
            let Ok(loaded) = output.recv() else { continue };
            let documents = loaded.values.len();
            progress.aside(|| take(loaded));
            progress.add(documents);
        }
        progress.end();
    });
}

fn run_worker<T>(
    batches: &Mutex<Receiver<Batch<T>>>,
    options: Options,
    work: &impl Fn(&Part<'_>, &mut Told) -> T,
) {
    loop {
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Batch { file, chunks, reply }) = batch else { return };
        let mut loaded = Loaded::default();
        for chunk in chunks {
            evaluate(&file, &chunk, options, work, &mut loaded);
        }
        // Nobody waits for it once the caller's thread has panicked.
        let _ = reply.send(loaded);
    }
}

fn evaluate<T>(
    file: &Arc<str>,
    chunk: &OwnedChunk,
    options: Options,
    work: &impl Fn(&Part<'_>, &mut Told) -> T,
    loaded: &mut Loaded<T>,
) {
    let source = Source { text: chunk.bytes(), start: chunk.start() };
    for document in Documents::of_chunk(chunk.chunk(), options) {
        match document {
            Ok(document) => {
                let part = Part { file, source, document: &document };
                for warning in &document.warnings {
                    let text = part.warning(&warning.kind.to_string(), Some(Span::empty(warning.at)));
                    loaded.told.warnings.push(text);
                }
                loaded.values.push(work(&part, &mut loaded.told));
            }
            Err(error) => loaded.told.problems.push(broken(file, source, &error)),
        }
    }
}
