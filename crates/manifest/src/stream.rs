//! Documents out of a reader, so that a file larger than memory, or a pipe, costs the memory of its largest document.
//! The cutting is that of [`Chunks`]; only the buffer is here.

use std::io::{self, Read};

use crate::{
    chunk::{BYTE_ORDER_MARK, Chunk, first_document, is_marker, wide_encoding},
    error::{ManifestError, Problem},
    location::Location,
    options::Limits,
};

/// How much is read at once, at least.
const BLOCK: usize = 64 << 10;

/// One document's text, or that of several JSON documents that follow each other, with its place in the input.
#[derive(Debug, Clone)]
pub struct OwnedChunk {
    bytes: Vec<u8>,
    start: Location,
}

impl OwnedChunk {
    /// The chunk, for [`Documents::of_chunk`](crate::Documents::of_chunk).
    #[must_use]
    pub fn chunk(&self) -> Chunk<'_> {
        Chunk { bytes: &self.bytes, start: self.start }
    }

    /// Its text.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the input it begins.
    #[must_use]
    pub fn start(&self) -> Location {
        self.start
    }
}

/// The documents of a reader, unparsed.
#[derive(Debug)]
pub struct ChunkReader<R> {
    source: R,
    buffer: Vec<u8>,
    start: Location,
    limit: usize,
    /// Whether anything was read yet.
    begun: bool,
    /// Whether there is nothing more to read.
    ended: bool,
    /// The rest of a document that is too long: it was told already and is dropped up to the next one.
    skipping: bool,
}

impl<R: Read> ChunkReader<R> {
    /// Cuts what `source` gives. A document longer than [`Limits::bytes`] is one error; those after it still come.
    pub fn new(source: R, limits: &Limits) -> ChunkReader<R> {
        let limit = limits.bytes;
        let start = Location::START;
        let buffer = Vec::new();
        ChunkReader { source, buffer, start, limit, begun: false, ended: false, skipping: false }
    }

    /// The next document; `None` at the end. An `Err` inside is one document, or an encoding that is not read.
    ///
    /// # Errors
    /// What `source` fails with. Nothing comes after it.
    pub fn next_chunk(&mut self) -> io::Result<Option<Result<OwnedChunk, ManifestError>>> {
        if !self.begun {
            self.begun = true;
            self.fill()?;
            if let Some(found) = wide_encoding(&self.buffer) {
                return Ok(Some(Err(self.give_up(Problem::Encoding { found }))));
            }
            if self.buffer.starts_with(BYTE_ORDER_MARK) {
                self.buffer.drain(..BYTE_ORDER_MARK.len());
                self.start.offset = BYTE_ORDER_MARK.len() as u32;
            }
        }
        loop {
            if let Some(found) = self.cut() {
                return Ok(Some(found));
            }
            if self.ended && self.buffer.is_empty() {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// The next document, if it is in the buffer as a whole.
    fn cut(&mut self) -> Option<Result<OwnedChunk, ManifestError>> {
        // A last line that is not all there yet may still become a marker.
        let lines = match self.ended {
            true => self.buffer.len(),
            false => memchr::memrchr(b'\n', &self.buffer).map_or(0, |newline| newline + 1),
        };
        let (length, count) = first_document(&self.buffer[..lines], self.skipping);
        let complete = length < lines || self.ended;
        if self.skipping {
            let dropped = self.take(length, count);
            self.skipping = !complete;
            self.shorten_line();
            return dropped.err().map(Err);
        }
        if complete && length > 0 {
            let start = self.start;
            return Some(self.take(length, count).map(|bytes| OwnedChunk { bytes, start }));
        }
        if self.buffer.len() > self.limit {
            return Some(Err(self.skip(lines, count)));
        }
        None
    }

    /// Tells that the document is too long and begins to drop it. Its own `---` is not the next one's.
    fn skip(&mut self, lines: usize, count: u32) -> ManifestError {
        let problem = Problem::Limit { what: "bytes", limit: self.limit };
        let error = ManifestError::new(self.start, problem);
        self.skipping = true;
        let line = self.buffer.len() - 1;
        let dropped = match lines {
            0 => self.advance(line).map(|()| self.buffer = vec![b'#']),
            lines => self.take(lines, count).map(drop),
        };
        dropped.err().unwrap_or(error)
    }

    /// Removes the first `length` bytes, which are `lines` lines.
    fn take(&mut self, length: usize, lines: u32) -> Result<Vec<u8>, ManifestError> {
        // Of its own length: a document must not keep the whole buffer's memory.
        let taken = self.buffer.drain(..length).collect();
        self.advance(length)?;
        if length > 0 {
            self.start.line += lines;
            self.start.column = 1;
        }
        Ok(taken)
    }

    fn advance(&mut self, bytes: usize) -> Result<(), ManifestError> {
        match u32::try_from(bytes).ok().and_then(|bytes| self.start.offset.checked_add(bytes)) {
            Some(offset) => self.start.offset = offset,
            None => return Err(self.give_up(Problem::Limit { what: "bytes", limit: u32::MAX as usize })),
        }
        Ok(())
    }

    /// Drops most of a line that is skipped and does not end: what it is, is told by its first characters.
    fn shorten_line(&mut self) {
        const KEPT: usize = 8;
        if self.skipping && self.buffer.len() > KEPT && !is_marker(&self.buffer[..4], b"---") {
            let dropped = self.buffer.len() - KEPT;
            if !self.buffer.contains(&b'\n') && self.advance(dropped).is_ok() {
                self.buffer.truncate(KEPT);
            }
        }
    }

    /// Reads more: as much as there is already, so that looking for the end again costs no more than reading did.
    fn fill(&mut self) -> io::Result<()> {
        let more = self.buffer.len().max(BLOCK) as u64;
        let read = self.source.by_ref().take(more).read_to_end(&mut self.buffer)?;
        self.ended = self.ended || (read as u64) < more;
        Ok(())
    }

    fn give_up(&mut self, problem: Problem) -> ManifestError {
        self.buffer.clear();
        self.ended = true;
        self.skipping = false;
        ManifestError::new(self.start, problem)
    }
}
