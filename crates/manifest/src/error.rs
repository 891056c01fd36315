//! What can be wrong with a manifest. Every problem has a place and says what was found and what is accepted; the file's
//! name and the snippet belong to whoever opened the file.

use thiserror::Error;

use crate::location::Location;

/// One document that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {problem}")]
pub struct ManifestError {
    /// Where.
    pub at: Location,
    /// What.
    pub problem: Problem,
}

impl ManifestError {
    pub(crate) fn new(at: Location, problem: Problem) -> ManifestError {
        ManifestError { at, problem }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Problem {
    /// UTF-16 or UTF-32 text.
    #[error("the text is {found}; save it as UTF-8")]
    Encoding {
        /// The encoding it looks like.
        found: &'static str,
    },
    /// A byte that is not UTF-8.
    #[error("byte 0x{byte:02x} is not valid UTF-8; save the text as UTF-8")]
    InvalidUtf8 {
        /// The byte.
        byte: u8,
    },
    /// A character that YAML and JSON text cannot hold unescaped.
    #[error("control character U+{:04X} is not allowed in a manifest{}", *.character as u32, binary_hint(*.character))]
    ControlCharacter {
        /// The character.
        character: char,
    },
    /// A [`Limits`](crate::Limits) field was reached.
    #[error("the document has more than {limit} {what}")]
    Limit {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        limit: usize,
    },
    /// Broken YAML or JSON.
    #[error("invalid {syntax}: {message}")]
    Syntax {
        /// Which of the two.
        syntax: Syntax,
        /// What was found, what was expected.
        message: String,
    },
    /// A key written twice, in strict mode.
    #[error("key {key:?} is already set on line {}, column {}", .first.line, .first.column)]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was set first.
        first: Location,
    },
    /// A map key that JSON cannot hold.
    #[error("{found} cannot be a map key; accepted are strings, numbers and booleans")]
    MapKey {
        /// What it is.
        found: &'static str,
    },
    /// A scalar that does not fit its explicit tag.
    #[error("cannot read {value:?} as {tag}")]
    Tag {
        /// The tag, `!!int`.
        tag: String,
        /// The scalar, shortened.
        value: String,
    },
    /// `.inf` or `.nan` as a value.
    #[error("{value} has no form in JSON; write a finite number, or quote it for a string")]
    NotFinite {
        /// As written.
        value: String,
    },
    /// An anchor used inside itself.
    #[error("anchor {name:?} contains itself")]
    CyclicAnchor {
        /// Its name, without `&`.
        name: String,
    },
    /// A merge key with something else than maps.
    #[error("merge key `<<` takes a map or a list of maps, found {found}")]
    Merge {
        /// What it is.
        found: &'static str,
    },
}

impl Problem {
    pub(crate) fn too_deep(limit: usize) -> Problem {
        Problem::Limit { what: "levels of lists and maps", limit }
    }
}

/// Which of the two notations a document is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Syntax {
    /// YAML.
    #[error("YAML")]
    Yaml,
    /// JSON.
    #[error("JSON")]
    Json,
}

/// Something legal that is probably not what the author meant.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{at}: {kind}")]
pub struct Warning {
    /// Where.
    pub at: Location,
    /// What.
    pub kind: WarningKind,
}

/// What the reader warns about.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WarningKind {
    /// A key written twice; the last one wins.
    #[error("key {key:?} replaces the one on line {}, column {}", .first.line, .first.column)]
    DuplicateKey {
        /// The key.
        key: String,
        /// Where it was set first.
        first: Location,
    },
    /// A merge key after a key that it sets too. go-yaml v2 lets the merge win, YAML 1.1 says that the map's own key does.
    #[error("this merge replaces key {key:?} of line {}, column {}; put `<<` first", .first.line, .first.column)]
    MergeReplaces {
        /// The key.
        key: String,
        /// Where the map sets it.
        first: Location,
    },
}

fn binary_hint(character: char) -> &'static str {
    if character == '\0' { " (is this a binary file?)" } else { "" }
}
