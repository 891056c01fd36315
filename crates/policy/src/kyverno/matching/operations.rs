//! Sets of operations: which requests something can be about, so that an API server is told to send those and no others.

use std::fmt;

/// The operations of admission requests, in the order in which they are written.
const ALL: [&str; 4] = ["CREATE", "UPDATE", "DELETE", "CONNECT"];

/// A set of `CREATE`, `UPDATE`, `DELETE` and `CONNECT`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Operations(u8);

impl Operations {
    /// All four.
    pub const ALL: Operations = Operations(0b1111);
    /// None.
    pub const NONE: Operations = Operations(0);
    /// All but deletions.
    pub const NO_DELETE: Operations = Operations(0b1011);

    /// Those of these names; what is no operation is left out: nothing can match it.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Operations {
        let bit = |name: &str| ALL.iter().position(|one| *one == name).map_or(0, |at| 1 << at);
        Operations(names.into_iter().fold(0, |all, name| all | bit(name)))
    }

    /// Those in one of the two.
    #[must_use]
    pub fn or(self, other: Operations) -> Operations {
        Operations(self.0 | other.0)
    }

    /// Those in both.
    #[must_use]
    pub fn and(self, other: Operations) -> Operations {
        Operations(self.0 & other.0)
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(self, other: Operations) -> Operations {
        Operations(self.0 & !other.0)
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The names, in an order that does not change.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        ALL.into_iter().enumerate().filter(move |(at, _)| self.0 & (1 << at) != 0).map(|(_, name)| name)
    }
}

impl fmt::Debug for Operations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join("|"))
    }
}
