//! Builds one document's value and span table from a flat run of scalars, starts and ends. Both readers feed it, so
//! limits, duplicate keys, anchors and merge keys behave alike in YAML and JSON.

use std::collections::HashMap;

use serde_json::{Map, Value, map::Entry};

use crate::{
    error::{ManifestError, Problem, Warning, WarningKind},
    location::{Location, Span},
    options::Options,
    scalar::Scalar,
    spans::{NodeId, PendingKey, SpanTable},
};

mod merge;

/// What a document became.
pub(crate) struct Built {
    pub(crate) value: Value,
    pub(crate) root: Span,
    pub(crate) spans: SpanTable,
    pub(crate) warnings: Vec<Warning>,
}

/// A YAML anchor's number as the parser counts them; 0 for none.
pub(crate) type AnchorId = usize;

pub(crate) struct Builder<'o> {
    options: &'o Options,
    frames: Vec<Frame>,
    /// For each entry of each open map, in the map's order, where its key is. One stack for all of them.
    marks: Vec<Mark>,
    anchors: HashMap<AnchorId, Anchor>,
    root: Option<(Value, Span)>,
    spans: SpanTable,
    warnings: Vec<Warning>,
    nodes: usize,
    repeated: usize,
}

struct Frame {
    container: Container,
    start: Location,
    node: NodeId,
    anchor: AnchorId,
    marks_from: usize,
    end: u32,
    size: usize,
    height: usize,
}

enum Container {
    List(Vec<Value>),
    Map {
        map: Map<String, Value>,
        key: Option<Key>,
        /// Each key's place in the map, made when the first key comes twice.
        index: Option<HashMap<String, usize>>,
    },
}

struct Key {
    text: String,
    at: Location,
    merge: bool,
    pending: Option<PendingKey>,
}

#[derive(Clone, Copy)]
struct Mark {
    at: Location,
    merged: bool,
}

enum Anchor {
    Open,
    Scalar(Scalar, NodeId),
    Collection { value: Value, node: NodeId, size: usize, height: usize },
}

/// A finished value on its way into its parent.
struct Finished {
    value: Value,
    span: Span,
    size: usize,
    height: usize,
    aliased: bool,
}

