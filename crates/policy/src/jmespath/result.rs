//! What an evaluation hands out: parts of the document stay borrowed, because a loop over a pod's containers would copy
//! all of them for every rule.

use super::ast::Node;
use super::evaluator::{Evaluator, Failure};
use super::item::Item;
use super::{Context, Dialect, SearchError};
use serde_json::Value;
use std::borrow::Cow;
use std::rc::Rc;

/// The result as one value.
pub(super) fn whole<'a>(
    root: &'a Node,
    data: Item<'a>,
    dialect: Dialect,
    context: &Context<'_>,
) -> Result<Cow<'a, Value>, SearchError> {
    let evaluator = Evaluator::new(dialect, context);
    evaluator.evaluate(root, &data).and_then(|item| part(&evaluator, item)).map_err(told)
}

/// The elements of the result, which itself is the only one where it is no list.
pub(super) fn elements<'a>(
    root: &'a Node,
    data: Item<'a>,
    dialect: Dialect,
    context: &Context<'_>,
) -> Result<Vec<Cow<'a, Value>>, SearchError> {
    let evaluator = Evaluator::new(dialect, context);
    evaluator.evaluate(root, &data).and_then(|item| parts(&evaluator, item)).map_err(told)
}

fn parts<'a>(evaluator: &Evaluator<'_>, item: Item<'a>) -> Result<Vec<Cow<'a, Value>>, Failure<'a>> {
    match item {
        Item::Ref(Value::Array(values)) => Ok(values.iter().map(Cow::Borrowed).collect()),
        Item::List(items) => {
            let items = Rc::try_unwrap(items).unwrap_or_else(|shared| (*shared).clone());
            items.into_iter().map(|item| part(evaluator, item)).collect()
        }
        item => Ok(match part(evaluator, item)? {
            Cow::Owned(Value::Array(values)) => values.into_iter().map(Cow::Owned).collect(),
            single => vec![single],
        }),
    }
}

fn part<'a>(evaluator: &Evaluator<'_>, item: Item<'a>) -> Result<Cow<'a, Value>, Failure<'a>> {
    match item {
        Item::Ref(value) => Ok(Cow::Borrowed(value)),
        item => evaluator.own(item).map(Cow::Owned),
    }
}

fn told(failure: Failure<'_>) -> SearchError {
    match failure {
        Failure::NotFound(key) => SearchError::NotFound { key: key.to_owned() },
        Failure::Error(error) => *error,
    }
}
