//! The document that rules ask about is an object around the object in question. Building it anew for every rule would
//! copy the object every time, so that its outer levels are this instead: names, each with something borrowed.

use serde_json::{Map, Value};

/// An object some of whose members are borrowed from elsewhere.
#[derive(Debug, Clone, Default)]
pub(crate) struct Overlay<'d> {
    members: Vec<(String, Slot<'d>)>,
}

/// A member of an overlay.
#[derive(Debug, Clone)]
pub(crate) enum Slot<'d> {
    Borrowed(&'d Value),
    Owned(Value),
    Object(Overlay<'d>),
}

impl<'d> Overlay<'d> {
    pub(crate) fn get(&self, name: &str) -> Option<&Slot<'d>> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, slot)| slot)
    }

    /// Sets a member and gives back what it was.
    pub(crate) fn insert(&mut self, name: &str, slot: Slot<'d>) -> Option<Slot<'d>> {
        match self.members.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => Some(std::mem::replace(old, slot)),
            None => {
                self.members.push((name.to_owned(), slot));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.members.retain(|(known, _)| known != name);
    }

    /// The same as one JSON value.
    pub(crate) fn to_value(&self) -> Value {
        let members = self.members.iter().map(|(name, slot)| (name.clone(), slot.to_value()));
        Value::Object(members.collect::<Map<_, _>>())
    }
}

impl Slot<'_> {
    /// The same as one JSON value.
    pub(crate) fn to_value(&self) -> Value {
        match self {
            Slot::Borrowed(value) => (*value).clone(),
            Slot::Owned(value) => value.clone(),
            Slot::Object(overlay) => overlay.to_value(),
        }
    }
}
