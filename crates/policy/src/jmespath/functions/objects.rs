//! Kyverno's functions on objects, lists and their texts.

use super::{Invocation, Outcome};
use crate::go::number::format_float32;
use crate::jmespath::item::{Item, values_equal};
use serde_json::{Map, Value};

pub(super) fn label_match<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    match (call.item(0)?.as_object(), call.item(1)?.as_object()) {
        (Some(wanted), Some(found)) => {
            call.evaluator.charge(wanted.len() as u64)?;
            let has = |(key, value)| found.get(key).is_some_and(|found| values_equal(found, value));
            Ok(Item::boolean(wanted.iter().all(has)))
        }
        (None, _) => Err(call.wrong_type(0, "Object")),
        _ => Err(call.wrong_type(1, "Object")),
    }
}

pub(super) fn lookup<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (place, key) = (call.item(0)?, call.item(1)?);
    let found = if place.list_len().is_some() {
        if key.as_f64().is_none() {
            return Err(call.wrong_type(1, "Number"));
        }
        let index = call.integer(1)?;
        // Unlike an index expression, negative numbers do not count from the end.
        if index < 0 { Item::null() } else { place.element(index) }
    } else {
        let key = key.as_str().ok_or_else(|| call.wrong_type(1, "String"))?;
        place.member(key).unwrap_or(Item::null())
    };
    call.evaluator.charge_owned(&found)?;
    Ok(found)
}

pub(super) fn items<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (key_name, value_name) = (call.text(1)?, call.text(2)?);
    let entry = |key: Value, value: Value| {
        let mut map = Map::with_capacity(2);
        map.insert(key_name.to_owned(), key);
        map.insert(value_name.to_owned(), value);
        Item::owned(Value::Object(map))
    };
    match call.evaluator.own(call.item(0)?.clone())? {
        Value::Object(map) => {
            let mut members: Vec<_> = map.into_iter().collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Ok(Item::list(members.into_iter().map(|(key, value)| entry(key.into(), value)).collect()))
        }
        Value::Array(values) => {
            let entries = values.into_iter().enumerate();
            Ok(Item::list(entries.map(|(index, value)| entry(index.into(), value)).collect()))
        }
        _ => Err(call.wrong_type(0, "Object or Array")),
    }
}

pub(super) fn object_from_lists<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let (keys, mut values) = (call.list(0)?, call.list(1)?.into_iter());
    let mut map = Map::with_capacity(keys.len());
    for key in keys {
        let name = match key.value() {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => format_float32(number.as_f64().unwrap_or_default()),
            Some(Value::Bool(value)) => value.to_string(),
            _ => return Err(call.wrong_type(0, "StringArray")),
        };
        let value = values.next().map_or(Ok(Value::Null), |item| call.evaluator.own(item))?;
        map.insert(name, value);
    }
    Ok(Item::owned(Value::Object(map)))
}

pub(super) fn parse_json<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    // A byte of text can become a value of its own.
    call.evaluator.charge(text.len() as u64)?;
    serde_json::from_str::<Value>(text).map(Item::owned).map_err(|error| call.fail(error))
}

pub(super) fn parse_yaml<'a>(call: &Invocation<'_, 'a>) -> Outcome<'a> {
    let text = call.text(0)?;
    call.evaluator.charge(text.len() as u64)?;
    call.evaluator.context.environment.parse_yaml(text).map(Item::owned).map_err(|error| call.fail(error))
}
