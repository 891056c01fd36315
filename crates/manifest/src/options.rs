//! What the reader accepts and how much of it. Every manifest is hostile until read: a few hundred bytes of anchors can
//! ask for terabytes, so all growth is counted.

/// How to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bounds; a document beyond one of them is an error, the others are still read.
    pub limits: Limits,
    /// Build the [`SpanTable`](crate::SpanTable). Without it every lookup of a place answers `None`.
    pub spans: bool,
    /// A key written twice is an error, as in `kubectl --validate=strict`; otherwise a warning and the last one wins.
    pub strict: bool,
}

impl Default for Options {
    /// Spans on, strict off.
    fn default() -> Options {
        Options { limits: Limits::default(), spans: true, strict: false }
    }
}

/// Bounds of one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of text in one document.
    pub bytes: usize,
    /// Lists and maps inside each other. Values over [`Limits::MAX_DEPTH`] count as that.
    pub depth: usize,
    /// Values (maps, lists, scalars), those that anchors repeat included.
    pub nodes: usize,
    /// Values that exist only because an anchor repeats them.
    pub repeated_nodes: usize,
}

impl Limits {
    /// The deepest nesting any setting allows: a `serde_json::Value` is dropped by recursion.
    pub const MAX_DEPTH: usize = 512;

    pub(crate) fn depth(&self) -> usize {
        self.depth.min(Self::MAX_DEPTH)
    }
}

impl Default for Limits {
    /// 256 MiB, 128 levels, 8 million values, 1 million repeated ones: a `List` of ten thousand pods fits, a
    /// bomb does not.
    fn default() -> Limits {
        Limits { bytes: 256 << 20, depth: 128, nodes: 8_000_000, repeated_nodes: 1_000_000 }
    }
}
