//! The tree of an expression as go-jmespath prints it (`parser.go`, `PrettyPrint`), because people compare what
//! `kyverno jp parse` shows them. The brace after a node's children is missing there too.

use super::ast::{Comparison, Node, Slice};
use crate::go::print::sprint;
use crate::pss::quote;
use serde_json::Value;
use std::fmt::Write;

pub(super) fn print(node: &Node) -> String {
    let mut printer = Printer { text: String::new() };
    printer.node(node, 0);
    printer.text
}

struct Printer {
    text: String,
}

impl Printer {
    fn node(&mut self, node: &Node, indent: usize) {
        match node {
            Node::Object(entries) => self.print("ASTMultiSelectHash", None, indent, |printer, indent| {
                for (key, child) in entries {
                    let child = |printer: &mut Self, indent| printer.node(child, indent);
                    printer.print("ASTKeyValPair", Some(quote(key)), indent, child);
                }
            }),
            // The order is the peer's.
            Node::Filter(filter) => self.print("ASTFilterProjection", None, indent, |printer, indent| {
                for child in [&filter.left, &filter.right, &filter.condition] {
                    printer.node(child, indent);
                }
            }),
            node => {
                let children = node.children();
                if children.is_empty() {
                    self.leaf(node, indent);
                } else {
                    self.print(name(node), value(node), indent, |printer, indent| {
                        children.into_iter().for_each(|child| printer.node(child, indent));
                    });
                }
            }
        }
    }

    fn leaf(&mut self, node: &Node, indent: usize) {
        self.begin(name(node), value(node), indent);
        let _ = writeln!(self.text, "{:indent$}}}", "");
    }

    fn print(
        &mut self,
        name: &str,
        value: Option<String>,
        indent: usize,
        children: impl FnOnce(&mut Self, usize),
    ) {
        self.begin(name, value, indent);
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}  children: {{", "");
        children(self, indent + 4);
        let _ = writeln!(self.text, "{:indent$}}}", "");
    }

    fn begin(&mut self, name: &str, value: Option<String>, indent: usize) {
        let _ = writeln!(self.text, "{:indent$}{name} {{", "");
        if let Some(value) = value {
            let _ = writeln!(self.text, "{:indent$}  value: {value}", "");
        }
    }
}

fn name(node: &Node) -> &'static str {
    match node {
        Node::Current => "ASTCurrentNode",
        Node::Identity => "ASTIdentity",
        Node::Field(_) => "ASTField",
        Node::Literal(_) => "ASTLiteral",
        Node::Index(_) => "ASTIndex",
        Node::Slice(_) => "ASTSlice",
        Node::Sub(_, right) if matches!(**right, Node::Index(_) | Node::Slice(_)) => "ASTIndexExpression",
        Node::Sub(..) => "ASTSubexpression",
        Node::Pipe(..) => "ASTPipe",
        Node::Flatten(_) => "ASTFlatten",
        Node::Projection(..) => "ASTProjection",
        Node::ValueProjection(..) => "ASTValueProjection",
        Node::Filter(_) => "ASTFilterProjection",
        Node::Or(..) => "ASTOrExpression",
        Node::And(..) => "ASTAndExpression",
        Node::Not(_) => "ASTNotExpression",
        Node::Compare(..) => "ASTComparator",
        Node::List(_) => "ASTMultiSelectList",
        Node::Object(_) => "ASTMultiSelectHash",
        Node::Call(_) => "ASTFunctionExpression",
        Node::Reference(_) => "ASTExpRef",
    }
}

fn value(node: &Node) -> Option<String> {
    match node {
        Node::Field(name) => Some(quote(name)),
        Node::Literal(Value::Null) => None,
        Node::Literal(value) => Some(go_syntax(value)),
        Node::Index(index) => Some(index.to_string()),
        Node::Slice(Slice { start, stop, step }) => {
            let part = |part: &Option<i64>| part.map_or_else(String::new, |part| part.to_string());
            Some(format!("{}:{}:{}", part(start), part(stop), part(step)))
        }
        Node::Compare(comparison, ..) => Some(token(*comparison).to_owned()),
        Node::Call(call) => Some(quote(&call.name)),
        _ => None,
    }
}

fn token(comparison: Comparison) -> &'static str {
    match comparison {
        Comparison::Equal => "tEQ",
        Comparison::NotEqual => "tNE",
        Comparison::Less => "tLT",
        Comparison::LessOrEqual => "tLTE",
        Comparison::Greater => "tGT",
        Comparison::GreaterOrEqual => "tGTE",
    }
}

/// A value as Go's `%#v` writes it.
fn go_syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(value) => value.to_string(),
        // The peer has no integers here.
        Value::Number(number) => sprint(&Value::from(number.as_f64())),
        Value::String(text) => quote(text),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(go_syntax).collect();
            format!("[]interface {{}}{{{}}}", values.join(", "))
        }
        Value::Object(map) => {
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by_key(|(key, _)| key.as_str());
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| format!("{}:{}", quote(key), go_syntax(value)))
                .collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
    }
}
