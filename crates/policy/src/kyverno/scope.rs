//! The JSON document that a rule's variables are about, with entries that are loaded when something first names them,
//! and with changes that can be taken back after an element of a loop.

mod entry;
mod images;
mod list;

use super::lookup::Lookup;
use super::variables::{Data, QueryError};
use crate::jmespath::{self, Dialect, Environment, Expression, Overlay, Slot};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::collections::HashMap;

pub(super) use entry::Entry;
pub(super) use list::List;

/// Expressions parsed before they are needed.
#[derive(Debug, Default)]
pub(super) struct Expressions(HashMap<String, Expression>);

impl Expressions {
    /// Parses an expression; what is malformed is reported when it is evaluated, as Kyverno does it.
    pub(super) fn add(&mut self, text: &str) {
        if !self.0.contains_key(text)
            && let Ok(parsed) = Expression::parse(text, Dialect::Kyverno)
        {
            self.0.insert(text.to_owned(), parsed);
        }
    }
}

/// What a scope asks for answers.
#[derive(Clone, Copy)]
pub(super) struct World<'e> {
    pub(super) lookup: &'e dyn Lookup,
    pub(super) environment: &'e dyn Environment,
    pub(super) expressions: &'e Expressions,
    /// The policy's namespace; empty for a ClusterPolicy.
    pub(super) namespace: &'e str,
}

/// An entry that may be loaded.
struct Pending<'e> {
    name: &'e str,
    /// `None` for the images of the object.
    entry: Option<&'e Entry>,
    /// At how many changes it was loaded.
    loaded: Option<usize>,
}

/// A point to go back to.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    changes: usize,
    pending: usize,
}

/// The document.
pub(super) struct Scope<'e> {
    world: World<'e>,
    /// Empty until something asks: most rules have no variables.
    root: Overlay<'e>,
    build: Option<Box<dyn FnOnce() -> Overlay<'e> + 'e>>,
    /// The object that images are taken from.
    object: &'e Value,
    operation: &'e str,
    pending: Vec<Pending<'e>>,
    /// Only entries before this one can be loaded: one entry cannot use itself or a later one.
    limit: usize,
    changes: Vec<(Cow<'e, str>, Option<Slot<'e>>)>,
}

impl<'e> Scope<'e> {
    pub(super) fn new(
        world: World<'e>,
        build: Box<dyn FnOnce() -> Overlay<'e> + 'e>,
        object: &'e Value,
        operation: &'e str,
    ) -> Scope<'e> {
        Scope {
            world,
            root: Overlay::default(),
            build: Some(build),
            object,
            operation,
            pending: vec![Pending { name: "images", entry: None, loaded: None }],
            limit: usize::MAX,
            changes: Vec::new(),
        }
    }

    fn root(&mut self) -> &mut Overlay<'e> {
        if let Some(build) = self.build.take() {
            self.root = build();
        }
        &mut self.root
    }

    pub(super) fn add_entries(&mut self, entries: &'e [Entry]) {
        let pending = |entry: &'e Entry| Pending { name: entry.name(), entry: Some(entry), loaded: None };
        self.pending.extend(entries.iter().map(pending));
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { changes: self.changes.len(), pending: self.pending.len() }
    }

    /// Takes back every change since the mark. Entries loaded since then are loaded again when they are named again.
    pub(super) fn reset(&mut self, mark: Mark) {
        self.pending.truncate(mark.pending);
        for pending in &mut self.pending {
            pending.loaded = pending.loaded.filter(|&at| at <= mark.changes);
        }
        while self.changes.len() > mark.changes {
            match self.changes.pop() {
                Some((key, Some(old))) => drop(self.root.insert(key, old)),
                Some((key, None)) => self.root.remove(&key),
                None => {}
            }
        }
    }

    /// Sets a member of the document.
    fn set(&mut self, key: impl Into<Cow<'e, str>>, value: Value) {
        self.set_slot(key, Slot::Owned(value));
    }

    fn set_slot(&mut self, key: impl Into<Cow<'e, str>>, slot: Slot<'e>) {
        let key = key.into();
        let old = self.root().insert(key.clone(), slot);
        self.changes.push((key, old));
    }

    /// Sets the variables of one element of a loop.
    pub(super) fn set_element(&mut self, element: &Slot<'e>, index: usize, nesting: usize) {
        // Nearly no loop is in another one: its names need no memory.
        let (own, own_index): (Cow<'_, str>, Cow<'_, str>) = match nesting {
            0 => ("element0".into(), "elementIndex0".into()),
            _ => (format!("element{nesting}").into(), format!("elementIndex{nesting}").into()),
        };
        for name in ["element".into(), own] {
            self.set_slot(name, element.clone());
        }
        for name in ["elementIndex".into(), own_index] {
            self.set(name, json!(index));
        }
    }

    /// Sets a variable by its name with dots; objects are merged with what is there.
    pub(super) fn set_variable(&mut self, name: &str, value: &Value) {
        let mut steps = dotted(name);
        let first = steps.remove(0);
        let mut nested = value.clone();
        for step in steps.into_iter().rev() {
            nested = json!({ (step): nested });
        }
        let mut merged = self.root().get(&first).map_or(Value::Null, Slot::to_value);
        merge(&mut merged, nested);
        self.set(first, merged);
    }

    /// Loads what an expression names.
    fn load(&mut self, expression: &str) -> Result<(), QueryError> {
        for index in 0..self.pending.len().min(self.limit) {
            let pending = &self.pending[index];
            if pending.loaded.is_some() || !names(expression, pending.name) {
                continue;
            }
            let (entry, name) = (pending.entry, pending.name);
            let limit = std::mem::replace(&mut self.limit, index);
            let value = match entry {
                None => images::of(self.object, self.world.environment).map_err(QueryError::Context),
                Some(entry) => entry.load(self, self.world).map_err(QueryError::Context),
            };
            self.limit = limit;
            if let Some(value) = value? {
                self.set(name, value);
            }
            self.pending[index].loaded = Some(self.changes.len());
        }
        Ok(())
    }
}

