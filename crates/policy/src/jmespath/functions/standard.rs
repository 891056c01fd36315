//! The functions of the JMESPath specification.

use super::{Failure, Invocation, Outcome};
use crate::go::number;
use crate::jmespath::item::Item;
use crate::jmespath::{Dialect, SearchError, ast::Node};
use serde_json::{Map, Value};
use std::cmp::Ordering;

pub(super) fn abs<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::number(call.number(0)?.abs()))
}

pub(super) fn ceil<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::number(call.number(0)?.ceil()))
}

pub(super) fn floor<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::number(call.number(0)?.floor()))
}

fn total<'a>(call: &Invocation<'_, 'a>) -> Result<(f64, usize), Failure<'a>> {
    let items = call.list(0)?;
    Ok((items.iter().filter_map(Item::as_f64).sum(), items.len()))
}

pub(super) fn avg<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (total, count) = total(call)?;
    Ok(Item::number(total / count as f64))
}

pub(super) fn sum<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::number(total(call)?.0))
}

pub(super) fn contains<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (place, sought) = (call.item(0)?, call.item(1)?);
    if let Some(text) = place.as_str() {
        return Ok(Item::boolean(sought.as_str().is_some_and(|part| text.contains(part))));
    }
    call.evaluator.charge(place.list_len().unwrap_or(0) as u64)?;
    let found = match (place.value(), sought.value()) {
        (Some(Value::Array(values)), Some(sought)) => {
            values.iter().any(|value| crate::jmespath::item::values_equal(value, sought))
        }
        _ => call.list(0)?.iter().any(|item| item.equals(sought)),
    };
    Ok(Item::boolean(found))
}

pub(super) fn starts_with<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::boolean(call.text(0)?.starts_with(call.text(1)?)))
}

pub(super) fn ends_with<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::boolean(call.text(0)?.ends_with(call.text(1)?)))
}

pub(super) fn join<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let separator = call.text(0)?;
    let items = call.list(1)?;
    let mut joined = String::new();
    for (index, text) in items.iter().filter_map(Item::as_str).enumerate() {
        let separator = if index == 0 { "" } else { separator };
        call.evaluator.charge_text(separator.len() + text.len())?;
        joined.push_str(separator);
        joined.push_str(text);
    }
    Ok(Item::owned(joined))
}

pub(super) fn keys<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let Some(map) = call.item(0)?.as_object() else {
        return Err(call.wrong_type(0, "object"));
    };
    call.evaluator.charge(map.len() as u64 * 4)?;
    Ok(Item::list(map.keys().map(|key| Item::owned(key.as_str())).collect()))
}

pub(super) fn values<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let object = call.item(0)?;
    call.evaluator.charge_owned(object)?;
    match object {
        Item::Ref(Value::Object(map)) => Ok(Item::list(map.values().map(Item::Ref).collect())),
        _ => match object.as_object() {
            Some(map) => Ok(Item::list(map.values().map(|value| Item::owned(value.clone())).collect())),
            None => Err(call.wrong_type(0, "object")),
        },
    }
}

pub(super) fn length<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let item = call.item(0)?;
    let length = match (item.as_str(), item.as_object()) {
        (Some(text), _) => text.chars().count(),
        (_, Some(map)) => map.len(),
        _ => item.list_len().unwrap_or(0),
    };
    Ok(Item::owned(length))
}

/// The expression of an `&expression` argument.
fn expression<'a>(call: &Invocation<'_, 'a>, index: usize) -> Result<&'a Node, Failure<'a>> {
    match call.item(index)? {
        Item::Reference(node) => Ok(node),
        _ => Err(call.wrong_type(index, "expression")),
    }
}

pub(super) fn map<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let node = expression(call, 0)?;
    let items: Result<Vec<_>, _> = call.list(1)?.iter().map(|item| call.evaluator.soft(node, item)).collect();
    items.map(Item::list)
}

pub(super) fn merge<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut merged = Map::new();
    for item in call.arguments {
        if let Value::Object(map) = call.evaluator.own(item.clone())? {
            merged.extend(map);
        }
    }
    Ok(Item::owned(Value::Object(merged)))
}

