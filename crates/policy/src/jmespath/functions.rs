//! Functions as data: one table says each function's name, arguments and result, checks calls against them, and is
//! what `meshward jp function` prints.

mod arithmetic;
mod encoding;
mod names;
mod objects;
mod patterns;
mod random;
mod standard;
mod table;
mod text;
mod time;
#[cfg(feature = "full-functions")]
mod x509;

use super::ast::Call;
use super::evaluator::{Evaluator, Failure, Outcome};
use super::item::Item;
use super::{Dialect, SearchError};
use serde_json::Value;
use std::fmt;

/// The type of an argument or a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    /// Any JSON value.
    Any,
    /// A number.
    Number,
    /// A string.
    String,
    /// A boolean.
    Boolean,
    /// A list.
    Array,
    /// A list of numbers only.
    NumberArray,
    /// A list of strings only.
    StringArray,
    /// An object.
    Object,
    /// `&expression`
    Expression,
}

impl Type {
    fn accepts(self, item: &Item<'_>) -> bool {
        match self {
            Self::Any => !matches!(item, Item::Reference(_)),
            Self::Expression => matches!(item, Item::Reference(_)),
            Self::Array => item.list_len().is_some(),
            Self::NumberArray => item.elements().is_some_and(|mut all| all.all(|e| e.as_f64().is_some())),
            Self::StringArray => item.elements().is_some_and(|mut all| all.all(|e| e.as_str().is_some())),
            Self::Number => matches!(item.value(), Some(Value::Number(_))),
            Self::String => matches!(item.value(), Some(Value::String(_))),
            Self::Boolean => matches!(item.value(), Some(Value::Bool(_))),
            Self::Object => matches!(item.value(), Some(Value::Object(_))),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Any => "any",
            Self::Number => "number",
            Self::String => "string",
            Self::Boolean => "bool",
            Self::Array => "array",
            Self::NumberArray => "array[number]",
            Self::StringArray => "array[string]",
            Self::Object => "object",
            Self::Expression => "expref",
        })
    }
}

type Handler = for<'e, 'a> fn(&Invocation<'e, 'a>) -> Outcome<'a>;

/// How many arguments a function takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arity {
    /// One for each entry.
    Fixed,
    /// At least one for each entry; the last entry describes the rest.
    AtLeast,
    /// Any number, all ignored; Kyverno does not check calls of functions without arguments.
    Unchecked,
}

/// A function.
pub struct Function {
    name: &'static str,
    arguments: &'static [&'static [Type]],
    arity: Arity,
    returns: Type,
    doc: &'static str,
    handler: Handler,
}

impl Function {
    /// The name.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The types that each argument may have.
    pub fn arguments(&self) -> &'static [&'static [Type]] {
        self.arguments
    }

    /// Whether the last argument may be repeated.
    pub fn is_variadic(&self) -> bool {
        self.arity == Arity::AtLeast
    }

    /// The type of the result.
    pub fn returns(&self) -> Type {
        self.returns
    }

    /// What the function does, in one line.
    pub fn doc(&self) -> &'static str {
        self.doc
    }

    fn check_arity(&self, found: usize) -> Result<(), SearchError> {
        let count = self.arguments.len();
        let accepted = match self.arity {
            Arity::Unchecked => return Ok(()),
            Arity::Fixed if found == count => return Ok(()),
            Arity::AtLeast if found >= count => return Ok(()),
            Arity::Fixed => String::new(),
            Arity::AtLeast => "at least ".to_owned(),
        };
        let plural = if count == 1 { "" } else { "s" };
        let accepted = format!("{accepted}{count} argument{plural}");
        Err(SearchError::Arity { function: self.name, accepted, found })
    }

    fn check_types(&self, arguments: &[Item<'_>]) -> Result<(), SearchError> {
        if self.arity == Arity::Unchecked {
            return Ok(());
        }
        for (position, item) in arguments.iter().enumerate() {
            let types = self.arguments[position.min(self.arguments.len() - 1)];
            if !types.iter().any(|t| t.accepts(item)) {
                return Err(SearchError::ArgumentType {
                    function: self.name,
                    position: position + 1,
                    found: item.type_name(),
                    accepted: join(types, " or "),
                });
            }
        }
        Ok(())
    }
}

fn join(types: &[Type], separator: &str) -> String {
    types.iter().map(Type::to_string).collect::<Vec<_>>().join(separator)
}