impl Data for Scope<'_> {
    fn query(&mut self, expression: &str) -> Result<Value, QueryError> {
        self.load(expression)?;
        let expression = expression.trim();
        if expression.is_empty() {
            return Err(QueryError::Empty);
        }
        self.root();
        let context = jmespath::Context::new(self.world.environment);
        if let Some(parsed) = self.world.expressions.0.get(expression) {
            return Ok(parsed.search_overlay(&self.root, &context)?.into_owned());
        }
        Ok(parse(expression)?.search_overlay(&self.root, &context)?.into_owned())
    }

    fn operation(&self) -> &str {
        self.operation
    }
}

fn parse(expression: &str) -> Result<Expression, QueryError> {
    Expression::parse(expression, Dialect::Kyverno)
        .map_err(|error| QueryError::Parse { query: expression.to_owned(), error })
}

/// An expression on any document.
fn search(world: World<'_>, expression: &str, data: &Value) -> Result<Value, QueryError> {
    let context = jmespath::Context::new(world.environment);
    if let Some(parsed) = world.expressions.0.get(expression) {
        return Ok(parsed.search(data, &context)?.into_owned());
    }
    Ok(parse(expression)?.search(data, &context)?.into_owned())
}

/// Whether an expression names an entry: the name stands alone, not after a dot.
fn names(expression: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    expression.match_indices(name).any(|(at, _)| {
        let before = expression[..at].chars().next_back();
        let after = expression[at + name.len()..].chars().next();
        let last = name.chars().next_back();
        !before.is_some_and(|c| c == '.' || c.is_ascii_alphanumeric())
            && last.is_some_and(word) != after.is_some_and(word)
    })
}

/// An object with the variables merged in that name a part of it, such as `request.object.metadata.labels.a`; `name` is
/// `object` or `oldObject`.
pub(super) fn inject(object: &Value, name: &str, variables: &[(String, Value)]) -> Value {
    let mut object = object.clone();
    for (variable, value) in variables {
        let steps = dotted(variable);
        if let [request, member, rest @ ..] = steps.as_slice()
            && request == "request"
            && member == name
        {
            let nested = rest.iter().rev().fold(value.clone(), |nested, step| json!({ (step): nested }));
            merge(&mut object, nested);
        }
    }
    object
}

/// The steps of a name with dots; a step in double quotes may contain dots.
fn dotted(name: &str) -> Vec<String> {
    let (mut steps, mut step, mut quoted) = (Vec::new(), String::new(), false);
    for c in name.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => steps.push(std::mem::take(&mut step)),
            c => step.push(c),
        }
    }
    steps.push(step);
    steps
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
