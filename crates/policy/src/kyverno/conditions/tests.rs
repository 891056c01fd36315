use super::*;
use crate::go::print::untyped;
use crate::kyverno::variables::QueryError;
use proptest::prelude::*;
use serde_json::json;

fn holds(operator: &str, key: &Value, value: &Value) -> bool {
    // Values are written in a policy, keys mostly come from an object.
    compare(Operator::parse(operator).unwrap(), key, &untyped(value.clone())).unwrap()
}

/// Key, value, and whether Equals and NotEquals hold.
#[test]
fn equality() {
    let cases = [
        (json!("a"), json!("a"), true, false),
        (json!("abc"), json!("a*"), true, false),
        (json!("a*"), json!("abc"), false, true),
        (json!("1h"), json!("60m"), true, false),
        (json!("1h"), json!(3600), true, false),
        (json!(3600), json!("1h"), false, true),
        (json!("0"), json!(0), false, true),
        (json!("0"), json!("0s"), false, true),
        (json!("1Gi"), json!("1024Mi"), true, false),
        (json!("1Gi"), json!("*"), false, true),
        (json!("1"), json!(""), false, true),
        (json!("1"), json!(1), false, true),
        (json!(1), json!(1), true, false),
        (json!(1), json!("1"), true, false),
        (json!(1), json!("1.0"), false, true),
        (json!(1.5), json!("1.5"), true, false),
        (json!(true), json!(true), true, false),
        (json!(true), json!("true"), false, true),
        (json!(["a"]), json!(["a"]), true, false),
        (json!(["a"]), json!("a"), false, true),
        (json!({"a": "b"}), json!({"a": "b"}), true, false),
        (json!(null), json!(null), false, false),
        (json!(""), json!(""), true, false),
        (json!("x"), json!(null), false, true),
    ];
    for (key, value, equal, different) in cases {
        assert_eq!(holds("Equals", &key, &value), equal, "{key} Equals {value}");
        assert_eq!(holds("NotEqual", &key, &value), different, "{key} NotEqual {value}");
    }
}

/// Key, value, and whether AnyIn, AllIn, AnyNotIn, AllNotIn hold.
#[test]
fn membership() {
    let t = true;
    let f = false;
    let cases = [
        (json!("a"), json!(["a", "b"]), [t, t, f, f]),
        (json!("c"), json!(["a", "b"]), [f, f, t, t]),
        (json!("*"), json!(["a"]), [t, t, f, f]),
        (json!("abc"), json!(["a*"]), [t, t, f, f]),
        (json!(5), json!([5]), [t, t, f, f]),
        (json!(5), json!("1-10"), [t, t, f, f]),
        (json!(50), json!("1-10"), [f, f, t, t]),
        (json!(true), json!(["true"]), [t, t, f, f]),
        (json!("a"), json!("a*"), [t, t, f, f]),
        (json!("a"), json!("[\"a\"]"), [t, t, f, f]),
        (json!("a"), json!("b"), [f, f, t, t]),
        (json!("a"), json!("5"), [f, f, f, f]),
        (json!("a"), json!(5), [f, f, f, f]),
        (json!(null), json!(["a"]), [f, f, f, f]),
        (json!({}), json!(["a"]), [f, f, f, f]),
        (json!(["a", "c"]), json!(["a", "b"]), [t, f, t, f]),
        (json!(["a", "b"]), json!(["a", "b"]), [t, t, f, f]),
        (json!(["c"]), json!(["a", "b"]), [f, f, t, t]),
        (json!([]), json!(["a"]), [f, t, f, t]),
        (json!(["a"]), json!("a"), [t, t, f, f]),
        (json!([5, 50]), json!("1-10"), [t, f, t, f]),
        (json!(["x"]), json!("1-10"), [f, f, f, t]),
        (json!([5]), json!(5), [t, f, f, f]),
        (json!(["NET_ADMIN"]), json!([["NET_ADMIN", "CHOWN"]]), [f, f, t, t]),
        (json!([1_000_660_000]), json!([1_000_660_000]), [f, f, t, t]),
    ];
    for (key, value, expected) in cases {
        let found = ["AnyIn", "AllIn", "AnyNotIn", "AllNotIn"].map(|name| holds(name, &key, &value));
        assert_eq!(found, expected, "{key} and {value}");
    }
}

