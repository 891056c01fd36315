//! Walks the tree over a document. The rules for unknown keys are those of Kyverno's fork: they leave
//! sub-expressions, index expressions, the right side of `&&` and nothing else; every other construct sees null.

use super::ast::{Comparison, FilterNode, Node, Slice};
use super::item::Item;
use super::{Context, Dialect, SearchError, functions};
use serde_json::{Map, Value};
use std::cell::Cell;
use std::rc::Rc;

/// A missing result: an unknown key, which is common and so costs nothing, or an error.
#[derive(Debug)]
pub(super) enum Failure<'a> {
    NotFound(&'a str),
    Error(Box<SearchError>),
}

impl From<SearchError> for Failure<'_> {
    fn from(error: SearchError) -> Self {
        Self::Error(Box::new(error))
    }
}

pub(super) type Outcome<'a> = Result<Item<'a>, Failure<'a>>;

/// Steps that copying one value costs.
const COPY: u64 = 4;
/// Bytes of text that cost one step.
const TEXT: usize = 16;

pub(super) struct Evaluator<'c> {
    pub(super) dialect: Dialect,
    pub(super) context: &'c Context<'c>,
    /// What is left of the limit.
    steps: Cell<u64>,
}

impl<'c> Evaluator<'c> {
    pub(super) fn new(dialect: Dialect, context: &'c Context<'c>) -> Self {
        Self { dialect, context, steps: Cell::new(context.limits.steps) }
    }
}

