//! One value against one scalar of a pattern.

use super::operator::{Operator, range};
use crate::duration::Duration;
use crate::go::number::parse_float;
use crate::go::print::exponent;
use crate::quantity::Quantity;
use crate::wildcard;
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A scalar of a pattern, ready to be compared.
#[derive(Debug)]
pub(super) struct Scalar {
    written: Value,
    /// Of a text.
    text: Text,
}

/// What a text asks for. Clusters have thousands of them, most of one condition.
#[derive(Debug)]
enum Text {
    One(Test),
    /// What `|` separates, each made of what `&` joins.
    Alternatives(Box<[Box<[Test]>]>),
}

/// One condition of a text.
#[derive(Debug)]
enum Test {
    Compare(Operator, Operand),
    /// `a-b`
    Within(Box<[Operand; 2]>),
    /// `a!-b`
    Outside(Box<[Operand; 2]>),
    /// An operator of a range without one.
    Never,
}

/// What a value is compared with, and what it is as a number.
#[derive(Debug)]
struct Operand {
    text: Box<str>,
    /// If it is one.
    measure: Option<Box<Measure>>,
}

#[derive(Debug)]
struct Measure {
    duration: Option<Duration>,
    quantity: Option<Quantity>,
}

/// Whether a value matches a pattern that is no list; an object only asks for an object.
///
/// ```
/// use meshward_policy::kyverno::pattern::matches;
/// use serde_json::json;
///
/// assert!(matches(&json!("1536Mi"), &json!("<= 2Gi & >1Gi")));
/// assert!(matches(&json!(8080), &json!("1-1023 | 8*")));
/// ```
pub fn matches(value: &Value, pattern: &Value) -> bool {
    match pattern {
        Value::Object(_) => value.is_object(),
        Value::Array(_) => false,
        scalar => Scalar::new(scalar).matches(value),
    }
}

impl Scalar {
    /// Reads a part of a pattern that is no object and no list.
    pub(super) fn new(pattern: &Value) -> Scalar {
        Scalar { written: pattern.clone(), text: Text::new(pattern.as_str().unwrap_or_default()) }
    }

    pub(super) fn written(&self) -> &Value {
        &self.written
    }

    pub(super) fn matches(&self, value: &Value) -> bool {
        match &self.written {
            Value::Number(number) => equals_number(value, number),
            Value::Null => is_zero(value),
            Value::String(pattern) => value.as_str() == Some(pattern) || self.text.holds(value),
            written => value == written,
        }
    }
}

impl Text {
    fn new(text: &str) -> Text {
        let tests = |alternative: &str| -> Vec<Test> {
            alternative.trim_matches(' ').split('&').map(|one| Test::new(one.trim_matches(' '))).collect()
        };
        if !text.contains(['|', '&']) {
            return Text::One(Test::new(text.trim_matches(' ')));
        }
        Text::Alternatives(text.split('|').map(|one| tests(one).into_boxed_slice()).collect())
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Text::One(test) => test.holds(value),
            Text::Alternatives(any) => any.iter().any(|all| all.iter().all(|test| test.holds(value))),
        }
    }
}

impl Test {
    /// Reads an operator and what to compare with, or a range.
    fn new(condition: &str) -> Test {
        let operator = Operator::of(condition);
        let ends = |separator| {
            range(condition, separator).map(|(low, high)| Box::new([Operand::new(low), Operand::new(high)]))
        };
        match operator {
            Operator::InRange => ends("-").map_or(Test::Never, Test::Within),
            Operator::NotInRange => ends("!-").map_or(Test::Never, Test::Outside),
            _ => Test::Compare(operator, Operand::new(condition[operator.as_str().len()..].trim())),
        }
    }

    fn holds(&self, value: &Value) -> bool {
        match self {
            Test::Compare(operator, operand) => operand.compare(value, *operator),
            Test::Within(ends) => {
                let [low, high] = &**ends;
                low.compare(value, Operator::MoreEqual) && high.compare(value, Operator::LessEqual)
            }
            Test::Outside(ends) => {
                let [low, high] = &**ends;
                low.compare(value, Operator::Less) || high.compare(value, Operator::More)
            }
            Test::Never => false,
        }
    }
}

impl Operand {
    fn new(text: &str) -> Operand {
        let measure = Measure { duration: Duration::parse(text).ok(), quantity: Quantity::parse(text).ok() };
        let is_one = measure.duration.is_some() || measure.quantity.is_some();
        Operand { text: text.into(), measure: is_one.then(|| Box::new(measure)) }
    }

    /// As durations if both are, else as quantities if both are, else as text.
    fn compare(&self, value: &Value, operator: Operator) -> bool {
        if let Some(order) = self.order(value) {
            return decides(order, operator);
        }
        let Some(text) = as_text(value) else { return false };
        match operator {
            Operator::Equal => wildcard::matches(&self.text, &text),
            Operator::NotEqual => !wildcard::matches(&self.text, &text),
            _ => false,
        }
    }

    /// How a value compares as a number.
    fn order(&self, value: &Value) -> Option<Ordering> {
        let Measure { duration, quantity } = &**self.measure.as_ref()?;
        let text = as_quantity_text(value)?;
        let as_duration = duration.and_then(|own| Some(Duration::parse(&text).ok()?.cmp(&own)));
        as_duration.or_else(|| Some(Quantity::parse(&text).ok()?.cmp(quantity.as_ref()?)))
    }
}

/// Equality with a number of a pattern; text is read as a number of the pattern's type.
fn equals_number(value: &Value, pattern: &Number) -> bool {
    match value {
        Value::Number(number) => number.as_f64() == pattern.as_f64(),
        Value::String(text) if pattern.is_f64() => parse_float(text) == pattern.as_f64(),
        Value::String(text) => text.parse::<i64>().ok().is_some_and(|value| Some(value) == pattern.as_i64()),
        _ => false,
    }
}

/// Whether a value is what Go takes for nothing.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

fn decides(order: Ordering, operator: Operator) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::More => order.is_gt(),
        Operator::MoreEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        Operator::InRange | Operator::NotInRange => false,
    }
}

/// The value as a number's text; what is missing counts as 0.
fn as_quantity_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Null => Some(Cow::Borrowed("0")),
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) if number.is_f64() => {
            Some(Cow::Owned(format!("{:.6}", number.as_f64().unwrap_or_default())))
        }
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// The value as text to compare with wildcards; a float has an exponent there.
fn as_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        Value::Number(number) if number.is_f64() => {
            Some(Cow::Owned(exponent(number.as_f64().unwrap_or_default(), 'E')))
        }
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}
