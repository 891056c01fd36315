//! Kubernetes manifests as the API server would read them: YAML by go-yaml's rules or JSON, many documents in one
//! stream, every value with its place in the source, so that an error can point at it.
//!
//! The peer is `sigs.k8s.io/yaml` 1.6 (go.yaml.in/yaml/v2, then JSON), which kubectl and the API server use: `yes` is a
//! boolean, `0644` is 420, `1.0` is the integer 1, the last of two equal keys wins.
//!
//! ```text
//! bytes ─► Chunks (one document of text each) ─┬─► granit-parser events ─┐
//!                                              └─► JSON reader ──────────┴─► Builder ─► Document { value, spans }
//! ```
//!
//! [`Documents`] yields one document at a time and [`ChunkReader`] reads one at a time, so a file of any size costs the
//! memory of its largest document. A
//! broken document is one `Err` of the iterator; the documents after it still come. [`to_yaml`] goes the other way.

mod builder;
mod chunk;
mod document;
mod error;
mod json;
mod location;
mod object;
mod options;
mod scalar;
mod spans;
mod stream;
mod timestamp;
mod write;
mod yaml;

pub use crate::{
    chunk::{Chunk, Chunks},
    document::{Document, Documents},
    error::{ManifestError, Problem, Syntax, Warning, WarningKind},
    location::{Location, Span},
    object::{Object, Objects},
    options::{Limits, Options},
    spans::{Place, SpanTable, Step},
    stream::{ChunkReader, OwnedChunk},
    write::to_yaml,
};
