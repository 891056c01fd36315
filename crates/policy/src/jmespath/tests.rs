use super::*;
use serde_json::json;

mod hostile;
mod kyverno;
mod suite;

/// The result as JSON, or the error's text after `!`.
fn outcome(dialect: Dialect, expression: &str, data: &Value) -> Value {
    let context = Context::new(&Fixed);
    let result =
        Expression::parse(expression, dialect).map_err(|error| error.to_string()).and_then(|parsed| {
            parsed.search(data, &context).map(Cow::into_owned).map_err(|error| error.to_string())
        });
    result.unwrap_or_else(|error| format!("!{error}").into())
}

/// An environment that always answers the same.
struct Fixed;

impl Environment for Fixed {
    fn now(&self) -> Option<crate::go::time::Moment> {
        crate::go::time::Moment::parse(crate::go::time::RFC3339, "2025-06-01T12:30:00+02:00").ok()
    }

    fn random(&self) -> Option<u64> {
        Some(u64::MAX / 3)
    }

    fn resolve(&self, host: &str) -> Result<Vec<std::net::IpAddr>, String> {
        match host {
            "internal.example" => Ok(vec!["8.8.8.8".parse().unwrap(), "10.0.0.1".parse().unwrap()]),
            "example.com" => Ok(vec!["93.184.216.34".parse().unwrap()]),
            _ => Err(format!("lookup {host}: no such host")),
        }
    }

    fn parse_yaml(&self, text: &str) -> Result<Value, String> {
        Ok(json!({ "yaml": text }))
    }
}

#[test]
fn results_borrow() {
    let data = json!({"a": {"b": [1, 2]}});
    let expression = Expression::parse("a.b || `[3]`", Dialect::Kyverno).unwrap();
    assert!(matches!(expression.search(&data, &Context::default()), Ok(Cow::Borrowed(_))));
}

#[test]
fn errors_have_a_place() {
    let cases = [
        ("foo.", 4, "foo.\n    ^"),
        ("foo[?a", 6, "foo[?a\n      ^"),
        ("é", 0, "é\n^"),
        ("'é' = a", 5, "'é' = a\n    ^"),
        ("a\n  | b c", 8, "  | b c\n      ^"),
        ("`{`", 0, "`{`\n^"),
        ("'abc", 4, "'abc\n    ^"),
        ("length(a b", 10, "length(a b\n          ^"),
        ("\"f\"(a)", 0, "\"f\"(a)\n^"),
        ("[99999999999999999999]", 1, "[99999999999999999999]\n ^"),
    ];
    for (expression, offset, caret) in cases {
        let error = Expression::parse(expression, Dialect::Kyverno).unwrap_err();
        assert_eq!(
            (error.offset, error.caret(expression).as_str()),
            (offset, caret),
            "{expression}: {error}"
        );
    }
    let error = Expression::parse("foo bar", Dialect::Standard).unwrap_err();
    assert_eq!(error.to_string(), "unexpected 'bar', expected the end of the expression");
}

#[test]
fn tells_unknown_functions_before_they_are_reached() {
    let expression = Expression::parse("a && lenght(b) || to_upper(c)", Dialect::Standard).unwrap();
    assert_eq!(expression.unknown_functions(), [("lenght", 5), ("to_upper", 18)]);
    assert!(Expression::parse("to_upper(c)", Dialect::Kyverno).unwrap().unknown_functions().is_empty());
}

#[test]
fn draws_the_tree() {
    let expression = Expression::parse("a[?b > `1`].c | length(@)", Dialect::Standard).unwrap();
    let expected = "pipe\n  filter (list, condition, projection)\n    field \"a\"\n    compare >\n      field \"b\"\n      \
        literal 1\n    field \"c\"\n  function length\n    current\n";
    assert_eq!(expression.tree(), expected);
}

/// Recorded from `kyverno jp parse` 1.19.1, but for the slice, of which it prints addresses.
#[test]
fn draws_the_tree_as_the_peer_does() {
    let expression = Expression::parse(
        "[0].x[?y==`1`].{a: b, \"c\": [*]} | length(@) || `{\"k\":[null,1e7,\"v\"]}`",
        Dialect::Kyverno,
    );
    let expected = include_str!("tests/peer.txt");
    assert_eq!(expression.unwrap().peer_tree(), expected);
    let slice = Expression::parse("a[1::-1]", Dialect::Kyverno).unwrap().peer_tree();
    assert!(slice.contains("ASTSlice {\n          value: 1::-1\n"), "{slice}");
}

#[test]
fn tables_are_sorted_and_complete() {
    let standard: Vec<_> = functions(Dialect::Standard).iter().map(|f| f.name()).collect();
    let kyverno: Vec<_> = functions(Dialect::Kyverno).iter().map(|f| f.name()).collect();
    assert_eq!((standard.len(), kyverno.len()), (26, 26 + 51 - 1));
    for (dialect, names) in [(Dialect::Standard, standard), (Dialect::Kyverno, kyverno)] {
        assert!(names.is_sorted());
        for name in names {
            assert_eq!(function(dialect, name).map(Function::name), Some(name));
        }
    }
    let split = function(Dialect::Kyverno, "split").unwrap().to_string();
    assert!(split.starts_with("split(string, string) array[string] ("), "{split}");
    assert!(
        function(Dialect::Kyverno, "merge").unwrap().to_string().starts_with("merge(object...) object (")
    );
}
