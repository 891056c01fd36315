//! The place of every value, found by path. The table is one flat list in document order plus one string of all keys:
//! two allocations however large the document, because most tables are never asked.

use crate::location::{Location, Span};

const NONE: u32 = u32::MAX;
/// Lookups through merge keys can fan out without bound in a hostile document; no honest one comes near this.
const LOOKUP_STEPS: u32 = 100_000;

/// Where a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its key; `None` for list items and for the root.
    pub key: Option<Span>,
    /// The value. For an alias (`*name`) the alias; what is inside it is found at the anchor.
    /// For a block scalar (`|`, `>`) its first line of text.
    pub value: Span,
}

impl Place {
    /// Where a message about this field should point: the key where there is one, otherwise the value.
    #[must_use]
    pub fn location(&self) -> Location {
        self.key.unwrap_or(self.value).start
    }
}

/// One step into a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step<'a> {
    /// A map's field.
    Key(&'a str),
    /// A list's item, from 0.
    Index(usize),
}

impl<'a> From<&'a str> for Step<'a> {
    fn from(key: &'a str) -> Step<'a> {
        Step::Key(key)
    }
}

impl From<usize> for Step<'_> {
    fn from(index: usize) -> Step<'static> {
        Step::Index(index)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Root,
    Item,
    Field,
    Merge,
}

#[derive(Debug, Clone)]
struct Node {
    key: Span,
    value: Span,
    /// Index of the first node after this one's children.
    next: u32,
    /// Where the key's text starts in `keys`.
    name: u32,
    name_len: u32,
    /// The anchored node an alias stands for.
    target: u32,
    role: Role,
}

/// The place of every value of one document.
#[derive(Debug, Clone, Default)]
pub struct SpanTable {
    nodes: Vec<Node>,
    keys: String,
}

/// One value of the table, so that a lookup can start there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) const ROOT: NodeId = NodeId(0);
}

/// A key whose value has not come yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingKey {
    span: Span,
    name: u32,
    name_len: u32,
    merge: bool,
}

impl SpanTable {
    /// Whether there is nothing to look up, because [`Options::spans`](crate::Options::spans) was off.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// The place of the value at a JSON pointer (RFC 6901: `/metadata/annotations/example.com~1key`; empty for the root).
    #[must_use]
    pub fn get(&self, pointer: &str) -> Option<Place> {
        let (node, found) = self.walk_pointer(NodeId::ROOT, pointer);
        found.then(|| self.place(node)).flatten()
    }

