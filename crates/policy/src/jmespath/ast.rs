//! The tree that an expression is parsed into.

use super::functions::Function;
use crate::go::regex::Regex;
use serde_json::Value;
use std::fmt::Write;
use std::sync::OnceLock;

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// `[start:stop:step]`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Slice {
    pub(super) start: Option<i64>,
    pub(super) stop: Option<i64>,
    pub(super) step: Option<i64>,
}

/// A function call.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// The function, or none if the dialect does not have it.
    pub(super) function: Option<&'static Function>,
    pub(super) arguments: Vec<Node>,
    /// Where the name starts, in bytes.
    pub(super) offset: usize,
    /// The compiled first argument, where that is a constant regular expression.
    pub(super) regex: OnceLock<Result<Regex, String>>,
}

/// One step of an expression; boxes keep it small.
#[derive(Debug)]
pub(super) enum Node {
    /// `@`
    Current,
    /// The same where nothing is written: what `[0]` is an element of, what a projection's elements stay.
    Identity,
    Field(String),
    Literal(Value),
    Index(i64),
    Slice(Slice),
    /// `left.right`, `left[0]`: the right side is evaluated on the left side's result.
    Sub(Box<Node>, Box<Node>),
    /// `left | right`: like [`Node::Sub`], but it ends projections and forgets unknown keys.
    Pipe(Box<Node>, Box<Node>),
    Flatten(Box<Node>),
    /// The right side on every element of the left side's list.
    Projection(Box<Node>, Box<Node>),
    /// The right side on every value of the left side's object.
    ValueProjection(Box<Node>, Box<Node>),
    /// `left[?condition]right`
    Filter(Box<FilterNode>),
    Or(Box<Node>, Box<Node>),
    And(Box<Node>, Box<Node>),
    Not(Box<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
    Call(Box<Call>),
    /// `&expression`
    Reference(Box<Node>),
}

#[derive(Debug)]
pub(super) struct FilterNode {
    pub(super) left: Node,
    pub(super) condition: Node,
    pub(super) right: Node,
}

impl Node {
    pub(super) fn children(&self) -> Vec<&Node> {
        match self {
            Self::Current
            | Self::Identity
            | Self::Field(_)
            | Self::Literal(_)
            | Self::Index(_)
            | Self::Slice(_) => Vec::new(),
            Self::Sub(l, r)
            | Self::Pipe(l, r)
            | Self::Projection(l, r)
            | Self::ValueProjection(l, r)
            | Self::Or(l, r)
            | Self::And(l, r)
            | Self::Compare(_, l, r) => vec![l, r],
            Self::Flatten(node) | Self::Not(node) | Self::Reference(node) => vec![node],
            Self::Filter(filter) => vec![&filter.left, &filter.condition, &filter.right],
            Self::List(nodes) => nodes.iter().collect(),
            Self::Object(entries) => entries.iter().map(|(_, node)| node).collect(),
            Self::Call(call) => call.arguments.iter().collect(),
        }
    }

    /// Makes what starts at a member of the document start at the document, which then has to be that member. Whether
    /// it did: nothing else may be looked at.
    pub(super) fn rebase(&mut self, path: [&str; 2]) -> bool {
        match self {
            Self::Sub(left, right) => match (&**left, &**right) {
                (Self::Field(outer), Self::Field(inner)) if [outer.as_str(), inner] == path => {
                    *self = Self::Current;
                    true
                }
                _ => left.rebase(path),
            },
            Self::Pipe(left, _) | Self::Projection(left, _) | Self::ValueProjection(left, _) => {
                left.rebase(path)
            }
            Self::Flatten(left) => left.rebase(path),
            Self::Filter(filter) => filter.left.rebase(path),
            _ => false,
        }
    }

    /// Calls `see` with this node and all below it, from left to right.
    pub(super) fn visit<'n>(&'n self, see: &mut dyn FnMut(&'n Node)) {
        see(self);
        for child in self.children() {
            child.visit(see);
        }
    }

    pub(super) fn describe(&self) -> String {
        let mut text = String::new();
        self.describe_into(0, &mut text);
        text
    }

    fn describe_into(&self, indent: usize, text: &mut String) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{:indent$}{}", "", self.title());
        for child in self.children() {
            child.describe_into(indent + 2, text);
        }
    }

    fn title(&self) -> String {
        match self {
            Self::Current | Self::Identity => "current".to_owned(),
            Self::Field(name) => format!("field {name:?}"),
            Self::Literal(value) => format!("literal {value}"),
            Self::Index(index) => format!("index {index}"),
            Self::Slice(slice) => {
                let part = |p: Option<i64>| p.map_or_else(String::new, |p| p.to_string());
                format!("slice {}:{}:{}", part(slice.start), part(slice.stop), part(slice.step))
            }
            Self::Sub(..) => "sub-expression".to_owned(),
            Self::Pipe(..) => "pipe".to_owned(),
            Self::Flatten(_) => "flatten".to_owned(),
            Self::Projection(..) => "projection".to_owned(),
            Self::ValueProjection(..) => "value projection".to_owned(),
            Self::Filter(_) => "filter (list, condition, projection)".to_owned(),
            Self::Or(..) => "or".to_owned(),
            Self::And(..) => "and".to_owned(),
            Self::Not(_) => "not".to_owned(),
            Self::Compare(comparison, ..) => format!("compare {}", comparison.symbol()),
            Self::List(_) => "multi-select list".to_owned(),
            Self::Object(entries) => {
                let keys: Vec<_> = entries.iter().map(|(key, _)| key.as_str()).collect();
                format!("multi-select object {}", keys.join(", "))
            }
            Self::Call(call) => format!("function {}", call.name),
            Self::Reference(_) => "expression reference".to_owned(),
        }
    }
}

impl Comparison {
    fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}
