//! One document at a time out of any number: the reader keeps nothing of a document once it is handed over.

use serde_json::Value;

use crate::{
    builder::Built,
    chunk::{Chunk, Chunks},
    error::{ManifestError, Problem, Warning},
    json::{JsonDocuments, looks_like_json},
    location::Span,
    object::{Object, Objects},
    options::Options,
    spans::{NodeId, Place, SpanTable},
    yaml::YamlDocuments,
};

/// A manifest: one YAML or JSON document.
#[derive(Debug, Clone)]
pub struct Document {
    /// What the API server would get. Map keys keep the order of the source.
    pub value: Value,
    /// Where the document's outermost value is.
    pub span: Span,
    /// Where everything in it is; empty without [`Options::spans`].
    pub spans: SpanTable,
    /// What is legal but doubtful.
    pub warnings: Vec<Warning>,
}

impl Document {
    /// The Kubernetes objects in it: the document itself, or the items if it is a `List` (also `PodList` and so on,
    /// also a list in a list).
    #[must_use]
    pub fn objects(&self) -> Objects<'_> {
        Objects::new(self)
    }

    /// The document as one object, whatever it is.
    #[must_use]
    pub fn object(&self) -> Object<'_> {
        Object::new(self, &self.value, NodeId::ROOT)
    }

    /// The place of the annotation `key` of the object at the JSON pointer `object`: empty for the document itself,
    /// `/spec/template` for a pod template. The nearest enclosing value if it is not there.
    #[must_use]
    pub fn annotation(&self, object: &str, key: &str) -> Option<Place> {
        let (node, found) = self.spans.walk_pointer(NodeId::ROOT, object);
        if !found {
            return self.spans.place(node);
        }
        self.spans.annotation(node, key)
    }
}

impl From<Built> for Document {
    fn from(built: Built) -> Document {
        Document { value: built.value, span: built.root, spans: built.spans, warnings: built.warnings }
    }
}

/// The documents of an input, read one by one. An `Err` is one document that could not be read; the iterator goes on
/// with the next. Empty documents, comments alone and `null` are skipped, as kubectl does.
pub struct Documents<'a> {
    chunks: Chunks<'a>,
    current: Option<Reader<'a>>,
    options: Options,
}

/// One chunk being read.
struct Reader<'a> {
    /// Read ahead to find out which notation it is.
    first: Option<Result<Built, ManifestError>>,
    rest: Rest<'a>,
}

enum Rest<'a> {
    Yaml(Box<YamlDocuments<'a>>),
    Json(JsonDocuments<'a>),
    Nothing,
}

impl<'a> Documents<'a> {
    /// Reads YAML or JSON from bytes in UTF-8.
    #[must_use]
    pub fn new(input: &'a [u8], options: Options) -> Documents<'a> {
        Documents { chunks: Chunks::new(input), current: None, options }
    }

    /// Reads one chunk of an input, with positions in the whole input: for readers on several threads.
    #[must_use]
    pub fn of_chunk(chunk: Chunk<'a>, options: Options) -> Documents<'a> {
        Documents { chunks: Chunks::new(&[]), current: Some(Reader::open(chunk, options)), options }
    }
}

impl<'a> Reader<'a> {
    fn open(chunk: Chunk<'a>, options: Options) -> Reader<'a> {
        let text = match chunk.text(&options.limits) {
            Ok(text) => text,
            Err(error) => return Reader { first: Some(Err(error)), rest: Rest::Nothing },
        };
        let yaml = || Box::new(YamlDocuments::new(text, chunk.start, options));
        if !looks_like_json(text) {
            return Reader { first: None, rest: Rest::Yaml(yaml()) };
        }
        let mut json = JsonDocuments::new(text, chunk.start, options);
        let first = json.next();
        let Some(Err(in_json)) = &first else { return Reader { first, rest: Rest::Json(json) } };
        if !is_syntax(in_json) {
            return Reader { first, rest: Rest::Json(json) };
        }
        // YAML's flow style begins with the same brackets. If neither fits, the notation that got further was meant.
        let mut yaml = yaml();
        match yaml.next() {
            Some(Err(in_yaml)) if in_yaml.at.offset <= in_json.at.offset => {
                Reader { first, rest: Rest::Json(json) }
            }
            first => Reader { first, rest: Rest::Yaml(yaml) },
        }
    }
}

fn is_syntax(error: &ManifestError) -> bool {
    matches!(error.problem, Problem::Syntax { .. })
}

impl Iterator for Reader<'_> {
    type Item = Result<Built, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.first.take().or_else(|| match &mut self.rest {
            Rest::Yaml(documents) => documents.next(),
            Rest::Json(documents) => documents.next(),
            Rest::Nothing => None,
        })
    }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, ManifestError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(result) = self.current.as_mut().and_then(Iterator::next) {
                match result {
                    Ok(built) if built.value.is_null() => {}
                    result => return Some(result.map(Document::from)),
                }
            }
            match self.chunks.next()? {
                Ok(chunk) => self.current = Some(Reader::open(chunk, self.options)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
