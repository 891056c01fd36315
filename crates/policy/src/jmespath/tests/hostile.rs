//! Expressions and data made to hurt.

use super::*;
use proptest::prelude::*;

#[test]
fn bounds_expressions() {
    let long = format!("'{}'", "a".repeat(Expression::MAX_LENGTH));
    let deep = [
        format!("{}a{}", "(".repeat(5_000), ")".repeat(5_000)),
        vec!["a"; 5_000].join("."),
        vec!["a"; 5_000].join(" || "),
        "a[0]".to_owned() + &"[0]".repeat(5_000),
        "!".repeat(5_000) + "a",
        "[".repeat(5_000),
        "&".repeat(5_000),
        "a[]".to_owned() + &"[]".repeat(5_000),
        format!("{}a{}", "not_null(".repeat(5_000), ")".repeat(5_000)),
        (0..100).fold("a".to_owned(), |inner, _| format!("({inner}).b.b.b.b.b")),
    ];
    for text in deep.iter().chain([&long]) {
        for dialect in [Dialect::Standard, Dialect::Kyverno] {
            assert!(Expression::parse(text, dialect).is_err(), "{}", &text[..20]);
        }
    }
    // What is accepted can be evaluated and dropped.
    let deepest = vec!["a"; 200].join(".");
    assert_eq!(outcome(Dialect::Standard, &deepest, &json!({})), Value::Null);
}

#[test]
fn bounds_work_and_results() {
    let doubling = "@".to_owned() + &" | [@, @]".repeat(100);
    let growing = "@".to_owned() + &" | replace_all(@, 'a', 'aaaaaaaaaaaaaaaa')".repeat(20);
    let joined = "@".to_owned() + &" | join(@, [@, @, @, @, @, @, @, @])".repeat(20);
    let regexes = "@".to_owned() + &" | regex_replace_all('a', @, '$0$0$0$0$0$0$0$0')".repeat(20);
    for expression in
        [&doubling, &growing, &joined, &regexes, "random('((a*)*)*')", "random('((a{1000}){1000}){1000}')"]
    {
        let parsed = Expression::parse(expression, Dialect::Kyverno).unwrap();
        let context = Context { limits: Limits { steps: 200_000 }, ..Context::new(&Fixed) };
        let data = json!("a");
        let text = parsed.search(&data, &context).unwrap_err().to_string();
        assert!(
            text.starts_with("evaluation exceeds") || text.contains("longer than") || text.contains("regexp"),
            "{expression:.80}: {text:.80}"
        );
    }
    let numbers: Value = (0..20_000).collect();
    let quadratic = "map(&length(@[?@ > `0`]), map(&not_null(@, `0`) , @)[*].[@, @])";
    let _ = outcome(Dialect::Kyverno, quadratic, &numbers);
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-c1-9.:/miGZT+-]{0,6}|\\PC{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

fn expression() -> impl Strategy<Value = String> {
    let names: Vec<&str> = functions(Dialect::Kyverno).iter().map(|f| f.name()).collect();
    let leaf = prop_oneof![
        Just("@".to_owned()),
        "[a-c]",
        "'[a-c1-9.:/m*$(){}\\[\\]-]{0,5}'",
        "`-?[0-9]{1,3}`",
        Just("`[1, 2]`".to_owned()),
        Just("`{\"a\": \"1Gi\"}`".to_owned()),
        Just("'2024-01-02T03:04:05Z'".to_owned()),
        Just("*".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 4, move |inner| {
        prop_oneof![
            (inner.clone(), "[a-c]").prop_map(|(l, r)| format!("{l}.{r}")),
            (inner.clone(), "\\[(-?[0-3]|[0-3]?:-?[0-3]?|[0-3]?:[0-3]?:-?[0-3]?|\\*|)\\]")
                .prop_map(|(l, r)| l + &r),
            (
                inner.clone(),
                inner.clone(),
                prop::sample::select(vec!["|", "||", "&&", "==", "!=", "<", ">="])
            )
                .prop_map(|(l, r, o)| format!("{l} {o} {r}")),
            (inner.clone(), inner.clone()).prop_map(|(l, c)| format!("{l}[?{c}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{x: {a}, a: {b}}}")),
            inner.clone().prop_map(|e| format!("!({e})")),
            inner.clone().prop_map(|e| format!("&{e}")),
            (prop::sample::select(names.clone()), prop::collection::vec(inner, 0..4))
                .prop_map(|(name, arguments)| format!("{name}({})", arguments.join(", "))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn parser_never_panics(text in "([a-c@*.,:|&!=<>\\[\\](){}`'\"?\\\\ 0-9-]|\\PC){0,40}") {
        for dialect in [Dialect::Standard, Dialect::Kyverno] {
            if let Err(error) = Expression::parse(&text, dialect) {
                prop_assert!(error.offset <= text.len());
                let _ = error.caret(&text);
            }
        }
    }

    #[test]
    fn evaluation_never_panics(text in expression(), data in json_value()) {
        for dialect in [Dialect::Standard, Dialect::Kyverno] {
            let _ = outcome(dialect, &text, &data);
        }
    }

    #[test]
    fn an_evaluation_repeats(text in expression(), data in json_value()) {
        prop_assert_eq!(outcome(Dialect::Kyverno, &text, &data), outcome(Dialect::Kyverno, &text, &data));
    }
}
