//! Label selectors, with Kyverno's wildcards in `matchLabels`.

use super::MatchError;
use crate::wildcard;
use serde_json::{Map, Value};
use std::fmt;

/// A label selector; an empty one matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selector {
    labels: Vec<(String, String)>,
    expressions: Vec<Expression>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Expression {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Reads `matchLabels` and `matchExpressions`.
    ///
    /// # Errors
    /// [`MatchError`] for an unknown field or operator, a wrong type, or values where none belong.
    pub fn parse(value: &Value, path: &str) -> Result<Selector, MatchError> {
        let wrong = |path: String, accepted: &str| MatchError {
            path,
            reason: format!("wrong type or value, accepted: {accepted}"),
        };
        let map = value.as_object().ok_or_else(|| wrong(path.to_owned(), "a label selector"))?;
        let mut selector = Selector::default();
        for (name, value) in map {
            let place = format!("{path}.{name}");
            match (name.as_str(), value) {
                (_, Value::Null) => {}
                ("matchLabels", Value::Object(labels)) => {
                    for (key, value) in labels {
                        let text = value.as_str().ok_or_else(|| wrong(format!("{place}.{key}"), "text"))?;
                        selector.labels.push((key.clone(), text.to_owned()));
                    }
                }
                ("matchExpressions", Value::Array(list)) => {
                    for (index, value) in list.iter().enumerate() {
                        let place = format!("{place}[{index}]");
                        let parsed = Expression::parse(value);
                        let accepted = "key, operator (In, NotIn, Exists, DoesNotExist) and, for In and NotIn only, values";
                        selector.expressions.push(parsed.ok_or_else(|| wrong(place, accepted))?);
                    }
                }
                _ => return Err(wrong(place, "matchLabels (an object), matchExpressions (a list)")),
            }
        }
        Ok(selector)
    }

    /// Whether labels, an object of texts or null, match.
    pub fn matches(&self, labels: &Value) -> bool {
        let empty = Map::new();
        let labels = labels.as_object().unwrap_or(&empty);
        let has = |key: &str, value: &str| labels.get(key).and_then(Value::as_str) == Some(value);
        self.labels.iter().all(|(key, value)| {
            if !wildcard::is_pattern(key) && !wildcard::is_pattern(value) {
                return has(key, value);
            }
            labels.iter().any(|(k, v)| {
                wildcard::matches(key, k) && v.as_str().is_some_and(|v| wildcard::matches(value, v))
            }) || has(&without_wildcards(key), &without_wildcards(value))
        }) && self.expressions.iter().all(|expression| expression.holds(labels))
    }
}

impl fmt::Display for Selector {
    /// As kubectl writes it: `a=b, c in (d, e), f, !g`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = self.labels.iter().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.expressions.iter().map(|expression| {
            let (key, values) = (&expression.key, expression.values.join(", "));
            match expression.operator {
                Operator::In => format!("{key} in ({values})"),
                Operator::NotIn => format!("{key} notin ({values})"),
                Operator::Exists => key.clone(),
                Operator::DoesNotExist => format!("!{key}"),
            }
        });
        f.write_str(&labels.chain(expressions).collect::<Vec<_>>().join(", "))
    }
}

/// What Kyverno looks for when no label matches: the pattern with `0` for each wildcard.
fn without_wildcards(text: &str) -> String {
    text.replace(['*', '?'], "0")
}

impl Expression {
    fn parse(value: &Value) -> Option<Expression> {
        let key = value.get("key")?.as_str()?.to_owned();
        let operator = match value.get("operator")?.as_str()? {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            _ => return None,
        };
        let values: Vec<String> = match value.get("values") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(values)) => {
                values.iter().map(|value| value.as_str().map(str::to_owned)).collect::<Option<_>>()?
            }
            Some(_) => return None,
        };
        let wants_values = matches!(operator, Operator::In | Operator::NotIn);
        (wants_values != values.is_empty()).then_some(Expression { key, operator, values })
    }

    fn holds(&self, labels: &Map<String, Value>) -> bool {
        let value = labels.get(&self.key).map(|value| value.as_str().unwrap_or_default());
        let listed = value.is_some_and(|value| self.values.iter().any(|v| v == value));
        match self.operator {
            Operator::In => listed,
            Operator::NotIn => !listed,
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
        }
    }
}
