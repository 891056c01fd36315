//! Files cut into documents and handed out in batches.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use meshward_manifest::{ChunkReader, OwnedChunk};

use super::stream::Batch;
use super::{Found, LIMITS, Loaded, Told, broken, unreadable};
use crate::results::{Problem, Source};

/// So many bytes of documents are handed over at once: one by one they would cost more to hand over than to work on.
const BATCH: usize = 64 << 10;

/// Reads the files one after the other and hands their documents out.
pub(super) struct Reader<T> {
    batches: SyncSender<Batch<T>>,
    /// What is to come of every batch and problem, in their order.
    awaited: SyncSender<Receiver<Loaded<T>>>,
}

impl<T> Reader<T> {
    pub(super) fn new(batches: SyncSender<Batch<T>>, awaited: SyncSender<Receiver<Loaded<T>>>) -> Self {
        Self { batches, awaited }
    }

    pub(super) fn read(self, files: &[Result<Found, Problem>]) {
        for found in files {
            match found {
                Ok(found) => self.read_file(found),
                Err(problem) => self.tell(problem.clone()),
            }
        }
    }

    fn read_file(&self, found: &Found) {
        let file = &found.name;
        let documents = found.open().and_then(|source| self.cut(file, source));
        match documents {
            Ok(0) => {
                self.tell(unreadable(file, "no document; accepted: YAML or JSON with at least one".into()))
            }
            Ok(_) => {}
            Err(error) => self.tell(unreadable(file, format!("cannot read it: {error}"))),
        }
    }

    /// Hands out a file's documents; says how many texts there were that are not comments alone.
    fn cut(&self, file: &Arc<str>, source: Box<dyn Read + '_>) -> io::Result<usize> {
        let mut reader = ChunkReader::new(source, &LIMITS);
        let (mut chunks, mut bytes, mut count) = (Vec::new(), 0, 0);
        while let Some(chunk) = reader.next_chunk()? {
            match chunk {
                Ok(chunk) => {
                    count += usize::from(holds_text(chunk.bytes()));
                    bytes += chunk.bytes().len();
                    chunks.push(chunk);
                }
                Err(error) => {
                    count += 1;
                    self.hand_out(file, std::mem::take(&mut chunks));
                    let at = Source { text: b"", start: error.at };
                    self.tell(broken(file, at, &error));
                }
            }
            if bytes >= BATCH {
                bytes = 0;
                self.hand_out(file, std::mem::take(&mut chunks));
            }
        }
        self.hand_out(file, chunks);
        Ok(count)
    }

    fn hand_out(&self, file: &Arc<str>, chunks: Vec<OwnedChunk>) {
        if chunks.is_empty() {
            return;
        }
        let (reply, output) = sync_channel(1);
        // Both fail only where the threads behind them have panicked, which ends the process with their message.
        let _ = self.awaited.send(output);
        let _ = self.batches.send(Batch { file: file.clone(), chunks, reply });
    }

    fn tell(&self, problem: Problem) {
        let (reply, output) = sync_channel(1);
        let told = Told { problems: vec![problem], warnings: Vec::new() };
        // As above; the reply has room for one.
        let _ = reply.send(Loaded { values: Vec::new(), told });
        let _ = self.awaited.send(output);
    }
}

/// Whether there is anything in a document but comments and markers.
pub(super) fn holds_text(bytes: &[u8]) -> bool {
    let blank =
        |line: &[u8]| matches!(line.trim_ascii(), [] | [b'#', ..] | b"---" | b"..." | b"\xef\xbb\xbf");
    !bytes.split(|byte| *byte == b'\n').all(blank)
}
