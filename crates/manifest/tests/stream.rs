//! Streams of documents: separators, broken documents between good ones, JSON, encodings, limits and lists.

use meshward_manifest::{
    ChunkReader, Chunks, Document, Documents, Limits, ManifestError, Options, Problem, Syntax, WarningKind,
};
use serde_json::{Value, json};

fn read(text: impl AsRef<[u8]>) -> Vec<Result<Document, ManifestError>> {
    read_with(text, Options::default())
}

fn read_with(text: impl AsRef<[u8]>, options: Options) -> Vec<Result<Document, ManifestError>> {
    Documents::new(text.as_ref(), options).collect()
}

fn values(text: impl AsRef<[u8]>) -> Vec<Value> {
    read(text).into_iter().map(|document| document.expect("a good document").value).collect()
}

/// `Ok` values as JSON, errors as `line:column message`.
fn outline(text: impl AsRef<[u8]>) -> Vec<String> {
    let shown = |result: Result<Document, ManifestError>| match result {
        Ok(document) => {
            format!("{}:{} {}", document.span.start.line, document.span.start.column, document.value)
        }
        Err(error) => format!("{}:{} {}", error.at.line, error.at.column, error.problem),
    };
    read(text).into_iter().map(shown).collect()
}

fn only_error(text: impl AsRef<[u8]>, options: Options) -> ManifestError {
    let mut results = read_with(text, options);
    assert_eq!(results.len(), 1, "{results:?}");
    results.remove(0).expect_err("an error")
}

