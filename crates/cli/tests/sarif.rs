//! SARIF as its schema (2.1.0, OASIS) has it: code scanning services refuse a whole upload for one unknown or missing
//! property. The shapes below are those of the schema for every object that is written; whatever else appears fails.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its output has failed")]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const MESHWARD: &str = env!("CARGO_BIN_EXE_meshward");

/// What a property holds.
#[derive(Clone, Copy)]
enum Holds {
    Text,
    /// An absolute address, or a reference to one.
    Uri,
    Boolean,
    /// At least this.
    Integer(i64),
    One(&'static [&'static str]),
    Object(&'static str),
    /// A list of objects; whether each may be there only once.
    List(&'static str, bool),
    /// Anything, but for `tags`.
    Bag,
}

use Holds::{Bag, Boolean, Integer, List, Object, One, Text, Uri};

/// An object of the schema.
struct Shape {
    name: &'static str,
    required: &'static [&'static str],
    properties: &'static [(&'static str, Holds)],
}

const LEVELS: Holds = One(&["none", "note", "warning", "error"]);

/// Of each object the properties that are written; none of them allows others than those of the schema.
const SHAPES: &[Shape] = &[
    Shape {
        name: "log",
        required: &["version", "runs"],
        properties: &[("$schema", Uri), ("version", One(&["2.1.0"])), ("runs", List("run", false))],
    },
    Shape {
        name: "run",
        required: &["tool"],
        properties: &[
            ("tool", Object("tool")),
            ("invocations", List("invocation", false)),
            ("columnKind", One(&["utf16CodeUnits", "unicodeCodePoints"])),
            ("results", List("result", false)),
            ("properties", Bag),
        ],
    },
    Shape { name: "tool", required: &["driver"], properties: &[("driver", Object("toolComponent"))] },
    Shape {
        name: "toolComponent",
        required: &["name"],
        properties: &[
            ("name", Text),
            ("version", Text),
            ("semanticVersion", Text),
            ("informationUri", Uri),
            ("rules", List("reportingDescriptor", true)),
        ],
    },
    Shape {
        name: "reportingDescriptor",
        required: &["id"],
        properties: &[
            ("id", Text),
            ("shortDescription", Object("multiformatMessageString")),
            ("defaultConfiguration", Object("reportingConfiguration")),
            ("properties", Bag),
        ],
    },
    Shape { name: "multiformatMessageString", required: &["text"], properties: &[("text", Text)] },
    Shape { name: "reportingConfiguration", required: &[], properties: &[("level", LEVELS)] },
    Shape {
        name: "invocation",
        required: &["executionSuccessful"],
        properties: &[
            ("executionSuccessful", Boolean),
            ("toolExecutionNotifications", List("notification", false)),
        ],
    },
    Shape {
        name: "notification",
        required: &["message"],
        properties: &[
            ("level", LEVELS),
            ("message", Object("message")),
            ("locations", List("location", true)),
        ],
    },
    Shape { name: "message", required: &["text"], properties: &[("text", Text)] },
    Shape {
        name: "result",
        required: &["message"],
        properties: &[
            ("ruleId", Text),
            ("ruleIndex", Integer(-1)),
            ("level", LEVELS),
            ("message", Object("message")),
            ("locations", List("location", false)),
            ("properties", Bag),
        ],
    },
    Shape {
        name: "location",
        required: &[],
        properties: &[
            ("physicalLocation", Object("physicalLocation")),
            ("logicalLocations", List("logicalLocation", true)),
        ],
    },
    Shape {
        name: "physicalLocation",
        required: &["artifactLocation"],
        properties: &[("artifactLocation", Object("artifactLocation")), ("region", Object("region"))],
    },
    Shape { name: "artifactLocation", required: &[], properties: &[("uri", Uri)] },
    Shape {
        name: "region",
        required: &[],
        properties: &[
            ("startLine", Integer(1)),
            ("startColumn", Integer(1)),
            ("endLine", Integer(1)),
            ("endColumn", Integer(1)),
        ],
    },
    Shape {
        name: "logicalLocation",
        required: &[],
        properties: &[("name", Text), ("fullyQualifiedName", Text), ("kind", Text)],
    },
];

fn object(value: &Value, name: &str, at: &str, wrong: &mut Vec<String>) {
    let shape = SHAPES.iter().find(|shape| shape.name == name).unwrap();
    let Some(map) = value.as_object() else { return wrong.push(format!("{at}: {value} is no {name}")) };
    for required in shape.required.iter().filter(|name| !map.contains_key(**name)) {
        wrong.push(format!("{at}: no {required}"));
    }
    for (property, value) in map {
        let at = format!("{at}.{property}");
        match shape.properties.iter().find(|(known, _)| known == property) {
            None => wrong.push(format!("{at}: unknown")),
            Some((_, holds)) => check(value, *holds, &at, wrong),
        }
    }
}

