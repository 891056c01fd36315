//! The Kubernetes objects of a document. A `List` is only an envelope: everything after the reader deals with its items,
//! each with its own place in the file.

use std::borrow::Cow;

use serde_json::{Value, map::Map};

use crate::{
    document::Document,
    spans::{NodeId, Place, Step},
};

/// One Kubernetes object of a document.
#[derive(Debug, Clone)]
pub struct Object<'a> {
    /// The object. Owned only where an item of a typed list (`PodList`) left out its kind and got the list's.
    pub value: Cow<'a, Value>,
    document: &'a Document,
    node: NodeId,
}

impl<'a> Object<'a> {
    pub(crate) fn new(document: &'a Document, value: &'a Value, node: NodeId) -> Object<'a> {
        Object { value: Cow::Borrowed(value), document, node }
    }

    /// The place of the object itself; `None` only without spans.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        self.document.spans.place(self.node)
    }

    /// The place of the value at a JSON pointer inside this object.
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<Place> {
        self.nearest(pointer).and_then(|(place, found)| found.then_some(place))
    }

    /// The deepest place that exists on the way along a JSON pointer, and whether the whole way exists: where to point
    /// when a field is missing.
    #[must_use]
    pub fn nearest(&self, pointer: &str) -> Option<(Place, bool)> {
        let (node, found) = self.document.spans.walk_pointer(self.node, pointer);
        self.document.spans.place(node).map(|place| (place, found))
    }

    /// The place of the value at a path inside this object.
    #[must_use]
    pub fn find<'p>(&self, path: impl IntoIterator<Item = Step<'p>>) -> Option<Place> {
        let node = self.document.spans.descend(self.node, path)?;
        self.document.spans.place(node)
    }

    /// The place of one of the object's annotations, or of what is nearest to it if it is not there.
    #[must_use]
    pub fn annotation(&self, key: &str) -> Option<Place> {
        self.document.spans.annotation(self.node, key)
    }
}

/// The objects of a document, in order.
#[derive(Debug)]
pub struct Objects<'a> {
    document: &'a Document,
    /// Lists that are open, the innermost last.
    lists: Vec<Items<'a>>,
    single: bool,
}

#[derive(Debug)]
struct Items<'a> {
    list: &'a Map<String, Value>,
    items: std::iter::Enumerate<std::slice::Iter<'a, Value>>,
    node: NodeId,
    /// The place of the item last handed out, so that the next is found beside it.
    last: Option<NodeId>,
}

impl<'a> Objects<'a> {
    pub(crate) fn new(document: &'a Document) -> Objects<'a> {
        let list = open(&document.value, NodeId::ROOT);
        Objects { document, single: list.is_none(), lists: list.into_iter().collect() }
    }
}

impl<'a> Iterator for Objects<'a> {
    type Item = Object<'a>;

    fn next(&mut self) -> Option<Object<'a>> {
        if std::mem::take(&mut self.single) {
            return Some(self.document.object());
        }
        loop {
            let items = self.lists.last_mut()?;
            let Some((index, value)) = items.items.next() else {
                self.lists.pop();
                continue;
            };
            let node = items.place_of(index, self.document);
            if let Some(list) = open(value, node) {
                self.lists.push(list);
                continue;
            }
            return Some(Object { value: with_kind(value, items.list), document: self.document, node });
        }
    }
}

impl Items<'_> {
    fn place_of(&mut self, index: usize, document: &Document) -> NodeId {
        let beside = self.last.and_then(|last| document.spans.next_sibling(last));
        let node =
            beside.or_else(|| document.spans.descend(self.node, [Step::Key("items"), Step::Index(index)]));
        self.last = node;
        node.unwrap_or(self.node)
    }
}

/// A list as kubectl flattens it: a kind that ends in `List` and `items` that are a list.
fn open(value: &Value, node: NodeId) -> Option<Items<'_>> {
    let list = value.as_object()?;
    let items = list.get("items")?.as_array()?;
    list.get("kind")?.as_str()?.ends_with("List").then(|| Items {
        list,
        items: items.iter().enumerate(),
        node,
        last: None,
    })
}

/// Items of `PodList` carry neither kind nor version: they are the list's (apimachinery, `unstructured/helpers.go`,
/// `decodeToList`).
fn with_kind<'a>(item: &'a Value, list: &Map<String, Value>) -> Cow<'a, Value> {
    let Some(object) = item.as_object() else { return Cow::Borrowed(item) };
    let kind = list.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List"));
    let Some(kind) = kind.filter(|kind| !kind.is_empty()) else { return Cow::Borrowed(item) };
    let empty = |field: &str| object.get(field).and_then(Value::as_str).is_none_or(str::is_empty);
    if !empty("kind") || !empty("apiVersion") {
        return Cow::Borrowed(item);
    }
    let mut named = Map::new();
    named.insert("apiVersion".to_owned(), list.get("apiVersion").cloned().unwrap_or_default());
    named.insert("kind".to_owned(), kind.into());
    let fields = object.iter().filter(|(field, _)| !matches!(field.as_str(), "apiVersion" | "kind"));
    named.extend(fields.map(|(field, value)| (field.clone(), value.clone())));
    Cow::Owned(Value::Object(named))
}
