//! Places: every value of a document is found where it is written.

use meshward_manifest::{Document, Documents, Limits, Options, Place, Step};

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata:
  name: wéb   # the name
  annotations:
    sidecar.istio.io/inject: \"false\"
    \"quoted ~ / key\": |
      block
      text

spec:
  containers:
  - name: app
    ports: [ 80, {x: 443} ]

  - name: two
    env:
    - {name: A, value: 'b'}
";

fn load(text: &str) -> Document {
    Documents::new(text.as_bytes(), Options::default()).next().expect("one").expect("good")
}

fn written(text: &str, place: Option<Place>) -> Option<(u32, u32, String)> {
    place.map(|place| {
        let start = place.value.start;
        (start.line, start.column, text[place.value.range()].to_owned())
    })
}

#[test]
fn values_are_where_they_are_written() {
    let document = load(POD);
    let cases = [
        ("/kind", 2, 7, "Pod"),
        ("/metadata/name", 4, 9, "wéb"),
        ("/metadata/annotations/sidecar.istio.io~1inject", 6, 30, "\"false\""),
        ("/spec/containers/0/name", 13, 11, "app"),
        ("/spec/containers/0/ports", 14, 12, "[ 80, {x: 443} ]"),
        ("/spec/containers/0/ports/1/x", 14, 22, "443"),
        ("/spec/containers/1", 16, 5, "name: two\n    env:\n    - {name: A, value: 'b'}"),
        ("/spec/containers/1/env/0/value", 18, 24, "'b'"),
    ];
    for (pointer, line, column, text) in cases {
        let found = written(POD, document.spans.get(pointer));
        assert_eq!(found, Some((line, column, text.to_owned())), "{pointer}");
    }
    let block = written(POD, document.spans.get("/metadata/annotations/quoted ~0 ~1 key")).expect("there");
    assert_eq!((block.0, block.2.trim_end()), (8, "block\n      text"));
    assert_eq!(document.spans.get("").map(|place| place.value), Some(document.span));
    for missing in ["/none", "/metadata/none", "/spec/containers/2", "/spec/containers/name", "/kind/x"] {
        assert_eq!(document.spans.get(missing), None, "{missing}");
    }
}

#[test]
fn keys_have_places_and_missing_fields_point_at_what_is_there() {
    let document = load(POD);
    let key = document.spans.get("/metadata/name").and_then(|place| place.key).expect("a key");
    assert_eq!((key.start.line, key.start.column, &POD[key.range()]), (4, 3, "name"));
    let (nearest, found) =
        document.spans.nearest("/spec/containers/1/securityContext/privileged").expect("spans");
    assert_eq!((nearest.location().line, found), (16, false));
    let path = [Step::Key("spec"), "containers".into(), 0.into(), "ports".into(), 0.into()];
    assert_eq!(written(POD, document.spans.find(path)), Some((14, 14, "80".to_owned())));
}

#[test]
fn annotations() {
    let document = load(POD);
    let place = document.annotation("", "sidecar.istio.io/inject").expect("there");
    assert_eq!((place.location().line, place.location().column), (6, 5));
    assert_eq!(document.annotation("", "missing").expect("the map").location().line, 5);
    assert_eq!(document.annotation("/spec/template", "missing").expect("spec").location().line, 11);
    assert_eq!(document.object().annotation("quoted ~ / key").expect("there").location().line, 7);
}

#[test]
fn json_places() {
    let text = "{\n  \"é\": {\"kéy\": [1, {\"a/b\": \"x\\n\"}]}, \"z\": {}\n}\n{\"second\": [\n true]}";
    let documents: Vec<_> =
        Documents::new(text.as_bytes(), Options::default()).map(|document| document.expect("good")).collect();
    let spans = &documents[0].spans;
    assert_eq!(written(text, spans.get("/é/kéy")), Some((2, 16, "[1, {\"a/b\": \"x\\n\"}]".to_owned())));
    assert_eq!(written(text, spans.get("/é/kéy/1/a~1b")), Some((2, 28, "\"x\\n\"".to_owned())));
    assert_eq!(written(text, spans.get("/z")), Some((2, 43, "{}".to_owned())));
    assert_eq!(written(text, documents[1].spans.get("/second/0")), Some((5, 2, "true".to_owned())));
}

#[test]
fn aliases_and_merges_lead_to_the_anchor() {
    let text = "base: &base\n  image: a\n  tag: b\nuse:\n  <<: *base\n  tag: c\nalso: *base\nboth:\n  <<: [{tag: d}, *base]\n";
    let document = load(text);
    let line = |pointer| document.spans.get(pointer).map(|place| place.value.start.line);
    assert_eq!(line("/use/image"), Some(2));
    assert_eq!(line("/use/tag"), Some(6));
    assert_eq!(line("/also"), Some(7));
    assert_eq!(line("/also/tag"), Some(3));
    assert_eq!(line("/both/tag"), Some(9));
    assert_eq!(line("/both/image"), Some(2));
    assert_eq!(line("/both/none"), None);
}

#[test]
fn the_last_of_equal_keys_is_the_place() {
    let document = load("a: {x: 1}\na: {z: 2}\n");
    assert_eq!(document.spans.get("/a/z").map(|place| place.location().line), Some(2));
    assert_eq!(document.spans.get("/a/x"), None);
}

#[test]
fn positions_are_in_the_whole_input() {
    let text = "\u{feff}a: 1\n---\n# x\nb:\n  c: 2\n";
    let document = Documents::new(text.as_bytes(), Options::default()).nth(1).expect("two").expect("good");
    assert_eq!(written(text, document.spans.get("/b/c")), Some((5, 6, "2".to_owned())));
}

#[test]
fn without_spans_nothing_is_found() {
    let options = Options { spans: false, ..Options::default() };
    let document = Documents::new(POD.as_bytes(), options).next().expect("one").expect("good");
    assert!(document.spans.is_empty());
    assert_eq!(document.spans.get("/kind"), None);
    assert_eq!(document.spans.nearest("/kind"), None);
    assert_eq!(document.annotation("", "x"), None);
    assert_eq!(document.objects().count(), 1);
}

#[test]
fn lookups_through_merges_end() {
    let mut text = String::from("a0: &a0 {x: 1}\n");
    for level in 1..80 {
        text += &format!("a{level}: &a{level} {{<<: [*a{0}, *a{0}]}}\n", level - 1);
    }
    let limits = Limits { nodes: usize::MAX, repeated_nodes: usize::MAX, depth: 512, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let document = Documents::new(text.as_bytes(), options).next().expect("one").expect("good");
    assert_eq!(document.value["a79"], serde_json::json!({"x": 1}));
    assert_eq!(document.spans.get("/a79/none"), None);
    assert_eq!(document.spans.get("/a79/x").map(|place| place.location().line), Some(1));
}