    /// The place of the value at a path.
    ///
    /// ```
    /// # use meshward_manifest::{Documents, Options};
    /// let text = "kind: Pod\nmetadata:\n  annotations: {a.b/c: 'on'}\n";
    /// let document = Documents::new(text.as_bytes(), Options::default()).next().expect("one").expect("good");
    /// let place = document.spans.find(["metadata".into(), "annotations".into(), "a.b/c".into()]).expect("there");
    /// assert_eq!((place.location().line, place.location().column), (3, 17));
    /// ```
    #[must_use]
    pub fn find<'a>(&self, path: impl IntoIterator<Item = Step<'a>>) -> Option<Place> {
        self.descend(NodeId::ROOT, path).and_then(|node| self.place(node))
    }

    /// The place of the deepest value that exists on the way along a JSON pointer: where to point when a field is
    /// missing. The flag says whether the whole way exists.
    #[must_use]
    pub fn nearest(&self, pointer: &str) -> Option<(Place, bool)> {
        let (node, found) = self.walk_pointer(NodeId::ROOT, pointer);
        self.place(node).map(|place| (place, found))
    }

    /// The annotation `key` of the object at `node`, or the nearest enclosing value.
    pub(crate) fn annotation(&self, node: NodeId, key: &str) -> Option<Place> {
        let mut budget = LOOKUP_STEPS;
        let mut node = node;
        for step in ["metadata", "annotations", key] {
            match self.child(node, Step::Key(step), &mut budget) {
                Some(child) => node = child,
                None => break,
            }
        }
        self.place(node)
    }

    pub(crate) fn place(&self, node: NodeId) -> Option<Place> {
        let node = self.nodes.get(node.0 as usize)?;
        let key = matches!(node.role, Role::Field | Role::Merge).then_some(node.key);
        Some(Place { key, value: node.value })
    }

    pub(crate) fn descend<'a>(
        &self,
        from: NodeId,
        path: impl IntoIterator<Item = Step<'a>>,
    ) -> Option<NodeId> {
        let mut budget = LOOKUP_STEPS;
        path.into_iter().try_fold(from, |node, step| self.child(node, step, &mut budget))
    }

    /// The list item after this one.
    pub(crate) fn next_sibling(&self, item: NodeId) -> Option<NodeId> {
        let next = self.nodes.get(item.0 as usize)?.next;
        let sibling = self.nodes.get(next as usize)?;
        (sibling.role == Role::Item).then_some(NodeId(next))
    }

    /// Follows a pointer as far as it exists.
    pub(crate) fn walk_pointer(&self, from: NodeId, pointer: &str) -> (NodeId, bool) {
        let mut budget = LOOKUP_STEPS;
        let mut node = from;
        for token in pointer.split('/').skip(1) {
            let name = token.replace("~1", "/").replace("~0", "~");
            let index = token.parse().ok().map(Step::Index);
            let next = self
                .child(node, Step::Key(&name), &mut budget)
                .or_else(|| self.child(node, index?, &mut budget));
            match next {
                Some(child) => node = child,
                None => return (node, false),
            }
        }
        (node, !self.nodes.is_empty())
    }

    fn child(&self, parent: NodeId, step: Step<'_>, budget: &mut u32) -> Option<NodeId> {
        let mut parent = parent.0;
        while self.nodes.get(parent as usize)?.target != NONE {
            *budget = budget.checked_sub(1)?;
            parent = self.nodes[parent as usize].target;
        }
        let mut at = parent + 1;
        let mut found = None;
        let mut index = 0;
        while at < self.nodes[parent as usize].next {
            *budget = budget.checked_sub(1)?;
            let node = &self.nodes[at as usize];
            match (step, node.role) {
                (Step::Index(wanted), Role::Item) if wanted == index => return Some(NodeId(at)),
                (Step::Key(wanted), Role::Field) if wanted == self.name(node) => found = Some(NodeId(at)),
                (Step::Key(_), Role::Merge) => found = self.merged(at, step, budget).or(found),
                _ => {}
            }
            index += 1;
            at = node.next;
        }
        found
    }

    /// A key set by `<<`. In a list of maps the first that has the key wins.
    fn merged(&self, merge: u32, step: Step<'_>, budget: &mut u32) -> Option<NodeId> {
        let mut at = merge + 1;
        while at < self.nodes[merge as usize].next && self.nodes[at as usize].role == Role::Item {
            *budget = budget.checked_sub(1)?;
            if let Some(found) = self.child(NodeId(at), step, budget) {
                return Some(found);
            }
            at = self.nodes[at as usize].next;
        }
        self.child(NodeId(merge), step, budget)
    }

    fn name(&self, node: &Node) -> &str {
        self.keys.get(node.name as usize..(node.name + node.name_len) as usize).unwrap_or_default()
    }

    pub(crate) fn key(&mut self, name: &str, span: Span, merge: bool) -> PendingKey {
        let pending = PendingKey { span, name: self.keys.len() as u32, name_len: name.len() as u32, merge };
        self.keys.push_str(name);
        pending
    }

    /// Adds a value that has no children yet.
    pub(crate) fn value(&mut self, value: Span, key: Option<PendingKey>, in_list: bool) -> NodeId {
        let id = self.nodes.len() as u32;
        let role = match key {
            Some(key) if key.merge => Role::Merge,
            Some(_) => Role::Field,
            None if in_list => Role::Item,
            None => Role::Root,
        };
        let (span, name, name_len) = key.map_or((value, 0, 0), |key| (key.span, key.name, key.name_len));
        self.nodes.push(Node { key: span, value, next: id + 1, name, name_len, target: NONE, role });
        NodeId(id)
    }

    /// Closes a list or map that ends before byte `end`.
    pub(crate) fn close(&mut self, node: NodeId, end: u32) {
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            node.next = next;
            node.value.end = end;
        }
    }

    /// Makes `node` stand for the anchored node `target`.
    pub(crate) fn alias(&mut self, node: NodeId, target: NodeId) {
        if let Some(node) = self.nodes.get_mut(node.0 as usize) {
            node.target = target.0;
        }
    }
}
