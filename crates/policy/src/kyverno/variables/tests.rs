use super::*;
use crate::jmespath::{Context, Dialect, Expression};
use proptest::prelude::*;
use serde_json::json;

/// A document that answers expressions.
struct Document(Value);

impl Data for Document {
    fn query(&mut self, expression: &str) -> Result<Value, QueryError> {
        if expression.is_empty() {
            return Err(QueryError::Empty);
        }
        let parsed = Expression::parse(expression, Dialect::Kyverno)
            .map_err(|error| QueryError::Parse { query: expression.to_owned(), error })?;
        Ok(parsed.search(&self.0, &Context::default())?.into_owned())
    }

    fn operation(&self) -> &str {
        self.0.pointer("/request/operation").and_then(Value::as_str).unwrap_or_default()
    }
}

fn document() -> Document {
    Document(json!({
        "request": {
            "operation": "CREATE",
            "object": {
                "name": "web", "labels": {"a": "b"}, "port": 80, "on": true, "nothing": null,
                "nested": "{{ request.object.name }}",
                "loop": "x {{ request.object.loop }}",
                "whole": {"again": "{{ request.object.whole }}"},
                "list": ["a", 1],
                "spec": {"a/b": [{"c-d": "found"}]},
            },
        },
        "key": "name",
        "unsafe": "<&>",
    }))
}

/// What a document becomes that was looked at before.
fn prepared(written: Value, mut about: Document) -> Result<Value, SubstitutionError> {
    super::Document::new(written).substituted(&mut about).map(Cow::into_owned)
}

#[test]
fn replaces_as_kyverno() {
    let cases = [
        (json!("plain"), json!("plain")),
        (json!("{{ request.object.name }}"), json!("web")),
        (json!("{{request.object.name}}-{{request.object.port}}"), json!("web-80")),
        (json!("{{request.object.name}}{{request.object.name}}"), json!("webweb")),
        (json!("{{ request.object.port }}"), json!(80)),
        (json!("{{ request.object.on }}"), json!(true)),
        (json!("{{ request.object.nothing }}"), json!(null)),
        (json!("a {{ request.object.nothing }}"), json!("a null")),
        (json!("l: {{ request.object.labels }}"), json!("l: {\"a\":\"b\"}")),
        (json!("{{ request.object.labels }}"), json!({"a": "b"})),
        (json!(" {{ request.object.list }}"), json!(" [\"a\",1]")),
        (json!("u {{ unsafe }}"), json!("u <&>")),
        (json!("{{ request.object.{{ key }} }}"), json!("web")),
        (json!("x {{ request.object.nested }}"), json!("x web")),
        (json!("{{ request.object.nested }}"), json!("{{ request.object.name }}")),
        (json!("x {{- request.object.nested }}"), json!("x {{ request.object.name }}")),
        (json!("\\{{ request.object.name }}"), json!("{{ request.object.name }}")),
        (json!("\\{{ a }} {{ request.object.name }}"), json!("{{ a }} web")),
        (json!({"{{ key }}": "{{ key }}"}), json!({"name": "name"})),
        (json!(["{{ key }}", {"a": ["{{ key }}"]}]), json!(["name", {"a": ["name"]}])),
        (json!("{{ `{\"a\": 1}` }}"), json!({"a": 1})),
        (json!("{{ `{\"a\": {}}` }}"), json!("{{ `{\"a\": {}}` }}")),
        (json!("{{ missing || 'none' }}"), json!("none")),
        (json!("{{ unclosed }"), json!("{{ unclosed }")),
    ];
    for (given, expected) in cases {
        let result = substitute(&given, &mut document()).map(Cow::into_owned);
        assert_eq!(result, Ok(expected), "{given}");
        assert_eq!(prepared(given.clone(), document()), result, "{given}");
    }
}