impl fmt::Debug for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Function").field(&self.name).finish()
    }
}

impl fmt::Display for Function {
    /// `split(string, string) array[string] (what it does)`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments: Vec<_> = self.arguments.iter().map(|types| join(types, "|")).collect();
        let rest = if self.is_variadic() { "..." } else { "" };
        write!(f, "{}({}{rest}) {} ({})", self.name, arguments.join(", "), self.returns, self.doc)
    }
}

/// The functions of a dialect, in the order of their names.
pub fn functions(dialect: Dialect) -> Vec<&'static Function> {
    let mut all: Vec<&Function> = table::STANDARD.iter().collect();
    if dialect == Dialect::Kyverno {
        all.retain(|f| find(&table::KYVERNO, f.name).is_none());
        all.extend(&table::KYVERNO);
        all.sort_by_key(|f| f.name);
    }
    all
}

/// The function that a dialect calls `name`.
pub fn function(dialect: Dialect, name: &str) -> Option<&'static Function> {
    let own = if dialect == Dialect::Kyverno { find(&table::KYVERNO, name) } else { None };
    own.or_else(|| find(&table::STANDARD, name))
}

fn find(table: &'static [Function], name: &str) -> Option<&'static Function> {
    table.binary_search_by(|f| f.name.cmp(name)).ok().map(|index| &table[index])
}

/// Evaluates the arguments of a call, an unknown key as null, checks them and calls the function.
pub(super) fn call<'a>(evaluator: &Evaluator<'_>, call: &'a Call, current: &Item<'a>) -> Outcome<'a> {
    let arguments: Result<Vec<_>, _> =
        call.arguments.iter().map(|argument| evaluator.soft(argument, current)).collect();
    let arguments = arguments?;
    let Some(function) = call.function else {
        return Err(SearchError::UnknownFunction { name: call.name.clone() }.into());
    };
    function.check_arity(arguments.len())?;
    function.check_types(&arguments)?;
    (function.handler)(&Invocation { function, arguments: &arguments, evaluator, call })
}

/// One call with its evaluated, checked arguments.
struct Invocation<'e, 'a> {
    function: &'static Function,
    arguments: &'e [Item<'a>],
    evaluator: &'e Evaluator<'e>,
    call: &'a Call,
}

impl<'e, 'a> Invocation<'e, 'a> {
    fn item(&self, index: usize) -> Result<&'e Item<'a>, Failure<'a>> {
        self.arguments.get(index).ok_or_else(|| self.fail("missing argument"))
    }

    fn text(&self, index: usize) -> Result<&'e str, Failure<'a>> {
        self.item(index)?.as_str().ok_or_else(|| self.wrong_type(index, "string"))
    }

    fn number(&self, index: usize) -> Result<f64, Failure<'a>> {
        self.item(index)?.as_f64().ok_or_else(|| self.wrong_type(index, "float64"))
    }

    /// A number that must be whole and within 64 bits.
    fn integer(&self, index: usize) -> Result<i64, Failure<'a>> {
        let number = self.number(index)?;
        let whole = number as i64;
        if whole as f64 == number && whole != i64::MAX {
            return Ok(whole);
        }
        Err(self.fail(format_args!("argument #{}: expected an integer number but got: {number}", index + 1)))
    }

    /// The elements of a list; reading a computed list counts towards the limit.
    fn list(&self, index: usize) -> Result<Vec<Item<'a>>, Failure<'a>> {
        let item = self.item(index)?;
        let elements = item.elements().ok_or_else(|| self.wrong_type(index, "array"))?;
        self.evaluator.charge(item.list_len().unwrap_or(0) as u64)?;
        self.evaluator.charge_owned(item)?;
        Ok(elements.collect())
    }

    fn fail(&self, reason: impl fmt::Display) -> Failure<'a> {
        SearchError::Function { function: self.function.name, reason: reason.to_string() }.into()
    }

    fn wrong_type(&self, index: usize, accepted: &str) -> Failure<'a> {
        self.fail(format_args!("argument #{} is not of type {accepted}", index + 1))
    }

    /// A string result, counted towards the limit.
    fn string(&self, text: String) -> Outcome<'a> {
        self.evaluator.charge_text(text.len())?;
        Ok(Item::owned(text))
    }
}