impl<'o> Builder<'o> {
    pub(crate) fn new(options: &'o Options) -> Builder<'o> {
        Builder {
            options,
            frames: Vec::new(),
            marks: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            spans: SpanTable::default(),
            warnings: Vec::new(),
            nodes: 0,
            repeated: 0,
        }
    }

    /// The document, `None` when nothing was written.
    pub(crate) fn finish(self) -> Option<Built> {
        let (value, root) = self.root?;
        Some(Built { value, root, spans: self.spans, warnings: self.warnings })
    }

    /// Whether the next node is a map's key.
    pub(crate) fn expects_key(&self) -> bool {
        matches!(self.frames.last(), Some(Frame { container: Container::Map { key: None, .. }, .. }))
    }

    /// Whether the innermost open collection is a map; `None` when all are closed.
    pub(crate) fn in_map(&self) -> Option<bool> {
        self.frames.last().map(|frame| matches!(frame.container, Container::Map { .. }))
    }

    pub(crate) fn key(&mut self, text: String, span: Span) {
        self.set_key(text, span, false);
    }

    pub(crate) fn merge_key(&mut self, span: Span) {
        self.set_key("<<".to_owned(), span, true);
    }

    fn set_key(&mut self, text: String, span: Span, merge: bool) {
        let pending = self.options.spans.then(|| self.spans.key(&text, span, merge));
        if let Some(Frame { container: Container::Map { key, .. }, .. }) = self.frames.last_mut() {
            *key = Some(Key { text, at: span.start, merge, pending });
        }
    }

    pub(crate) fn scalar(
        &mut self,
        scalar: Scalar,
        span: Span,
        anchor: AnchorId,
    ) -> Result<(), ManifestError> {
        let node = self.open_node(span)?;
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Scalar(scalar.clone(), node));
        }
        let value = scalar.into_value().map_err(|problem| ManifestError::new(span.start, problem))?;
        self.put(Finished { value, span, size: 1, height: 0, aliased: false })
    }

    pub(crate) fn open_list(&mut self, start: Location, anchor: AnchorId) -> Result<(), ManifestError> {
        self.open(Container::List(Vec::new()), start, anchor)
    }

    pub(crate) fn open_map(&mut self, start: Location, anchor: AnchorId) -> Result<(), ManifestError> {
        self.open(Container::Map { map: Map::new(), key: None, index: None }, start, anchor)
    }

    fn open(&mut self, container: Container, start: Location, anchor: AnchorId) -> Result<(), ManifestError> {
        if self.expects_key() {
            let found = if matches!(container, Container::List(_)) { "a list" } else { "a map" };
            return Err(ManifestError::new(start, Problem::MapKey { found }));
        }
        self.check_depth(start, 1)?;
        let node = self.open_node(Span::empty(start))?;
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Open);
        }
        let marks_from = self.marks.len();
        let end = start.offset;
        self.frames.push(Frame { container, start, node, anchor, marks_from, end, size: 1, height: 0 });
        Ok(())
    }

    /// Ends the innermost list or map. `end` is where its closing bracket ends; a block ends with its last value.
    pub(crate) fn close(&mut self, end: Option<u32>) -> Result<(), ManifestError> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let span = Span { start: frame.start, end: end.unwrap_or(frame.end) };
        self.marks.truncate(frame.marks_from);
        self.spans.close(frame.node, span.end);
        let (size, height, node) = (frame.size, frame.height + 1, frame.node);
        let value = match frame.container {
            Container::List(items) => Value::Array(items),
            Container::Map { map, .. } => Value::Object(map),
        };
        if frame.anchor != 0 {
            self.count_repeated(frame.start, size)?;
            self.anchors
                .insert(frame.anchor, Anchor::Collection { value: value.clone(), node, size, height });
        }
        self.put(Finished { value, span, size, height, aliased: false })
    }

    /// A value that stands for an anchored one. `name` is only for messages.
    pub(crate) fn alias(&mut self, id: AnchorId, name: &str, span: Span) -> Result<(), ManifestError> {
        let fail = |problem| Err(ManifestError::new(span.start, problem));
        let (size, height) = match self.anchors.get(&id) {
            None | Some(Anchor::Open) => return fail(Problem::CyclicAnchor { name: name.to_owned() }),
            Some(Anchor::Scalar(..)) => (1, 0),
            Some(Anchor::Collection { size, height, .. }) => (*size, *height),
        };
        self.check_depth(span.start, height)?;
        self.count_repeated(span.start, size)?;
        let node = self.open_node(span)?;
        let (value, target) = match self.anchors.get(&id) {
            Some(Anchor::Scalar(scalar, target)) => (scalar.clone().into_value(), *target),
            Some(Anchor::Collection { value, node, .. }) => (Ok(value.clone()), *node),
            None | Some(Anchor::Open) => return fail(Problem::CyclicAnchor { name: name.to_owned() }),
        };
        self.spans.alias(node, target);
        let value = value.map_err(|problem| ManifestError::new(span.start, problem))?;
        self.put(Finished { value, span, size, height, aliased: true })
    }

    /// An alias in the place of a map's key.
    pub(crate) fn alias_key(&mut self, id: AnchorId, name: &str, span: Span) -> Result<(), ManifestError> {
        let text = match self.anchors.get(&id) {
            Some(Anchor::Scalar(scalar, _)) => scalar.clone().into_key(),
            Some(Anchor::Collection { .. }) => Err(Problem::MapKey { found: "an alias of a list or map" }),
            None | Some(Anchor::Open) => Err(Problem::CyclicAnchor { name: name.to_owned() }),
        };
        let text = text.map_err(|problem| ManifestError::new(span.start, problem))?;
        self.count_repeated(span.start, 1)?;
        self.key(text, span);
        Ok(())
    }

    /// Remembers a key's scalar for later aliases.
    pub(crate) fn anchor_key(&mut self, anchor: AnchorId, scalar: &Scalar) {
        if anchor != 0 {
            self.anchors.insert(anchor, Anchor::Scalar(scalar.clone(), NodeId::ROOT));
        }
    }

    fn open_node(&mut self, span: Span) -> Result<NodeId, ManifestError> {
        self.nodes = self.nodes.saturating_add(1);
        self.check(span.start, self.nodes, "values", self.options.limits.nodes)?;
        if !self.options.spans {
            return Ok(NodeId::ROOT);
        }
        let (key, in_list) = match self.frames.last() {
            Some(Frame { container: Container::Map { key, .. }, .. }) => {
                (key.as_ref().and_then(|key| key.pending), false)
            }
            Some(_) => (None, true),
            None => (None, false),
        };
        Ok(self.spans.value(span, key, in_list))
    }

    fn put(&mut self, finished: Finished) -> Result<(), ManifestError> {
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some((finished.value, finished.span));
            return Ok(());
        };
        frame.size = frame.size.saturating_add(finished.size);
        frame.height = frame.height.max(finished.height);
        frame.end = frame.end.max(finished.span.end);
        match &mut frame.container {
            Container::List(items) => items.push(finished.value),
            Container::Map { key, .. } => match key.take() {
                Some(key) if key.merge => return self.merge(finished, key.at),
                Some(key) => {
                    return self.put_entry(key.text, finished.value, Mark { at: key.at, merged: false });
                }
                None => {}
            },
        }
        Ok(())
    }

    fn put_entry(&mut self, key: String, value: Value, mark: Mark) -> Result<(), ManifestError> {
        let Some(Frame { container: Container::Map { map, index, .. }, marks_from, .. }) =
            self.frames.last_mut()
        else {
            return Ok(());
        };
        match map.entry(key) {
            Entry::Vacant(entry) => {
                if let Some(index) = index {
                    index.insert(entry.key().clone(), self.marks.len() - *marks_from);
                }
                entry.insert(value);
                self.marks.push(mark);
                Ok(())
            }
            Entry::Occupied(mut entry) => {
                entry.insert(value);
                let key = entry.key().clone();
                self.replaced(key, mark)
            }
        }
    }

    /// A key came a second time. Entries that a merge brought are there to be replaced.
    fn replaced(&mut self, key: String, by: Mark) -> Result<(), ManifestError> {
        let Some(mark) = self.mark(&key) else { return Ok(()) };
        let Mark { at: first, merged } = std::mem::replace(mark, by);
        if merged {
            return Ok(());
        }
        let at = by.at;
        let kind = match (by.merged, self.options.strict) {
            (true, _) => WarningKind::MergeReplaces { key, first },
            (false, false) => WarningKind::DuplicateKey { key, first },
            (false, true) => return Err(ManifestError::new(at, Problem::DuplicateKey { key, first })),
        };
        self.warnings.push(Warning { at, kind });
        Ok(())
    }

    fn mark(&mut self, key: &str) -> Option<&mut Mark> {
        let Frame { container: Container::Map { map, index, .. }, marks_from, .. } =
            self.frames.last_mut()?
        else {
            return None;
        };
        let in_order = || map.keys().enumerate().map(|(place, key)| (key.clone(), place)).collect();
        let place = index.get_or_insert_with(in_order).get(key)?;
        self.marks.get_mut(*marks_from + *place)
    }

    fn check_depth(&self, at: Location, more: usize) -> Result<(), ManifestError> {
        let limit = self.options.limits.depth();
        if self.frames.len() + more > limit {
            return Err(ManifestError::new(at, Problem::too_deep(limit)));
        }
        Ok(())
    }

    fn count_repeated(&mut self, at: Location, size: usize) -> Result<(), ManifestError> {
        self.repeated = self.repeated.saturating_add(size);
        self.nodes = self.nodes.saturating_add(size);
        self.check(at, self.repeated, "values repeated through anchors", self.options.limits.repeated_nodes)
    }

    fn check(
        &self,
        at: Location,
        count: usize,
        what: &'static str,
        limit: usize,
    ) -> Result<(), ManifestError> {
        if count > limit { Err(ManifestError::new(at, Problem::Limit { what, limit })) } else { Ok(()) }
    }
}