#[test]
fn separators_comments_and_empty_documents() {
    let text = "# first\n---\n---\n# none\n---\na: 1\n--- # two\nb: 2\n...\n# none\n...\n%YAML 1.1\n---\nc: 3\n--- text\n--- |\n block\n---\n~\n";
    assert_eq!(
        outline(text),
        [r#"6:1 {"a":1}"#, r#"8:1 {"b":2}"#, r#"14:1 {"c":3}"#, r#"15:5 "text""#, r#"17:2 "block\n""#]
    );
    assert!(values("").is_empty());
    assert!(values("# only a comment").is_empty());
    assert!(values("---").is_empty());
    assert_eq!(values("a: ---x\nb: '---'\n"), [json!({"a": "---x", "b": "---"})]);
    assert_eq!(values("a: |\n  ---\n  x\n---\nb: 1"), [json!({"a": "---\nx\n"}), json!({"b": 1})]);
    assert_eq!(values("a: 1\r\n---\r\nb: 2\r\n"), [json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn a_broken_document_leaves_the_others_alone() {
    for broken in [
        "a: [1, 2",
        "a: \"open",
        "a: 'open",
        "a: b: c",
        "a:\n\tb: 1",
        "a: *none",
        "a: |9x",
        "{{ .x }}: [",
        "a: \u{1}",
    ] {
        let text = format!("one: 1\n---\n{broken}\n---\ntwo: 2\n");
        let results = read(&text);
        let good: Vec<_> = results.iter().flatten().map(|document| document.value.clone()).collect();
        assert_eq!(good, [json!({"one": 1}), json!({"two": 2})], "{broken}");
        let bad: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert_eq!(bad.len(), 1, "{broken}: {bad:?}");
        assert!((3..=5).contains(&bad[0].at.line), "{broken}: {}", bad[0]);
    }
}

#[test]
fn errors_say_where_and_what() {
    assert_eq!(
        outline("a: 1\n---\nkind: Pod\n  name: x\n---\nb:\n\tc: 1\n"),
        [
            r#"1:1 {"a":1}"#,
            "4:7 invalid YAML: mapping values are not allowed in this context",
            "7:2 invalid YAML: tabs disallowed within this context (block indentation)",
        ]
    );
    assert_eq!(
        outline("a: 1\nb: .inf\n"),
        ["2:4 .inf has no form in JSON; write a finite number, or quote it for a string"]
    );
    assert_eq!(outline("a: !!int x\n"), [r#"1:10 cannot read "x" as !!int"#]);
    assert_eq!(
        outline("? [a]\n: 1\n"),
        ["1:3 a list cannot be a map key; accepted are strings, numbers and booleans"]
    );
    assert_eq!(outline("a: &loop\n  b: *loop\n"), [r#"2:6 anchor "loop" contains itself"#]);
    assert_eq!(outline("a: {<<: 1}"), ["1:5 merge key `<<` takes a map or a list of maps, found a number"]);
}

#[test]
fn json_streams() {
    let text =
        "{\"a\": 1.0, \"b\": \"\\ud83d\\ude00\\/\\ud83d\"}\n{\"c\":[1e3,-0,18446744073709551615]}[{}]\n";
    assert_eq!(
        values(text),
        [json!({"a": 1.0, "b": "😀/\u{fffd}"}), json!({"c": [1e3, 0, u64::MAX]}), json!([{}])]
    );
    assert!(values("{\"a\": 1.0}")[0]["a"].is_f64(), "JSON keeps a float a float");
    assert!(values("a: 1.0")[0]["a"].is_i64(), "YAML does not");
    assert_eq!(
        values("# c\n---\n{\"a\": \"\\/\"}\n# c\n...\n---\nb: 1\n"),
        [json!({"a": "/"}), json!({"b": 1})]
    );
    assert_eq!(values("\u{feff}{\"a\": 1}"), [json!({"a": 1})]);
    assert_eq!(values("{a: b}"), [json!({"a": "b"})], "flow YAML");
    assert_eq!(values("{\"a\": 'b'} # c"), [json!({"a": "b"})], "flow YAML");
    assert_eq!(
        outline("{\"a\": 1}\n{\"b\": }\n{\"c\":\n 3}\n"),
        [r#"1:1 {"a":1}"#, "2:7 invalid JSON: expected a value, found '}'", r#"3:1 {"c":3}"#]
    );
    assert_eq!(
        outline("{\"é\": 1,\n \"b\": [\"é\" \"2\"]}"),
        ["2:12 invalid JSON: expected `,` or `]`, found '\"'"]
    );
    assert_eq!(
        outline("{\"a\": \"b"),
        ["1:7 invalid JSON: this string has no closing quote"],
        "the error of the notation that got further"
    );
}

#[test]
fn encodings_and_binary_input() {
    assert_eq!(values("\u{feff}a: 1\n---\nb: 2"), [json!({"a": 1}), json!({"b": 2})]);
    let utf16: Vec<u8> = "a: 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let marked = [&[0xff, 0xfe], &utf16[..]].concat();
    for text in [utf16, marked] {
        let error = only_error(&text, Options::default());
        assert!(matches!(error.problem, Problem::Encoding { .. }), "{error}");
    }
    let results = read(b"a: 1\n---\nb: \xc3\xa9 x\xff\n---\nc: 3\n");
    assert_eq!(results.iter().flatten().count(), 2);
    let error = results[1].as_ref().expect_err("not UTF-8");
    assert_eq!(error.problem, Problem::InvalidUtf8 { byte: 0xff });
    assert_eq!((error.at.line, error.at.column, error.at.offset), (3, 7, 16));
    let error = only_error(b"\x7fELF\0\0\0".as_slice(), Options::default());
    assert_eq!(error.problem, Problem::ControlCharacter { character: '\u{7f}' });
    let error = only_error(b"ab\n c\0".as_slice(), Options::default());
    assert_eq!(
        error.to_string(),
        "line 2, column 3: control character U+0000 is not allowed in a manifest (is this a binary file?)"
    );
}

#[test]
fn equal_keys_warn_or_fail() {
    for text in [
        "a: 1\nb:\n  x: 1\n  x: 2\nc: 3\nc: 4\n",
        "{\"a\": 1,\n\"b\": {\n  \"x\": 1,\n  \"x\": 2},\n\n\"c\": 3, \"c\": 4}",
    ] {
        for spans in [true, false] {
            let options = Options { spans, ..Options::default() };
            let document = read_with(text, options).remove(0).expect("a good document");
            assert_eq!(document.value, json!({"a": 1, "b": {"x": 2}, "c": 4}));
            let WarningKind::DuplicateKey { key, first } = &document.warnings[0].kind else {
                panic!("{document:?}")
            };
            assert_eq!(
                (key.as_str(), first.line, first.column, document.warnings[0].at.line),
                ("x", 3, 3, 4)
            );
            assert_eq!(document.warnings.len(), 2);
        }
        let error = only_error(text, Options { strict: true, ..Options::default() });
        assert_eq!(error.to_string(), "line 4, column 3: key \"x\" is already set on line 3, column 3");
    }
    let warnings = |text: &str| read(text).remove(0).expect("good").warnings;
    assert!(
        warnings("a: &a {x: 1}\nb: {<<: *a, x: 2}\n").is_empty(),
        "an own key after a merge is what merges are for"
    );
    let warning = warnings("a: &a {x: 1}\nb: {x: 2, <<: *a}\n").remove(0);
    assert_eq!(
        warning.to_string(),
        "line 2, column 11: this merge replaces key \"x\" of line 2, column 5; put `<<` first"
    );
    assert_eq!(warnings("1: a\n'1': b\n").len(), 1, "equal once they are JSON");
}

#[test]
fn limits_hold() {
    let limited = |limits: Limits| Options { limits, ..Options::default() };
    let what = |error: ManifestError| match error.problem {
        Problem::Limit { what, .. } => what,
        other => panic!("{other}"),
    };
    let mut bomb = String::from("a0: &a0 [x, x]\n");
    for level in 1..60 {
        bomb += &format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1);
    }
    assert_eq!(what(only_error(&bomb, Options::default())), "values repeated through anchors");
    let mut merges = String::from("a0: &a0 {x: [1, 1, 1]}\n");
    for level in 1..60 {
        merges += &format!("a{level}: &a{level} {{<<: [*a{0}, *a{0}], k{level}: *a{0}}}\n", level - 1);
    }
    assert_eq!(what(only_error(&merges, Options::default())), "values repeated through anchors");
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{a: ", "}"), ("- ", "")] {
        let deep = |levels: usize| format!("{}1{}", open.repeat(levels), close.repeat(levels));
        assert_eq!(what(only_error(deep(129), Options::default())), "levels of lists and maps", "{open}");
        assert_eq!(read(deep(128)).into_iter().flatten().count(), 1, "{open}");
        assert_eq!(what(only_error(deep(50_000), Options::default())), "levels of lists and maps", "{open}");
    }
    let aliased_depth = format!("a: &a {0}1{1}\nb: {0}*a{1}\n", "[".repeat(100), "]".repeat(100));
    assert_eq!(what(only_error(aliased_depth, Options::default())), "levels of lists and maps");
    let nodes = limited(Limits { nodes: 3, ..Limits::default() });
    assert_eq!(what(only_error("[1, 2, 3]", nodes)), "values");
    assert_eq!(what(only_error("a: 1\nb: 2\nc: 3\n", nodes)), "values");
    let bytes = limited(Limits { bytes: 10, ..Limits::default() });
    let results = read_with("a: 1\n---\nb: 123456789\n---\nc: 3\n", bytes);
    assert_eq!(results.iter().flatten().count(), 2);
    assert_eq!(results[1].as_ref().expect_err("too long").at.line, 2);
}

#[test]
fn lists_yield_their_items() {
    let text = "apiVersion: v1\nitems:\n- {kind: Pod, apiVersion: v1}\n- kind: List\n  items:\n  - kind: Job\n    apiVersion: batch/v1\n    metadata: {annotations: {x: '1'}}\n- kind: Pod\nkind: List\n";
    let document = read(text).remove(0).expect("good");
    let found: Vec<_> = document
        .objects()
        .map(|object| (object.value["kind"].clone(), object.place().expect("spans").value.start.line))
        .collect();
    assert_eq!(found, [(json!("Pod"), 3), (json!("Job"), 6), (json!("Pod"), 9)]);
    let job = document.objects().nth(1).expect("job");
    assert_eq!(job.annotation("x").expect("there").location().line, 8);
    assert_eq!(job.get("/metadata/annotations/x").expect("there").value.range().len(), 3);

    let document =
        read("{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"items\":[{\"metadata\":{\"name\":\"a\"}}]}")
            .remove(0)
            .expect("good");
    let pod = document.objects().next().expect("one").value.into_owned();
    assert_eq!(pod, json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}}));

    let document = read("kind: Pod\nitems: 1\n").remove(0).expect("good");
    assert_eq!(document.objects().count(), 1);
    let empty = read("kind: List\nitems: []\n").remove(0).expect("good");
    assert_eq!(empty.objects().count(), 0);
}

#[test]
fn chunks_read_apart_are_the_whole() {
    let text = "\u{feff}a: 1\n---\nb: [\n---\n# c\n{\"c\": 3}\n{\"d\": 4}\n...\n%YAML 1.1\n---\ne: 5\n";
    let apart: Vec<_> = Chunks::new(text.as_bytes())
        .flatten()
        .flat_map(|chunk| Documents::of_chunk(chunk, Options::default()))
        .map(|result| result.map(|document| (document.value, document.span)))
        .collect();
    let whole: Vec<_> =
        read(text).into_iter().map(|result| result.map(|document| (document.value, document.span))).collect();
    assert_eq!(apart, whole);
    assert_eq!(whole.len(), 5);
    let syntax =
        whole.iter().filter_map(|result| result.as_ref().err()).next().map(|error| error.problem.clone());
    assert!(matches!(syntax, Some(Problem::Syntax { syntax: Syntax::Yaml, .. })));
}

/// Gives its bytes in pieces, so that every boundary falls between two reads some time.
struct Pieces<'a>(&'a [u8], usize);

impl std::io::Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.1.min(self.0.len()).min(into.len());
        into[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// What a reader gives, each document or error with where it begins.
fn streamed(text: &[u8], piece: usize, limits: Limits) -> Vec<Result<(u32, u32, Vec<u8>), String>> {
    let mut reader = ChunkReader::new(Pieces(text, piece), &limits);
    let mut found = Vec::new();
    while let Some(chunk) = reader.next_chunk().unwrap() {
        found.push(match chunk {
            Ok(chunk) => Ok((chunk.start().line, chunk.start().offset, chunk.bytes().to_vec())),
            Err(error) => Err(error.to_string()),
        });
    }
    found
}

#[test]
fn a_reader_gives_the_same_documents_as_a_slice() {
    let long = format!("---\nname: {}\n", "x".repeat(70_000)).repeat(5);
    for text in [
        "",
        "---",
        "# first\n---\n---\na: 1\n--- # two\nb: 2\n...\n# none\n...\n%YAML 1.1\n---\nc: 3\n--- text\n",
        "\u{feff}a: 1\n---\nb: 2",
        "a: |\n  ---\n  x\n---\nb: 1",
        "a: 1\r\n---\r\nb: 2\r\n",
        "{\"a\": 1}\n{\"b\": 2}\n",
        &long,
    ] {
        let mut expected = Vec::new();
        let mut offset = text.len() - text.trim_start_matches('\u{feff}').len();
        for chunk in Chunks::new(text.as_bytes()) {
            let start = chunk.unwrap().start;
            expected.push((start.line, start.offset));
        }
        for piece in [1, 7, 1 << 20].into_iter().filter(|piece| *piece > 1 || text.len() < 1000) {
            let found = streamed(text.as_bytes(), piece, Limits::default());
            let starts: Vec<_> =
                found.iter().map(|chunk| chunk.as_ref().map(|c| (c.0, c.1)).unwrap()).collect();
            assert_eq!(starts, expected, "{text:?}");
            for chunk in found {
                let (_, start, bytes) = chunk.unwrap();
                assert_eq!(start as usize, offset);
                assert_eq!(bytes, &text.as_bytes()[offset..offset + bytes.len()]);
                offset += bytes.len();
            }
            assert_eq!(offset, text.len());
            offset = text.len() - text.trim_start_matches('\u{feff}').len();
        }
    }
}

#[test]
fn a_document_that_is_too_long_is_dropped_and_those_after_it_come() {
    let limits = Limits { bytes: 100_000, ..Limits::default() };
    for long in
        ["x".repeat(400_000), "x: 1\n".repeat(100_000), "---\n# none\n".to_owned() + &"x".repeat(400_000)]
    {
        let text = format!("a: 1\n---\n{long}\n---\nb: 2\n");
        let found = streamed(text.as_bytes(), 1 << 20, limits);
        let after = text.len() - "---\nb: 2\n".len();
        let lines = text[..after].matches('\n').count() as u32;
        let last = found.last().unwrap().clone().unwrap();
        assert_eq!(last, (lines + 1, after as u32, b"---\nb: 2\n".to_vec()));
        assert_eq!(found.first().unwrap().clone().unwrap().2, b"a: 1\n");
        let errors: Vec<_> = found.iter().filter_map(|chunk| chunk.clone().err()).collect();
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].ends_with("the document has more than 100000 bytes"), "{errors:?}");
    }
}

#[test]
fn a_reader_refuses_what_a_slice_refuses() {
    let wide: Vec<u8> = "kind: Pod".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let found = streamed(&wide, 3, Limits::default());
    assert_eq!(found.len(), 1);
    assert!(found[0].clone().unwrap_err().contains("UTF-16"), "{found:?}");
}
