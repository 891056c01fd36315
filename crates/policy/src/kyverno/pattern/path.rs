//! Where in the object a walk is. Nearly no walk ends in a message, so that the path is only written when one needs it.

use std::fmt;

/// A place, made of the one above it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path<'p> {
    above: Option<(&'p Path<'p>, Step<'p>)>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'p> {
    Key(&'p str),
    Index(usize),
}

impl<'p> Path<'p> {
    /// The object itself.
    pub(super) const ROOT: Path<'static> = Path { above: None };

    pub(super) fn key(&'p self, key: &'p str) -> Path<'p> {
        Path { above: Some((self, Step::Key(key))) }
    }

    pub(super) fn index(&'p self, index: usize) -> Path<'p> {
        Path { above: Some((self, Step::Index(index))) }
    }
}

impl fmt::Display for Path<'_> {
    /// As Kyverno writes it: `/spec/containers/0/image/`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.above {
            None => f.write_str("/"),
            Some((above, Step::Key(key))) => write!(f, "{above}{key}/"),
            Some((above, Step::Index(index))) => write!(f, "{above}{index}/"),
        }
    }
}
