//! What holds for every input: nothing panics, positions are inside the text, what was written comes back.

use meshward_manifest::{Document, Documents, Limits, ManifestError, Options, to_yaml};
use proptest::prelude::*;
use serde_json::{Map, Value};

fn read(text: &[u8], options: Options) -> Vec<Result<Document, ManifestError>> {
    Documents::new(text, options).collect()
}

/// Any JSON whose numbers survive YAML: whole floats become integers there.
fn json() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter("a fraction", |float| float.fract() != 0.0).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    scalar.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec((text(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{0,8}",
        "\\PC{0,12}",
        "(yes|no|~|0644|1e3|<<|\\.inf|- a|a: b|#x|\\*x|&x|\\||'|\"|\n|\t|\\\\){1,3}"
    ]
}

/// Block YAML with every scalar and key in double quotes.
fn block(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                *out += &format!("\n{pad}-");
                block(item, indent + 1, out);
            }
        }
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                *out += &format!("\n{pad}? {}\n{pad}:", Value::from(key.as_str()));
                block(value, indent + 1, out);
            }
        }
        scalar => *out += &format!(" {scalar}"),
    }
}

/// YAML-like noise: the tokens that matter, so that most of the grammar is reached.
fn noise() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "a",
        "b: ",
        "- ",
        "\n",
        "\n  ",
        "\n    ",
        "{",
        "}",
        "[",
        "]",
        ",",
        "\"",
        "'",
        "&a ",
        "*a",
        "<<: ",
        "? ",
        ": ",
        "|",
        ">",
        "|-\n",
        "# c",
        "---",
        "\n---\n",
        "\n...\n",
        "%YAML 1.1\n",
        "!!int ",
        "!x ",
        "\t",
        "\r\n",
        "\r",
        "é",
        "\u{feff}",
        "0x1",
        "~",
        "\\",
        "\u{85}",
        "\u{2028}",
        "{\"a\":1}",
        "\\u12",
        "null",
        "kind: List\nitems:\n- ",
    ]);
    prop::collection::vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

fn check(text: &[u8], limits: Limits) -> Result<(), TestCaseError> {
    let options = Options { limits, ..Options::default() };
    let results = read(text, options);
    for result in &results {
        let (at, end) = match result {
            Ok(document) => (document.span.start, document.span.end),
            Err(error) => (error.at, error.at.offset),
        };
        prop_assert!(at.offset <= end && end as usize <= text.len(), "{result:?}");
        prop_assert!(at.line >= 1 && at.column >= 1);
        let lines = text[..at.offset as usize].iter().filter(|byte| **byte == b'\n').count();
        if !text.contains(&b'\r') {
            prop_assert_eq!(at.line as usize, lines + 1, "{:?}", result);
        }
        if let Ok(document) = result {
            check_places(document, &document.value, "", text)?;
            for object in document.objects() {
                prop_assert!(object.place().is_some());
            }
        }
    }
    let bare = read(text, Options { spans: false, ..options });
    let values = |results: &[Result<Document, ManifestError>]| -> Vec<_> {
        results
            .iter()
            .map(|result| result.as_ref().map(|document| document.value.clone()).map_err(Clone::clone))
            .collect()
    };
    prop_assert_eq!(values(&bare), values(&results));
    Ok(())
}

fn check_places(document: &Document, value: &Value, pointer: &str, text: &[u8]) -> Result<(), TestCaseError> {
    let place = document.spans.get(pointer);
    prop_assert!(place.is_some(), "no place for {pointer:?} of {}", document.value);
    let range = place.map(|place| place.value.range()).unwrap_or_default();
    prop_assert!(range.start <= range.end && range.end <= text.len());
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check_places(document, item, &format!("{pointer}/{index}"), text)?;
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                check_places(document, item, &format!("{pointer}/{key}"), text)?;
            }
        }
        _ => {}
    }
    Ok(())
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes, Limits::default())?;
    }

    #[test]
    fn any_noise_is_read_without_panic(text in noise()) {
        check(text.as_bytes(), Limits::default())?;
    }

    #[test]
    fn small_limits_hold_for_any_noise(text in noise(), nodes in 0usize..8, depth in 0usize..4) {
        let limits = Limits { bytes: 64, depth, nodes, repeated_nodes: nodes };
        check(text.as_bytes(), limits)?;
        for document in read(text.as_bytes(), Options { limits, ..Options::default() }).into_iter().flatten() {
            prop_assert!(count(&document.value) <= nodes && height(&document.value) <= depth);
        }
    }

    #[test]
    fn json_comes_back(value in json(), pretty in any::<bool>()) {
        let wrapped = serde_json::json!([value]);
        let text = if pretty { serde_json::to_string_pretty(&wrapped) } else { serde_json::to_string(&wrapped) };
        let text = text.expect("JSON");
        prop_assume!(!text.contains(['\u{7f}', '\u{feff}', '\u{fffe}', '\u{ffff}']));
        let results = read(text.as_bytes(), Options::default());
        prop_assert_eq!(results.len(), 1);
        prop_assert_eq!(results[0].as_ref().map(|document| &document.value), Ok(&wrapped));
    }

    #[test]
    fn block_yaml_comes_back(value in json()) {
        let mut text = String::from("---");
        block(&value, 0, &mut text);
        text.push('\n');
        prop_assume!(!text.contains(['\u{7f}', '\u{feff}', '\u{fffe}', '\u{ffff}', '\u{85}', '\u{2028}', '\u{2029}']));
        let results = read(text.as_bytes(), Options::default());
        if value.is_null() {
            prop_assert!(results.is_empty());
        } else {
            prop_assert_eq!(results.len(), 1, "{}", text);
            prop_assert_eq!(results[0].as_ref().map(|document| &document.value), Ok(&value), "{}", text);
        }
    }

    #[test]
    fn written_yaml_comes_back(value in json()) {
        let text = to_yaml(&value);
        prop_assert!(text.ends_with('\n'));
        let results = read(text.as_bytes(), Options::default());
        if value.is_null() {
            prop_assert!(results.is_empty());
        } else {
            prop_assert_eq!(results.len(), 1, "{}", text);
            prop_assert_eq!(results[0].as_ref().map(|document| &document.value), Ok(&value), "{}", text);
        }
    }

    #[test]
    fn a_stream_is_its_documents(texts in prop::collection::vec(noise(), 1..5)) {
        // A directive belongs to the document after it.
        let texts: Vec<_> = texts.iter().map(|text| text.replace('%', "")).collect();
        let whole = texts.iter().map(|text| format!("---\n{text}\n")).collect::<String>();
        let apart: Vec<_> = texts
            .iter()
            .flat_map(|text| read(format!("---\n{text}\n").as_bytes(), Options::default()))
            .map(|result| result.map(|document| document.value).map_err(|error| error.problem))
            .collect();
        let together: Vec<_> = read(whole.as_bytes(), Options::default())
            .into_iter()
            .map(|result| result.map(|document| document.value).map_err(|error| error.problem))
            .collect();
        prop_assert_eq!(together, apart);
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

fn height(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(height).max().unwrap_or_default(),
        Value::Object(map) => 1 + map.values().map(height).max().unwrap_or_default(),
        _ => 0,
    }
}