/// Key, value, and whether In and NotIn hold.
#[test]
fn old_membership() {
    let cases = [
        (json!("a"), json!(["a*"]), true, false),
        (json!("a"), json!("b"), false, false),
        (json!("a"), json!("[\"b\"]"), false, true),
        (json!(["a"]), json!(["a", "b"]), true, false),
        (json!(["a"]), json!(["*"]), false, true),
        (json!(["a"]), json!("a"), true, true),
        (json!(["a"]), json!([1]), false, false),
    ];
    for (key, value, inside, outside) in cases {
        assert_eq!(holds("In", &key, &value), inside, "{key} In {value}");
        assert_eq!(holds("NotIn", &key, &value), outside, "{key} NotIn {value}");
    }
    assert_eq!(compare(Operator::In, &json!([1]), &json!([1])), Err(ConditionError::ListOfStrings));
}

/// Key, value, and whether GreaterThan and LessThanOrEquals hold.
#[test]
fn order() {
    let cases = [
        (json!(2), json!(1), true, false),
        (json!(2), json!("1"), true, false),
        (json!("2"), json!(1), true, false),
        (json!("2h"), json!("1h"), true, false),
        (json!("2h"), json!(7200), false, true),
        (json!(7201), json!("2h"), true, false),
        (json!("1Gi"), json!("1000Mi"), true, false),
        (json!("1Gi"), json!(5), false, false),
        (json!("1.10.0"), json!("1.9.0"), true, false),
        (json!("1.10.0"), json!("x"), false, false),
        (json!("x"), json!("y"), false, false),
        (json!(null), json!(1), false, false),
        (json!(1), json!(null), false, false),
        (json!([1]), json!(0), false, false),
    ];
    for (key, value, more, at_most) in cases {
        assert_eq!(holds("GreaterThan", &key, &value), more, "{key} > {value}");
        assert_eq!(holds("LessThanOrEquals", &key, &value), at_most, "{key} <= {value}");
    }
    assert!(holds("DurationLessThan", &json!("5s"), &json!(6)));
    assert!(!holds("DurationLessThan", &json!("5"), &json!(6)));
    assert!(!holds("greaterthan", &json!(2), &json!(1)));
    assert!(holds("equals", &json!(2), &json!(2)));
}

struct Nothing;

impl Data for Nothing {
    fn query(&mut self, _: &str) -> Result<Value, QueryError> {
        Err(QueryError::Empty)
    }

    fn operation(&self) -> &str {
        ""
    }
}

#[test]
fn any_and_all_and_messages() {
    let condition = |holds: bool, message: &str| json!({"key": "a", "operator": "Equals", "value": if holds { "a" } else { "b" }, "message": message});
    let cases = [
        (json!(null), true, ""),
        (json!({}), true, ""),
        (json!({"any": []}), false, ""),
        (json!({"any": [condition(false, "1"), condition(true, "2"), condition(true, "3")]}), true, "2"),
        (json!({"any": [condition(false, "1"), condition(false, "2")]}), false, "1; 2"),
        (json!({"all": [condition(true, "1"), condition(true, "2")]}), true, "1; 2"),
        (json!({"all": [condition(true, "1"), condition(false, "2"), condition(false, "3")]}), false, "2"),
        (json!({"any": [condition(true, "1")], "all": [condition(false, "2")]}), false, "2"),
        (json!([condition(true, "1"), condition(true, "2")]), true, "1;2"),
        (json!([condition(false, "1")]), false, "1"),
    ];
    for (given, holds, message) in cases {
        let verdict = Conditions::parse(&given).unwrap().evaluate(&mut Nothing).unwrap();
        assert_eq!((verdict.holds, verdict.message.as_str()), (holds, message), "{given}");
    }
    let unresolved = json!([{"key": "{{ a }}", "operator": "Equals", "value": "b"}]);
    let error = Conditions::parse(&unresolved).unwrap().evaluate(&mut Nothing).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to substitute variables in condition key: failed to resolve a at path : invalid query (nil)"
    );
}

#[test]
fn refuses_what_it_does_not_know() {
    for (given, path) in [
        (json!("x"), ""),
        (json!({"some": []}), "some"),
        (json!({"any": {}}), "any"),
        (json!({"all": [{"operator": "Equals"}, {"operator": "Is"}]}), "all[1].operator"),
        (json!([1]), "[0]"),
    ] {
        assert_eq!(Conditions::parse(&given).unwrap_err().path, path, "{given}");
    }
}

fn operand() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "[a-c0-9MGi<>=!|&*?hms.\\[\\]\",-]{0,6}".prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..3).prop_map(Value::from))
}

proptest! {
    #[test]
    fn never_panics(key in operand(), value in operand()) {
        for (_, operator) in OPERATORS {
            let _ = compare(operator, &key, &value);
        }
    }

    #[test]
    fn not_equals_is_the_opposite(key in operand(), value in operand()) {
        prop_assume!(!key.is_null());
        let equal = compare(Operator::Equals, &key, &value).unwrap();
        prop_assert_eq!(compare(Operator::NotEquals, &key, &value).unwrap(), !equal);
    }
}
