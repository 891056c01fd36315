use super::*;
use crate::go::print::untyped;
use proptest::prelude::*;
use serde_json::json;

fn check(object: &Value, pattern: &Value) -> Result<(), Mismatch> {
    Pattern::new(pattern).check(object)
}

#[test]
fn scalars_match_as_in_kyverno() {
    let cases = [
        (json!(true), json!(true), true),
        (json!("true"), json!(true), false),
        (json!(true), json!("true"), true),
        (json!(true), json!("t*"), true),
        (json!(7), json!(7), true),
        (json!(7.0), json!(7), true),
        (json!("7"), json!(7), true),
        (json!("7.0"), json!(7), true),
        (json!("x"), json!(7), false),
        (json!(0), json!(null), true),
        (json!(""), json!(null), true),
        (json!(false), json!(null), true),
        (json!({}), json!(null), false),
        (json!({"a": 1}), json!({}), true),
        (json!([]), json!([]), false),
        (json!("abc"), json!("a*"), true),
        (json!("abc"), json!("!a*"), false),
        (json!("abc"), json!("!b* & !c*"), true),
        (json!("abc"), json!("b* | a*"), true),
        (json!("a|b"), json!("a|b"), true),
        (json!(""), json!("?*"), false),
        (json!(null), json!("*"), false),
        (json!(null), json!("0"), true),
        (json!(null), json!("<5"), true),
        (json!(null), json!("!x"), false),
        (json!(8080), json!("8*"), true),
        (json!(8080.5), json!("8*"), true),
        (json!(8080.5), json!("8.0805E+03"), true),
        (json!("1Gi"), json!("<=1024Mi"), true),
        (json!("1Gi"), json!("> 1024Mi"), false),
        (json!("1000m"), json!("1"), true),
        (json!("90s"), json!(">1m"), true),
        (json!("90s"), json!("1m30s"), true),
        (json!(10), json!("1-10"), true),
        (json!(10), json!("1!-10"), false),
        (json!(11), json!("1!-10"), true),
        (json!("150Mi"), json!("100Mi-200Mi"), true),
        (json!(-3), json!("-5--1"), true),
        (json!("a-b"), json!("a-b"), true),
        (json!("b"), json!("> a"), false),
        (json!(5), json!(">"), false),
        (json!(5), json!(">=5"), true),
        (json!("é"), json!("é"), true),
    ];
    for (value, pattern, expected) in cases {
        assert_eq!(matches(&value, &untyped(pattern.clone())), expected, "{value} against {pattern}");
    }
}

