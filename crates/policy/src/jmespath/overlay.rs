//! The document that rules ask about is an object around the object in question. Building it anew for every rule would
//! copy the object every time, so that its outer levels are this instead: names, each with something borrowed.

use serde_json::{Map, Value};
use std::borrow::Cow;
use std::rc::Rc;

/// An object some of whose members are borrowed from elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay<'d> {
    members: Vec<(Cow<'d, str>, Slot<'d>)>,
}

/// A member of an overlay.
#[derive(Debug, Clone)]
pub(crate) enum Slot<'d> {
    Borrowed(&'d Value),
    Owned(Value),
    Shared(Rc<Value>),
    Object(Overlay<'d>),
}

impl<'d> Overlay<'d> {
    pub(crate) fn get(&self, name: &str) -> Option<&Slot<'d>> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, slot)| slot)
    }

    /// Sets a member and gives back what it was.
    pub(crate) fn insert(&mut self, name: impl Into<Cow<'d, str>>, slot: Slot<'d>) -> Option<Slot<'d>> {
        let name = name.into();
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => Some(std::mem::replace(old, slot)),
            None => {
                self.members.push((name, slot));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.members.retain(|(known, _)| known != name);
    }

    /// The same as one JSON value.
    pub(crate) fn to_value(&self) -> Value {
        let members = self.members.iter().map(|(name, slot)| (name.clone().into_owned(), slot.to_value()));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

impl<'d> From<Cow<'d, Value>> for Slot<'d> {
    fn from(value: Cow<'d, Value>) -> Self {
        match value {
            Cow::Borrowed(value) => Slot::Borrowed(value),
            // Whatever is computed may be bound to several names.
            Cow::Owned(value) => Slot::Shared(Rc::new(value)),
        }
    }
}

impl Slot<'_> {
    /// The JSON value that this is, unless it is an overlay.
    pub(crate) fn value(&self) -> Option<&Value> {
        match self {
            Slot::Borrowed(value) => Some(value),
            Slot::Owned(value) => Some(value),
            Slot::Shared(value) => Some(value),
            Slot::Object(_) => None,
        }
    }

    /// The same as one JSON value.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Slot::Borrowed(value) => (*value).clone(),
            Slot::Owned(value) => value.clone(),
            Slot::Shared(value) => (**value).clone(),
            Slot::Object(overlay) => overlay.to_value(),
        }
    }
}