fn check(value: &Value, holds: Holds, at: &str, wrong: &mut Vec<String>) {
    let fine = match holds {
        Text => value.is_string(),
        Uri => value.as_str().is_some_and(is_uri),
        Boolean => value.is_boolean(),
        Integer(least) => value.as_i64().is_some_and(|number| number >= least),
        One(words) => value.as_str().is_some_and(|word| words.contains(&word)),
        Object(name) => return object(value, name, at, wrong),
        Bag => value.as_object().is_some_and(|bag| bag.get("tags").is_none_or(is_set)),
        List(name, once) => {
            let elements = value.as_array().into_iter().flatten().enumerate();
            elements.for_each(|(index, element)| object(element, name, &format!("{at}[{index}]"), wrong));
            value.is_array() && (!once || is_set(value))
        }
    };
    if !fine {
        wrong.push(format!("{at}: {value}"));
    }
}

fn is_set(value: &Value) -> bool {
    let elements = value.as_array().unwrap();
    elements.iter().map(Value::to_string).collect::<HashSet<_>>().len() == elements.len()
}

/// What RFC 3986 lets stand in a reference, and no colon in the first step of a relative one.
fn is_uri(text: &str) -> bool {
    let fine = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let escaped = text
        .split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    let first = text.split('/').next().unwrap_or_default();
    text.chars().all(fine) && escaped && (!first.contains(':') || text.contains("://"))
}

/// The log, which holds to the schema, and in which every result names a rule that is there.
fn log(folder: &Path, arguments: &[&str]) -> Value {
    let output = Command::new(MESHWARD).current_dir(folder).args(arguments).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    let log: Value =
        serde_json::from_str(&text).unwrap_or_else(|e| panic!("{arguments:?}: {e}: {text}{told}"));
    let mut wrong = Vec::new();
    object(&log, "log", "$", &mut wrong);
    assert_eq!(wrong, Vec::<String>::new(), "{arguments:?}");
    let run = &log["runs"][0];
    for result in run["results"].as_array().unwrap() {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"], "{result}");
    }
    log
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn every_verb_writes_what_the_schema_allows() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let policy = |name: &str, category: &str| {
        json!({
            "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy",
            "metadata": {"name": name, "annotations": {"policies.kyverno.io/category": category, "policies.kyverno.io/severity": "high"}},
            "spec": {"rules": [{
                "name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
                "validate": {"message": "m", "pattern": {"spec": {"containers": [{"image": "!*:latest"}]}}},
            }]},
        })
        .to_string()
    };
    write(
        folder,
        "policies.yaml",
        &format!("{}\n---\n{}\n", policy("a", "security"), policy("b", "Best Practices")),
    );
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: 'x:latest'}\n";
    write(folder, "a b: ü%.yaml", &format!("{pod}---\na: [\n---\n{pod}"));
    let refused = "apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: c}\nspec: {ruls: []}\n";
    write(folder, "refused.yaml", refused);

    let applied = log(folder, &["apply", "policies.yaml", "-r", "a b: ü%.yaml", "-o", "sarif"]);
    assert_eq!(applied["runs"][0]["results"].as_array().unwrap().len(), 4);
    assert_eq!(applied["runs"][0]["invocations"][0]["executionSuccessful"], false);
    let tags = |rule: usize| &applied["runs"][0]["tool"]["driver"]["rules"][rule]["properties"]["tags"];
    assert_eq!((tags(0), tags(1)), (&json!(["security"]), &json!(["security", "Best Practices"])));
    let checked = log(folder, &["check", "--level", "restricted", "a b: ü%.yaml", "-o", "sarif"]);
    assert!(checked["runs"][0]["results"].as_array().unwrap().len() >= 8);
    let absolute = folder.join("a b: ü%.yaml");
    log(folder, &["check", "--level", "baseline", absolute.to_str().unwrap(), "-o", "sarif"]);
    let linted = log(folder, &["lint", "refused.yaml", "policies.yaml", "-o", "sarif"]);
    assert!(!linted["runs"][0]["results"].as_array().unwrap().is_empty());
    log(folder, &["check", "--level", "restricted", "nowhere.yaml", "-o", "sarif"]);
}

#[test]
fn the_shapes_refuse_what_the_schema_refuses() {
    let wrong = |log: Value| {
        let mut wrong = Vec::new();
        object(&log, "log", "$", &mut wrong);
        wrong
    };
    let run = |run: Value| json!({"version": "2.1.0", "runs": [run]});
    assert_eq!(wrong(json!({"runs": []})), ["$: no version"]);
    assert_eq!(
        wrong(run(json!({"tool": {"driver": {"name": "a"}}, "verb": 1}))),
        ["$.runs[0].verb: unknown"]
    );
    let tags = run(json!({"tool": {"driver": {"name": "a"}}, "properties": {"tags": ["a", "a"]}}));
    assert_eq!(wrong(tags).len(), 1);
    let region =
        json!({"locations": [{"physicalLocation": {"region": {"startLine": 0}}}], "message": {"text": ""}});
    let found = wrong(run(json!({"tool": {"driver": {"name": "a"}}, "results": [region]})));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(
        is_uri("file:///a%20b") && is_uri("a%3Ab/c") && !is_uri("a b") && !is_uri("a:b/c") && !is_uri("%zz")
    );
}