/// Object, pattern, and the path of the difference: `None` if it matches, `Some("skip")` if it is skipped, `Some("")` if
/// it cannot be decided.
#[test]
fn objects_match_as_in_kyverno() {
    let pod = json!({
        "metadata": {"name": "p", "labels": {"app.kubernetes.io/name": "x", "n": "y"}},
        "spec": {"containers": [
            {"name": "a", "image": "a:latest", "imagePullPolicy": "Always"},
            {"name": "b", "image": "b:1", "imagePullPolicy": "IfNotPresent"},
        ]},
    });
    let containers = |pattern: Value| json!({"spec": {"containers": [pattern]}});
    let cases = [
        (json!({"spec": {"containers": "*"}}), None),
        (json!({"spec": {"nodeName": "*"}}), Some("/spec/")),
        (json!({"spec": {"nodeName": "?*"}}), Some("/spec/nodeName/")),
        (containers(json!({"image": "!*:latest"})), Some("/spec/containers/0/image/")),
        (containers(json!({"(image)": "*:latest", "imagePullPolicy": "Always"})), None),
        (
            containers(json!({"(image)": "b:*", "imagePullPolicy": "Always"})),
            Some("/spec/containers/1/imagePullPolicy/"),
        ),
        (containers(json!({"(image)": "c:*", "imagePullPolicy": "Always"})), Some("skip")),
        (containers(json!({"=(securityContext)": {"=(privileged)": false}})), None),
        (containers(json!({"X(securityContext)": "null"})), None),
        (containers(json!({"X(image)": "null"})), Some("/spec/containers/0/image/")),
        (json!({"spec": {"^(containers)": [{"name": "b"}]}}), None),
        (json!({"spec": {"^(containers)": [{"name": "c"}]}}), Some("/spec/containers/")),
        (json!({"spec": {"^(initContainers)": [{"name": "c"}]}}), None),
        (json!({"spec": {"^(initContainers)": [{"name": "c"}], "nodeName": "x"}}), Some("")),
        (containers(json!({"<(image)": "b:*", "imagePullPolicy": "IfNotPresent"})), None),
        (containers(json!({"<(image)": "c:*", "imagePullPolicy": "x"})), Some("skip")),
        (json!({"metadata": {"labels": {"app.*/name": "?*"}}}), None),
        (json!({"metadata": {"labels": {"app.*/none": "?*"}}}), Some("/metadata/labels/app.*/none/")),
        (
            json!({"metadata": {"=(labels)": {"X(app.*)": "null"}}}),
            Some("/metadata/labels/app.kubernetes.io/name/"),
        ),
        (json!({"metadata": {"+(labels)": "x"}}), Some("/metadata/+(labels)/")),
        (json!({"spec": {"containers": {"name": "a"}}}), Some("/spec/containers/")),
        (json!({"spec": {"containers": []}}), Some("/spec/containers/")),
        (json!({"metadata": {"name": ["p"]}}), Some("/metadata/name/")),
        (json!({"metadata": {"name": {}}}), Some("/metadata/name/")),
        (json!({"(metadata)": {"name": "q"}, "spec": {"x": "y"}}), Some("skip")),
        (json!({"(metadata)": {"name": "p"}, "spec": {"x": "y"}}), Some("/spec/x/")),
    ];
    for (pattern, expected) in cases {
        let found = check(&pod, &pattern).err();
        let found = found.as_ref().map(|m| if m.skip { "skip" } else { m.path.as_str() });
        assert_eq!(found, expected, "{pattern}");
    }
}

#[test]
fn explains_as_kyverno() {
    let object = json!({"spec": {"a": "b", "l": [1, 2], "m": [[1]]}});
    let cases = [
        (json!({"spec": {"a": "c"}}), "resource value 'b' does not match 'c' at path /spec/a/"),
        (json!({"spec": {"l": 1}}), "resource value '[1 2]' does not match '1' at path /spec/l/"),
        (json!({"spec": {"l": [3]}}), "resource value '[1 2]' does not match '3' at path /spec/l/"),
        (
            json!({"spec": {"m": [[1], [2]]}}),
            "validate Array failed, array length mismatch, resource Array len is 1 and pattern Array len is 2",
        ),
        (
            json!({"spec": {"a": {}}}),
            "pattern and resource have different structures. Path: /spec/a/. Expected map[string]interface {}, found \
             string",
        ),
        (json!({"spec": {"X(a)": null}}), "negation anchor matched in resource: /spec/a/ is not allowed"),
        (
            json!({"spec": {"(z)": 1}}),
            "conditional anchor mismatch: conditional anchor key doesn't exist in the resource",
        ),
        (
            json!({"spec": {"(a)": "x", "(l)": 3}}),
            "conditional anchor mismatch: resource value 'b' does not match 'x' at path /spec/a/; conditional anchor \
             mismatch: resource value '[1 2]' does not match '3' at path /spec/l/",
        ),
    ];
    for (pattern, expected) in cases {
        assert_eq!(check(&object, &pattern).unwrap_err().message, expected, "{pattern}");
    }
}

#[test]
fn words_in_a_value_skip_nothing() {
    let object = json!({"a": "conditional anchor mismatch"});
    assert!(!check(&object, &json!({"a": "b"})).unwrap_err().skip);
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "[a-c0-9MGi<>=!|&*? -]{0,6}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[<+=X^]?\\(?(a|b|metadata|labels)\\)?", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(object in json(), pattern in json()) {
        let _ = check(&object, &pattern);
        let _ = matches(&object, &pattern);
    }

    #[test]
    fn a_range_is_two_comparisons(value: i16, low in 0i16..100, high in 0i16..100) {
        let inside = matches(&json!(value), &json!(format!("{low}-{high}")));
        prop_assert_eq!(inside, low <= value && value <= high);
        prop_assert_eq!(matches(&json!(value), &json!(format!("{low}!-{high}"))), value < low || value > high);
    }
}