impl Evaluator<'_> {
    /// Counts `steps` towards the limit.
    pub(super) fn charge<'a>(&self, steps: u64) -> Result<(), Failure<'a>> {
        match self.steps.get().checked_sub(steps) {
            Some(left) => {
                self.steps.set(left);
                Ok(())
            }
            None => {
                self.steps.set(0);
                Err(SearchError::Limit { limit: self.context.limits.steps }.into())
            }
        }
    }

    /// Counts a text of `length` bytes towards the limit; to be called before it is built.
    pub(super) fn charge_text<'a>(&self, length: usize) -> Result<(), Failure<'a>> {
        self.charge((length / TEXT) as u64)
    }

    /// The longest text that the limit still allows, in bytes.
    pub(super) fn text_left(&self) -> usize {
        usize::try_from(self.steps.get()).unwrap_or(usize::MAX).saturating_mul(TEXT)
    }

    pub(super) fn evaluate<'a>(&self, node: &'a Node, current: &Item<'a>) -> Outcome<'a> {
        let item = match self.step(node, current)? {
            Item::Outer(overlay) => Item::owned(overlay.to_value()),
            item => return Ok(item),
        };
        self.charge_owned(&item).map(|()| item)
    }

    /// The same, but the outer levels of the document may remain what they are.
    fn step<'a>(&self, node: &'a Node, current: &Item<'a>) -> Outcome<'a> {
        self.charge(1)?;
        match node {
            Node::Current | Node::Identity => Ok(current.clone()),
            Node::Field(name) => {
                let item = self.found(name, current.member(name))?;
                self.charge_owned(&item).map(|()| item)
            }
            Node::Literal(value) => Ok(Item::Ref(value)),
            Node::Index(index) => {
                let element = current.element(*index);
                self.charge_owned(&element).map(|()| element)
            }
            Node::Sub(left, right) => {
                let left = self.step(left, current)?;
                self.consume(right, left)
            }
            Node::Pipe(left, right) => {
                let left = self.soft(left, current)?;
                forget(self.consume(right, left))
            }
            Node::Call(call) => functions::call(self, call, current),
            Node::Reference(node) => Ok(Item::Reference(node)),
            Node::Slice(slice) => self.slice(*slice, current),
            Node::Flatten(_) | Node::Projection(..) | Node::ValueProjection(..) | Node::Filter(_) => {
                self.project(node, current)
            }
            Node::Or(..) | Node::And(..) | Node::Not(_) | Node::Compare(..) => self.logic(node, current),
            Node::List(nodes) => self.multi_list(nodes, current),
            Node::Object(entries) => self.multi_object(entries, current),
        }
    }

    /// Evaluates with an unknown key as null.
    pub(super) fn soft<'a>(&self, node: &'a Node, current: &Item<'a>) -> Outcome<'a> {
        forget(self.evaluate(node, current))
    }

    /// Evaluates on an item that is not needed afterwards, so that its parts can be taken instead of copied.
    fn consume<'a>(&self, node: &'a Node, current: Item<'a>) -> Outcome<'a> {
        match node {
            Node::Field(name) => {
                self.charge(1)?;
                self.found(name, current.into_member(name))
            }
            Node::Current | Node::Identity => Ok(current),
            _ => self.step(node, &current),
        }
    }

    fn found<'a>(&self, key: &'a str, member: Option<Item<'a>>) -> Outcome<'a> {
        match (member, self.dialect) {
            (Some(item), _) => Ok(item),
            (None, Dialect::Standard) => Ok(Item::null()),
            (None, Dialect::Kyverno) => Err(Failure::NotFound(key)),
        }
    }

    fn logic<'a>(&self, node: &'a Node, current: &Item<'a>) -> Outcome<'a> {
        match node {
            Node::Or(left, right) => {
                let left = self.soft(left, current)?;
                if left.is_false() { self.soft(right, current) } else { Ok(left) }
            }
            Node::And(left, right) => {
                let left = self.soft(left, current)?;
                if left.is_false() { Ok(left) } else { self.evaluate(right, current) }
            }
            Node::Not(operand) => Ok(Item::boolean(self.soft(operand, current)?.is_false())),
            Node::Compare(comparison, left, right) => {
                let (left, right) = (self.soft(left, current)?, self.soft(right, current)?);
                Ok(compare(*comparison, &left, &right))
            }
            _ => Ok(Item::null()),
        }
    }

    /// The left side of a projection: null for an unknown key, and in Kyverno's fork, except for plain lists, for any
    /// error too.
    fn projected<'a>(&self, left: &'a Node, current: &Item<'a>) -> Outcome<'a> {
        match self.soft(left, current) {
            Err(Failure::Error(error))
                if self.dialect == Dialect::Kyverno && !matches!(*error, SearchError::Limit { .. }) =>
            {
                Ok(Item::null())
            }
            outcome => outcome,
        }
    }

    fn project<'a>(&self, node: &'a Node, current: &Item<'a>) -> Outcome<'a> {
        match node {
            Node::Projection(left, right) => {
                let left = self.soft(left, current)?;
                self.each(&left, right)
            }
            Node::Filter(filter) => {
                let left = self.projected(&filter.left, current)?;
                self.filter(filter, &left)
            }
            Node::ValueProjection(left, right) => {
                let left = self.projected(left, current)?;
                self.values(&left, right)
            }
            Node::Flatten(left) => {
                let left = self.projected(left, current)?;
                self.flatten(&left)
            }
            _ => Ok(Item::null()),
        }
    }

    fn each<'a>(&self, left: &Item<'a>, right: &'a Node) -> Outcome<'a> {
        let Some(elements) = left.elements() else {
            return Ok(Item::null());
        };
        self.charge_owned(left)?;
        let mut found = Vec::new();
        for element in elements {
            let item = forget(self.consume(right, element))?;
            if !item.is_null() {
                found.push(item);
            }
        }
        Ok(Item::list(found))
    }

    fn filter<'a>(&self, filter: &'a FilterNode, left: &Item<'a>) -> Outcome<'a> {
        let Some(elements) = left.elements() else {
            return Ok(Item::null());
        };
        self.charge_owned(left)?;
        let mut found = Vec::new();
        for element in elements {
            if !self.soft(&filter.condition, &element)?.is_false() {
                let item = forget(self.consume(&filter.right, element))?;
                if !item.is_null() {
                    found.push(item);
                }
            }
        }
        Ok(Item::list(found))
    }

    fn values<'a>(&self, left: &Item<'a>, right: &'a Node) -> Outcome<'a> {
        self.charge_owned(left)?;
        let members: Vec<Item<'a>> = match left {
            Item::Ref(Value::Object(map)) => map.values().map(Item::Ref).collect(),
            Item::Owned(value) => match &**value {
                Value::Object(map) => map.values().map(|value| Item::owned(value.clone())).collect(),
                _ => return Ok(Item::null()),
            },
            _ => return Ok(Item::null()),
        };
        let mut found = Vec::new();
        if self.dialect == Dialect::Kyverno && !members.is_empty() {
            // The fork evaluates the right side on one null for every value first, which shows where a function makes
            // something of null: `*.to_string(@)`.
            let item = self.soft(right, &Item::null())?;
            if !item.is_null() {
                found.resize(members.len(), item);
            }
        }
        for member in members {
            let item = forget(self.consume(right, member))?;
            if !item.is_null() {
                found.push(item);
            }
        }
        Ok(Item::list(found))
    }

    fn flatten<'a>(&self, left: &Item<'a>) -> Outcome<'a> {
        let Some(elements) = left.elements() else {
            return Ok(Item::null());
        };
        self.charge_owned(left)?;
        let mut flat = Vec::with_capacity(left.list_len().unwrap_or(0));
        for element in elements {
            match element.elements() {
                Some(inner) => {
                    self.charge_owned(&element)?;
                    self.charge(element.list_len().unwrap_or(0) as u64)?;
                    flat.extend(inner);
                }
                None => flat.push(element),
            }
        }
        self.charge(flat.len() as u64)?;
        Ok(Item::list(flat))
    }

    fn slice<'a>(&self, slice: Slice, current: &Item<'a>) -> Outcome<'a> {
        let Some(length) = current.list_len() else {
            return Ok(Item::null());
        };
        self.charge_owned(current)?;
        let step = slice.step.unwrap_or(1);
        if step == 0 {
            return Err(SearchError::ZeroStep.into());
        }
        let length = length as i64;
        let lowest = if step < 0 { -1 } else { 0 };
        let highest = if step < 0 { length - 1 } else { length };
        let bound =
            |part: Option<i64>, default| {
                part.map_or(default, |p| {
                    if p < 0 { p.saturating_add(length).max(lowest) } else { p.min(highest) }
                })
            };
        let (first, last) = if step < 0 { (length - 1, -1) } else { (0, length) };
        let (mut index, stop) = (bound(slice.start, first), bound(slice.stop, last));
        let mut found = Vec::new();
        while if step < 0 { index > stop } else { index < stop } {
            found.push(current.element(index));
            index = index.saturating_add(step);
        }
        self.charge(found.len() as u64)?;
        Ok(Item::list(found))
    }

    fn multi_list<'a>(&self, nodes: &'a [Node], current: &Item<'a>) -> Outcome<'a> {
        if current.is_null() {
            return Ok(Item::null());
        }
        let items: Result<Vec<_>, _> = nodes.iter().map(|node| self.soft(node, current)).collect();
        items.map(Item::list)
    }

    fn multi_object<'a>(&self, entries: &'a [(String, Node)], current: &Item<'a>) -> Outcome<'a> {
        if current.is_null() {
            return Ok(Item::null());
        }
        let mut map = Map::with_capacity(entries.len());
        for (key, node) in entries {
            let item = self.soft(node, current)?;
            map.insert(key.clone(), self.own(item)?);
        }
        Ok(Item::owned(Value::Object(map)))
    }

    /// The item as a value of its own; what must be copied counts towards the limit.
    pub(super) fn own<'a>(&self, item: Item<'a>) -> Result<Value, Failure<'a>> {
        match item {
            Item::Ref(value) => {
                self.charge_copy(value)?;
                Ok(value.clone())
            }
            Item::Owned(value) => match Rc::try_unwrap(value) {
                Ok(value) => Ok(value),
                Err(shared) => {
                    self.charge_copy(&shared)?;
                    Ok((*shared).clone())
                }
            },
            Item::List(items) => {
                self.charge(items.len() as u64 * COPY)?;
                let items = Rc::try_unwrap(items).unwrap_or_else(|shared| (*shared).clone());
                items.into_iter().map(|item| self.own(item)).collect::<Result<_, _>>().map(Value::Array)
            }
            Item::Reference(_) => Err(SearchError::ExpressionReference.into()),
            Item::Outer(overlay) => Ok(overlay.to_value()),
        }
    }

    /// Counts the copy that reading from a computed value makes; reading from the document copies nothing.
    pub(super) fn charge_owned<'a>(&self, item: &Item<'a>) -> Result<(), Failure<'a>> {
        match item {
            Item::Owned(value) => self.charge_copy(value),
            _ => Ok(()),
        }
    }

    fn charge_copy<'a>(&self, value: &Value) -> Result<(), Failure<'a>> {
        self.charge(COPY)?;
        match value {
            Value::String(text) => self.charge_text(text.len()),
            Value::Array(values) => values.iter().try_for_each(|value| self.charge_copy(value)),
            Value::Object(map) => map.iter().try_for_each(|(key, value)| {
                self.charge_text(key.len())?;
                self.charge_copy(value)
            }),
            _ => Ok(()),
        }
    }
}

/// Turns an unknown key into null.
fn forget(outcome: Outcome<'_>) -> Outcome<'_> {
    match outcome {
        Err(Failure::NotFound(_)) => Ok(Item::null()),
        outcome => outcome,
    }
}

fn compare<'a>(comparison: Comparison, left: &Item<'a>, right: &Item<'a>) -> Item<'a> {
    match comparison {
        Comparison::Equal => return Item::boolean(left.equals(right)),
        Comparison::NotEqual => return Item::boolean(!left.equals(right)),
        _ => {}
    }
    let (Some(left), Some(right)) = (left.as_f64(), right.as_f64()) else {
        return Item::null();
    };
    Item::boolean(match comparison {
        Comparison::Less => left < right,
        Comparison::LessOrEqual => left <= right,
        Comparison::Greater => left > right,
        _ => left >= right,
    })
}