pub(super) fn not_null<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(call.arguments.iter().find(|item| !item.is_null()).cloned().unwrap_or(Item::null()))
}

pub(super) fn reverse<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    match call.item(0)?.as_str() {
        Some(text) => call.string(text.chars().rev().collect()),
        None => Ok(Item::list(call.list(0)?.into_iter().rev().collect())),
    }
}

pub(super) fn to_array<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let item = call.item(0)?.clone();
    Ok(if item.list_len().is_some() { item } else { Item::list(vec![item]) })
}

pub(super) fn to_string<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let item = call.item(0)?.clone();
    if item.as_str().is_some() {
        return Ok(item);
    }
    let value = call.evaluator.own(item)?;
    call.string(match call.evaluator.dialect {
        Dialect::Standard => value.to_string(),
        Dialect::Kyverno => crate::go::json::marshal(&value),
    })
}

pub(super) fn to_number<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let item = call.item(0)?;
    match item.as_str() {
        Some(text) => Ok(number::parse_float(text).map_or(Item::null(), Item::number)),
        None if item.as_f64().is_some() => Ok(item.clone()),
        None => Ok(Item::null()),
    }
}

pub(super) fn type_of<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(Item::owned(call.item(0)?.type_name()))
}

/// The order of two numbers or two strings; none for anything else.
fn order(a: &Item<'_>, b: &Item<'_>) -> Option<Ordering> {
    match (a.as_str(), b.as_str()) {
        (Some(a), Some(b)) => Some(a.cmp(b)),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        _ => None,
    }
}

pub(super) fn sort<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut items = call.list(0)?;
    items.sort_by(|a, b| order(a, b).unwrap_or(Ordering::Equal));
    Ok(Item::list(items))
}

/// The first of the items whose key no other exceeds in `direction`.
fn best<'a>(keyed: Vec<(Item<'a>, Item<'a>)>, direction: Ordering) -> Item<'a> {
    let better = |best: (Item<'a>, Item<'a>), next: (Item<'a>, Item<'a>)| {
        if order(&next.0, &best.0) == Some(direction) { next } else { best }
    };
    keyed.into_iter().reduce(better).map_or(Item::null(), |(_, item)| item)
}

fn extreme<'a>(call: &Invocation<'_, 'a>, direction: Ordering) -> Outcome<'a> {
    Ok(best(call.list(0)?.into_iter().map(|item| (item.clone(), item)).collect(), direction))
}

pub(super) fn max<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    extreme(call, Ordering::Greater)
}

pub(super) fn min<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    extreme(call, Ordering::Less)
}

/// The elements of the list, each with what the expression gives for it: all numbers or all strings.
fn keyed<'a>(call: &Invocation<'_, 'a>) -> Result<Vec<(Item<'a>, Item<'a>)>, Failure<'a>> {
    let node = expression(call, 1)?;
    let items = call.list(0)?;
    if items.len() < 2 && call.evaluator.dialect == Dialect::Kyverno {
        // The fork has nothing to compare then and does not evaluate the expression.
        return Ok(items.into_iter().map(|item| (Item::null(), item)).collect());
    }
    let mut keyed: Vec<(Item<'a>, Item<'a>)> = Vec::with_capacity(items.len());
    for item in items {
        let key = call.evaluator.soft(node, &item)?;
        let first = keyed.first().map_or(&key, |(first, _)| first);
        if order(first, &key).is_none() {
            return Err(SearchError::ArgumentType {
                function: call.function.name,
                position: 2,
                found: key.type_name(),
                accepted: "an expression that gives only numbers or only strings".to_owned(),
            }
            .into());
        }
        keyed.push((key, item));
    }
    Ok(keyed)
}

pub(super) fn max_by<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(best(keyed(call)?, Ordering::Greater))
}

pub(super) fn min_by<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    Ok(best(keyed(call)?, Ordering::Less))
}

pub(super) fn sort_by<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let mut keyed = keyed(call)?;
    keyed.sort_by(|(a, _), (b, _)| order(a, b).unwrap_or(Ordering::Equal));
    Ok(Item::list(keyed.into_iter().map(|(_, item)| item).collect()))
}
