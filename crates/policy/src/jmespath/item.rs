//! Intermediate results. A part of the document stays a reference, a list made by a projection is a list of such
//! items, and only what is computed is owned; so nothing of the document is copied before the end.

use super::ast::Node;
use super::overlay::{Overlay, Slot};
use serde_json::{Map, Number, Value};
use std::rc::Rc;

static NULL: Value = Value::Null;
static TRUE: Value = Value::Bool(true);
static FALSE: Value = Value::Bool(false);

/// An intermediate result; cloning is cheap.
#[derive(Debug, Clone)]
pub(super) enum Item<'a> {
    /// A part of the document or of the expression.
    Ref(&'a Value),
    /// A computed value.
    Owned(Rc<Value>),
    /// A computed list.
    List(Rc<Vec<Item<'a>>>),
    /// `&expression`, for functions that apply it.
    Reference(&'a Node),
    /// The outer levels of a document; only members are taken of it, every other use gets it as a computed value.
    Outer(&'a Overlay<'a>),
}

impl<'a> Item<'a> {
    pub(super) const fn null() -> Self {
        Self::Ref(&NULL)
    }

    pub(super) const fn boolean(value: bool) -> Self {
        Self::Ref(if value { &TRUE } else { &FALSE })
    }

    pub(super) fn owned(value: impl Into<Value>) -> Self {
        Self::Owned(Rc::new(value.into()))
    }

    /// A number; whole numbers within the precision of a float are stored as integers, so that they print as such, and
    /// what JSON cannot express (NaN, infinity) is null.
    pub(super) fn number(value: f64) -> Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if value.fract() == 0.0 && value.abs() < EXACT {
            return Self::owned(value as i64);
        }
        Number::from_f64(value).map_or(Self::null(), |number| Self::owned(Value::Number(number)))
    }

    pub(super) fn list(items: Vec<Item<'a>>) -> Self {
        Self::List(Rc::new(items))
    }

    /// The JSON value, unless this is a computed list or an expression reference.
    pub(super) fn value(&self) -> Option<&Value> {
        match self {
            Self::Ref(value) => Some(value),
            Self::Owned(value) => Some(value),
            Self::List(_) | Self::Reference(_) | Self::Outer(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(self.value(), Some(Value::Null))
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        self.value()?.as_str()
    }

    pub(super) fn as_f64(&self) -> Option<f64> {
        self.value()?.as_f64()
    }

    pub(super) fn as_object(&self) -> Option<&Map<String, Value>> {
        self.value()?.as_object()
    }

    /// The number of elements, if this is a list.
    pub(super) fn list_len(&self) -> Option<usize> {
        match self {
            Self::List(items) => Some(items.len()),
            _ => self.value()?.as_array().map(Vec::len),
        }
    }

    /// The elements, if this is a list.
    pub(super) fn elements(&self) -> Option<Elements<'_, 'a>> {
        match self {
            Self::Ref(Value::Array(values)) => Some(Elements::Refs(values.iter())),
            Self::Owned(value) => value.as_array().map(|values| Elements::Owned(values.iter())),
            Self::List(items) => Some(Elements::Items(items.iter())),
            _ => None,
        }
    }

    /// Whether JMESPath takes this for false: null, false and everything empty.
    pub(super) fn is_false(&self) -> bool {
        match self.value() {
            Some(Value::Null | Value::Bool(false)) => true,
            Some(Value::String(text)) => text.is_empty(),
            Some(Value::Array(values)) => values.is_empty(),
            Some(Value::Object(map)) => map.is_empty(),
            Some(_) => false,
            None => matches!(self, Self::List(items) if items.is_empty()),
        }
    }

    /// The name of the type as the function `type` gives it.
    pub(super) fn type_name(&self) -> &'static str {
        match self {
            Self::List(_) => "array",
            Self::Reference(_) => "expression reference",
            Self::Outer(_) => "object",
            Self::Ref(value) => type_name(value),
            Self::Owned(value) => type_name(value),
        }
    }

    /// Equality of JSON values; numbers are compared as floats.
    pub(super) fn equals(&self, other: &Item<'_>) -> bool {
        if let (Some(a), Some(b)) = (self.value(), other.value()) {
            return values_equal(a, b);
        }
        match (self.elements(), other.elements()) {
            (Some(a), Some(b)) => self.list_len() == other.list_len() && a.zip(b).all(|(a, b)| a.equals(&b)),
            _ => false,
        }
    }

    /// A member of an object; `None` if this is an object without it, null if this is no object.
    pub(super) fn member(&self, key: &str) -> Option<Item<'a>> {
        match self {
            Self::Ref(Value::Object(map)) => map.get(key).map(Item::Ref),
            Self::Owned(value) => match &**value {
                Value::Object(map) => map.get(key).map(|value| Item::owned(value.clone())),
                _ => Some(Item::null()),
            },
            Self::Outer(overlay) => overlay.get(key).map(|slot| match slot {
                Slot::Borrowed(value) => Item::Ref(value),
                Slot::Owned(value) => Item::Ref(value),
                Slot::Object(overlay) => Item::Outer(overlay),
            }),
            _ => Some(Item::null()),
        }
    }

    /// Like [`Item::member`], but takes the member out of an object that nothing else holds.
    pub(super) fn into_member(self, key: &str) -> Option<Item<'a>> {
        match self {
            Self::Owned(mut value) => match Rc::get_mut(&mut value) {
                Some(Value::Object(map)) => map.get_mut(key).map(|value| Item::owned(value.take())),
                _ => Self::Owned(value).member(key),
            },
            item => item.member(key),
        }
    }

    /// An element of a list, counted from the end if negative; null if there is none.
    pub(super) fn element(&self, index: i64) -> Item<'a> {
        let length = self.list_len().unwrap_or(0);
        let position = if index < 0 { index.checked_add(length as i64) } else { Some(index) };
        let Some(position) = position.and_then(|p| usize::try_from(p).ok()).filter(|&p| p < length) else {
            return Item::null();
        };
        match self {
            Self::Ref(Value::Array(values)) => Item::Ref(&values[position]),
            Self::Owned(value) => Item::owned(value[position].clone()),
            Self::List(items) => items[position].clone(),
            _ => Item::null(),
        }
    }
}

/// The name of a JSON value's type.
pub(super) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Equality with numbers compared as floats, whatever form they have.
pub(super) fn values_equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values_equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| values_equal(a, b)))
        }
        _ => a == b,
    }
}

/// The elements of a list, as items.
pub(super) enum Elements<'i, 'a> {
    Refs(std::slice::Iter<'a, Value>),
    Owned(std::slice::Iter<'i, Value>),
    Items(std::slice::Iter<'i, Item<'a>>),
}

impl<'a> Iterator for Elements<'_, 'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        match self {
            Self::Refs(values) => values.next().map(Item::Ref),
            Self::Owned(values) => values.next().map(|value| Item::owned(value.clone())),
            Self::Items(items) => items.next().cloned(),
        }
    }
}
