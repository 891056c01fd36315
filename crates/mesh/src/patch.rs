//! The difference between two JSON values as a JSON patch (RFC 6902): what an admission webhook answers with. Lists of
//! containers are compared by name, so that a container put in front is one operation and not a rewrite of all.

use serde_json::{Map, Value, json};

/// The operations (`add`, `remove`, `replace`) that make `after` out of `before`, in order; none when they are equal.
pub fn patch(before: &Value, after: &Value) -> Vec<Value> {
    let mut operations = Vec::new();
    values(before, after, "", &mut operations);
    operations
}

fn values(before: &Value, after: &Value, path: &str, operations: &mut Vec<Value>) {
    match (before, after) {
        _ if before == after => {}
        (Value::Object(before), Value::Object(after)) => objects(before, after, path, operations),
        (Value::Array(before), Value::Array(after)) => arrays(before, after, path, operations),
        _ => operations.push(json!({"op": "replace", "path": path, "value": after})),
    }
}

fn objects(before: &Map<String, Value>, after: &Map<String, Value>, path: &str, operations: &mut Vec<Value>) {
    let at = |key: &str| format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        operations.push(json!({"op": "remove", "path": at(key)}));
    }
    for (key, value) in after {
        match before.get(key) {
            Some(old) => values(old, value, &at(key), operations),
            None => operations.push(json!({"op": "add", "path": at(key), "value": value})),
        }
    }
}

/// Walks both lists at once. Up to `at` the patched list is as it is meant to be; behind that stands what is left of
/// the old one, so every operation is at `at`.
fn arrays(before: &[Value], after: &[Value], path: &str, operations: &mut Vec<Value>) {
    let mut old = before;
    for (at, new) in after.iter().enumerate() {
        let path = format!("{path}/{at}");
        while let [gone, rest @ ..] = old
            && !same(gone, new)
            && rest.iter().any(|later| same(later, new))
        {
            operations.push(json!({"op": "remove", "path": path}));
            old = rest;
        }
        match old {
            [first, rest @ ..] if same(first, new) => {
                values(first, new, &path, operations);
                old = rest;
            }
            // It will be wanted later on: nothing takes its place.
            [first, ..] if after[at + 1..].iter().any(|later| same(first, later)) => {
                operations.push(json!({"op": "add", "path": path, "value": new}));
            }
            [_, rest @ ..] => {
                operations.push(json!({"op": "replace", "path": path, "value": new}));
                old = rest;
            }
            [] => operations.push(json!({"op": "add", "path": path, "value": new})),
        }
    }
    let end = format!("{path}/{}", after.len());
    operations.extend(old.iter().map(|_| json!({"op": "remove", "path": end})));
}

/// Whether two elements are versions of one thing: objects of one name, else equal values.
fn same(before: &Value, after: &Value) -> bool {
    match (before.get("name"), after.get("name")) {
        (Some(before), Some(after)) => before == after,
        _ => before == after,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_container_in_front_is_one_operation() {
        let before = json!({"list": [{"name": "a", "x": 1}, {"name": "b"}]});
        let after = json!({"list": [{"name": "wait"}, {"name": "a"}, {"name": "b", "y/z": {}}]});
        assert_eq!(
            patch(&before, &after),
            [
                json!({"op": "add", "path": "/list/0", "value": {"name": "wait"}}),
                json!({"op": "remove", "path": "/list/1/x"}),
                json!({"op": "add", "path": "/list/2/y~1z", "value": {}}),
            ]
        );
    }

    #[test]
    fn a_container_in_place_is_one_operation() {
        let before = json!([{"name": "init"}, {"name": "b"}]);
        let after = json!([{"name": "wait"}, {"name": "b"}]);
        assert_eq!(
            patch(&before, &after),
            [json!({"op": "replace", "path": "/0", "value": {"name": "wait"}})]
        );
        assert_eq!(patch(&before, &json!([{"name": "b"}])), [json!({"op": "remove", "path": "/0"})]);
        assert!(patch(&before, &before).is_empty());
    }

    fn small() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(json!(null)),
            (0..3).prop_map(|n| json!(n)),
            "[a/~]{0,2}".prop_map(|s| json!(s))
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            let key = prop_oneof![Just("name".to_string()), "[ab/~]{0,2}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4)
                    .prop_map(|entries| Value::Object(entries.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn applied_it_gives_the_other_value(before in small(), after in small()) {
            let operations: json_patch::Patch = serde_json::from_value(patch(&before, &after).into()).expect("a patch");
            let mut patched = before.clone();
            json_patch::patch(&mut patched, &operations).expect("it applies");
            prop_assert_eq!(patched, after);
        }
    }
}
