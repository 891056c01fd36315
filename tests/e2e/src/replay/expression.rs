//! Expressions in parentheses: JMESPath with `$bindings`. Bindings become literals before the expression is parsed, so
//! that the engine of the policies can be used as it is.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use meshward_policy::jmespath::{Context, Dialect, Expression};
use serde_json::Value;

use super::Unsupported;

/// Named values.
pub(super) type Bindings = BTreeMap<String, Value>;

/// The expression in a text: `(…)`.
pub(super) fn expression(text: &str) -> Option<&str> {
    text.trim().strip_prefix('(')?.strip_suffix(')')
}

/// What an expression gives for `data`.
pub(super) fn evaluate(text: &str, data: &Value, bindings: &Bindings) -> Result<Value> {
    let bound = substitute(text, bindings)?;
    // The language of jmespath.org, and Kyverno's where the expression calls one of its functions.
    let mut parsed = parse(&bound, Dialect::Standard, text)?;
    if !parsed.unknown_functions().is_empty() {
        parsed = parse(&bound, Dialect::Kyverno, text)?;
    }
    if let Some((name, _)) = parsed.unknown_functions().first() {
        bail!(Unsupported(format!("function {name} in ({text})")));
    }
    match parsed.search(data, &Context::default()) {
        Ok(value) => Ok(value.into_owned()),
        Err(error) if error.is_not_found() => Ok(Value::Null),
        Err(error) => Err(error).with_context(|| format!("({text})")),
    }
}

fn parse(bound: &str, dialect: Dialect, text: &str) -> Result<Expression> {
    Expression::parse(bound, dialect).map_err(|error| anyhow::anyhow!("({text}): {error}"))
}

/// Replaces `$name` by its value as a literal, but not in quotes.
fn substitute(text: &str, bindings: &Bindings) -> Result<String> {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find(['$', '\'', '"', '`']) {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let end = match from.as_bytes()[0] {
            b'$' => {
                let name = &from[1..];
                let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(name.len());
                let value = bindings
                    .get(&name[..end])
                    .with_context(|| format!("({text}): nothing is called ${}", &name[..end]))?;
                out.push('`');
                out.push_str(&value.to_string().replace('`', "\\`"));
                out.push('`');
                end + 1
            }
            quote => {
                let end = closing(from, quote).with_context(|| format!("({text}): an open quote"))?;
                out.push_str(&from[..end]);
                end
            }
        };
        rest = &from[end..];
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the quoted part that `text` begins with is over.
fn closing(text: &str, quote: u8) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 1,
            found if found == quote => return Some(at + 1),
            _ => {}
        }
        at += 1;
    }
    None
}

/// The same value with every text that is an expression evaluated.
pub(super) fn evaluate_all(value: &Value, bindings: &Bindings) -> Result<Value> {
    Ok(match value {
        Value::String(text) => match expression(text) {
            // An empty object: of nothing at all, JMESPath makes no lists.
            Some(inner) => evaluate(inner, &Value::Object(serde_json::Map::new()), bindings)?,
            None => value.clone(),
        },
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| evaluate_all(item, bindings)).collect::<Result<_>>()?)
        }
        Value::Object(fields) => {
            let each = |(name, value): (&String, &Value)| Ok((name.clone(), evaluate_all(value, bindings)?));
            Value::Object(fields.iter().map(each).collect::<Result<_>>()?)
        }
        _ => value.clone(),
    })
}

/// `bindings` with those that a list of `{name, value}` adds, each seeing the ones before it.
pub(super) fn bind(bindings: &Bindings, list: &[Value]) -> Result<Bindings> {
    let mut all = bindings.clone();
    for one in list {
        let name = one["name"].as_str().context("a binding has a name")?.to_owned();
        let value = evaluate_all(&one["value"], &all)?;
        all.insert(name, value);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bindings_are_literals_but_not_in_quotes() {
        let bindings =
            Bindings::from([("error".into(), json!("say `no` to \"$x\"")), ("n".into(), json!(2))]);
        let holds = |text: &str| evaluate(text, &json!({"items": [1, 2]}), &bindings).unwrap();
        assert_eq!(holds("$error != null"), json!(true));
        assert_eq!(holds("contains($error, '`no`')"), json!(true));
        assert_eq!(holds("length(items) == $n"), json!(true));
        assert_eq!(holds("'$n'"), json!("$n"));
        assert_eq!(holds("to_upper('a')"), json!("A"));
        assert_eq!(holds("nothing.there"), json!(null));
        let unknown = evaluate("x_k8s_get('a')", &json!({}), &bindings).unwrap_err();
        assert!(unknown.downcast_ref::<Unsupported>().is_some());
        assert!(evaluate("$nobody", &json!({}), &bindings).is_err());
    }

    #[test]
    fn later_bindings_see_earlier_ones() {
        let list = [
            json!({"name": "a", "value": "x"}),
            json!({"name": "b", "value": {"c": "(join('-', [$a, 'y']))"}}),
        ];
        let bound = bind(&Bindings::new(), &list).unwrap();
        assert_eq!(bound["b"], json!({"c": "x-y"}));
    }
}