#[test]
fn explains_as_kyverno() {
    let cases = [
        (
            json!({"a": ["{{ request.object.missing }}"]}),
            "failed to resolve request.object.missing at path /a/0: JMESPath query failed: Unknown key \"missing\" in path",
        ),
        (json!("{{ }}"), "failed to resolve  at path : invalid query (nil)"),
        (
            json!({"{{ request.object.port }}": 1}),
            "expected string after substituting variables in key \"{{ request.object.port }}\"",
        ),
        (
            json!("a {{ request.object.loop }}"),
            "variables at path  bring in too many further variables or too much text",
        ),
        (json!({"a": "$(./../b)"}), "got nil resolved variable $(./../b) at path /a: <nil>"),
        (
            json!({"a": "$(./../b)", "b": 5.0}),
            "NotResolvedReferenceErr,reference $(./../b) not resolved at path /a",
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(substitute(&given, &mut document()).unwrap_err().to_string(), expected, "{given}");
    }
    let error = substitute(&json!("{{ request.object.whole }}"), &mut document()).unwrap_err();
    assert!(matches!(error, SubstitutionError::Limit(_)), "{error}");
    let error = substitute(&json!("{{ a..b }}"), &mut document()).unwrap_err().to_string();
    assert!(error.starts_with("failed to resolve a..b at path : incorrect query a..b: "), "{error}");
}

#[test]
fn deletions_are_about_the_old_object() {
    let mut data = Document(json!({"request": {"operation": "DELETE", "oldObject": {"name": "old"}}}));
    assert_eq!(substitute_text("{{ request.object.name }}", &mut data), Ok(json!("old")));
}

#[test]
fn references_are_places_of_the_same_document() {
    let cases = [
        (
            json!({"limits": {"memory": "<=$(./../../requests/memory)"}, "requests": {"memory": "1Gi"}}),
            json!({"limits": {"memory": "<=1Gi"}, "requests": {"memory": "1Gi"}}),
        ),
        (json!({"a": "$(<=./../b)", "=(b)": 5.0}), json!({"a": "<=5.000000", "=(b)": 5.0})),
        (json!({"a": "$(/l/1)", "l": ["x", "y"]}), json!({"a": "y", "l": ["x", "y"]})),
        (json!({"a": "\\$(/l/1)"}), json!({"a": "$(/l/1)"})),
        (json!({"a": "$(no end"}), json!({"a": "$(no end"})),
    ];
    for (given, expected) in cases {
        let result = substitute(&given, &mut document()).map(Cow::into_owned);
        assert_eq!(result, Ok(expected), "{given}");
        assert_eq!(prepared(given.clone(), document()), result, "{given}");
    }
}

#[test]
fn the_current_place_is_an_expression() {
    let cases = [
        ("/validate/pattern/spec/containers/0/image", "request.object.spec.containers[0].image"),
        ("/mutate/foreach/0/overlay/spec/a\\/b/c-d", "request.object.spec.\"a/b\".\"c-d\""),
        ("/a", "request.object"),
        ("/x/y/(image)", "request.object.(image)"),
    ];
    for (path, expected) in cases {
        assert_eq!(traverse::current(path, "request.object"), expected, "{path}");
    }
}

#[test]
fn finds_expressions_before_they_are_needed() {
    let mut found = Vec::new();
    expressions(&json!({"{{ a }}": ["x {{ b }} {{- c }} \\{{ d }}"]}), &mut found);
    assert_eq!(found, ["a", "b", "c"]);
    assert!(contains("x {{ y }}"));
    assert!(!contains("\\{{ y }}"));
}

proptest! {
    #[test]
    fn never_panics(
        text in "([{}$()\\\\ ./@a|`-]|request.object.(name|loop|nested|whole)|\\PC){0,40}\
                 |\\{\\{[ -]{0,2}(@|`\\{|\\{|request.object.(name|loop|nested|whole|missing))[ -]{0,2}\\}\\}"
    ) {
        let _ = substitute(&json!({"a": [text.clone()], (text.clone()): 1}), &mut document());
        for operation in ["CREATE", "DELETE"] {
            let mut about = document();
            about.0["request"]["operation"] = json!(operation);
            let found = substitute(&json!(text), &mut about).map(Cow::into_owned);
            prop_assert_eq!(prepared(json!(text), about), found);
        }
    }

    #[test]
    fn text_without_braces_stays(text in "[^{$\\\\]{0,20}") {
        let given = json!([text]);
        prop_assert_eq!(substitute(&given, &mut document()).unwrap().into_owned(), given);
    }
}
