//! JMESPath over `serde_json::Value`, because policies ask questions in it and no existing engine knows Kyverno's
//! dialect, in which an unknown key is an error that some constructs forward and others turn into null.
//!
//! ```text
//! text ─ lexer ─► tokens ─ parser ─► Node tree (Expression) ─ evaluator(&Value, &Context) ─► Cow<Value>
//!                                                                 │
//!                                                     table of functions, Environment
//! ```
//!
//! Results borrow from the document or the expression; projections and flattening carry lists of references.
//!
//! ```
//! use meshward_policy::jmespath::{Context, Dialect, Expression};
//!
//! let pod = serde_json::json!({"spec": {"containers": [{"image": "a"}, {"image": "b"}]}});
//! let images = Expression::parse("spec.containers[].image", Dialect::Kyverno)?;
//! assert_eq!(*images.search(&pod, &Context::default())?, serde_json::json!(["a", "b"]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod ast;
mod environment;
mod error;
mod evaluator;
mod functions;
mod item;
mod lexer;
mod overlay;
mod parser;
mod peer;
mod result;

pub use environment::{Context, Environment, Limits, Offline};
pub use error::{ParseError, SearchError};
pub use functions::{Function, Type, function, functions};

pub(crate) use overlay::{Overlay, Slot};

use ast::Node;
use serde_json::Value;
use std::borrow::Cow;

/// Which JMESPath is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// The language of jmespath.org: a missing key is null, 26 functions.
    Standard,
    /// That of Kyverno's fork of go-jmespath, at commit 95e59c162877: a missing key is an error, Kyverno's own
    /// functions, and the fork's tolerance (missing commas between arguments).
    #[default]
    Kyverno,
}

/// A parsed expression. Evaluation shares nothing, so one expression can be used by many threads.
#[derive(Debug)]
pub struct Expression {
    text: String,
    dialect: Dialect,
    root: Node,
}

impl Expression {
    /// The longest expression accepted, in bytes.
    pub const MAX_LENGTH: usize = 64 * 1024;
    /// The deepest nesting accepted; every operator applied to the left counts as one.
    pub const MAX_DEPTH: u32 = 256;

    /// Parses an expression.
    ///
    /// # Errors
    /// [`ParseError`] with the offset of the first character that cannot be understood.
    pub fn parse(text: &str, dialect: Dialect) -> Result<Self, ParseError> {
        Ok(Self { text: text.to_owned(), dialect, root: parser::parse(text, dialect)? })
    }

    /// Evaluates the expression on `data`. The result borrows from `data` or from the expression where it is a part of
    /// them.
    ///
    /// # Errors
    /// [`SearchError`]; in Kyverno's dialect also [`SearchError::NotFound`] for an unknown key.
    pub fn search<'a>(
        &'a self,
        data: &'a Value,
        context: &Context<'_>,
    ) -> Result<Cow<'a, Value>, SearchError> {
        result::whole(&self.root, item::Item::Ref(data), self.dialect, context)
    }

    /// The elements of what [`Expression::search`] finds; what is no list is the only one. Those that are parts of the
    /// document are borrowed.
    ///
    /// # Errors
    /// Those of [`Expression::search`].
    pub(crate) fn elements<'a>(
        &'a self,
        data: &'a Value,
        context: &Context<'_>,
    ) -> Result<Vec<Cow<'a, Value>>, SearchError> {
        result::elements(&self.root, item::Item::Ref(data), self.dialect, context)
    }

    /// The same expression about the member `path` of its document, if it looks at nothing else in it.
    pub(crate) fn within(mut self, path: [&str; 2]) -> Option<Self> {
        self.root.rebase(path).then_some(self)
    }

    /// The same on a document whose outer levels are an overlay.
    pub(crate) fn search_overlay<'a>(
        &'a self,
        data: &'a Overlay<'a>,
        context: &Context<'_>,
    ) -> Result<Cow<'a, Value>, SearchError> {
        result::whole(&self.root, item::Item::Outer(data), self.dialect, context)
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The dialect it was parsed in.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// The names of the functions that the expression calls and its dialect does not have, with their offsets. They
    /// fail only when they are reached, so a checker must ask.
    pub fn unknown_functions(&self) -> Vec<(&str, usize)> {
        let mut unknown = Vec::new();
        self.root.visit(&mut |node| {
            if let Node::Call(call) = node
                && call.function.is_none()
            {
                unknown.push((call.name.as_str(), call.offset));
            }
        });
        unknown
    }

    /// The tree in the words of go-jmespath, as `kyverno jp parse` prints it. A slice's value is written as in the
    /// expression: the peer prints the addresses of its parts.
    pub fn peer_tree(&self) -> String {
        peer::print(&self.root)
    }

    /// The tree as indented text, one node a line, to show how an expression was understood.
    pub fn tree(&self) -> String {
        self.root.describe()
    }
}

#[cfg(test)]
mod tests;
