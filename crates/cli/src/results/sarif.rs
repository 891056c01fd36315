//! SARIF 2.1.0 (OASIS), as code scanning services read it. Only what somebody has to look at becomes a result: GitHub
//! shows every result as an alert, whatever its kind. The totals are in the run's properties.
//!
//! The structures hold what the schema requires and what is used; its generated bindings are a hundred times that.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Value, json};

use super::{Listed, Position, Problem, Results, Severity, Status, Verdict};

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

#[derive(Serialize)]
struct Log {
    #[serde(rename = "$schema")]
    schema: &'static str,
    version: &'static str,
    runs: [Run; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    invocations: [Invocation; 1],
    column_kind: &'static str,
    results: Vec<Finding>,
    properties: Value,
}

#[derive(Serialize)]
struct Tool {
    driver: Driver,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Driver {
    name: &'static str,
    version: &'static str,
    semantic_version: &'static str,
    information_uri: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    short_description: Message,
    default_configuration: Configuration,
    properties: Value,
}

#[derive(Serialize)]
struct Configuration {
    level: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invocation {
    execution_successful: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_execution_notifications: Vec<Notification>,
}

#[derive(Serialize)]
struct Notification {
    level: &'static str,
    message: Message,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    locations: Vec<Location>,
}

#[derive(Serialize)]
struct Message {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: String,
    rule_index: usize,
    level: &'static str,
    message: Message,
    locations: Vec<Location>,
    properties: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Location {
    #[serde(skip_serializing_if = "Option::is_none")]
    physical_location: Option<PhysicalLocation>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    logical_locations: Vec<LogicalLocation>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PhysicalLocation {
    artifact_location: ArtifactLocation,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<Region>,
}

#[derive(Serialize)]
struct ArtifactLocation {
    uri: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Region {
    start_line: u32,
    start_column: u32,
    end_line: u32,
    end_column: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogicalLocation {
    name: String,
    fully_qualified_name: String,
    kind: &'static str,
}

pub(super) fn render(results: &Results) -> String {
    let (rules, indexes) = rules(results);
    let findings = results.verdicts().filter(|(_, verdict)| verdict.is_finding());
    let version = env!("CARGO_PKG_VERSION");
    let run = Run {
        tool: Tool {
            driver: Driver {
                name: "meshward",
                version,
                semantic_version: version,
                information_uri: env!("CARGO_PKG_REPOSITORY"),
                rules,
            },
        },
        invocations: [Invocation {
            execution_successful: results.problems.is_empty(),
            tool_execution_notifications: results.problems.iter().map(notification).collect(),
        }],
        column_kind: "unicodeCodePoints",
        results: findings.map(|(listed, verdict)| finding(listed, verdict, &indexes)).collect(),
        properties: json!({ "verb": results.verb, "totals": results.totals() }),
    };
    let log = Log { schema: SCHEMA, version: "2.1.0", runs: [run] };
    // These structures have string keys and finite numbers only.
    serde_json::to_string_pretty(&log).unwrap_or_default() + "\n"
}

/// The rules of all results, each once, and where each is.
fn rules(results: &Results) -> (Vec<Rule>, HashMap<String, usize>) {
    let (mut rules, mut indexes) = (Vec::new(), HashMap::new());
    for (_, verdict) in results.verdicts().filter(|(_, verdict)| verdict.is_finding()) {
        let id = id(verdict);
        if !indexes.contains_key(&id) {
            indexes.insert(id.clone(), rules.len());
            rules.push(rule(id, verdict));
        }
    }
    (rules, indexes)
}

fn rule(id: String, verdict: &Verdict) -> Rule {
    let text = match verdict.control {
        Some(control) => format!("{control} ({})", verdict.policy),
        None => verdict.title(),
    };
    let mut properties = json!({ "policy": verdict.policy });
    if !verdict.category.is_empty() {
        // The schema wants each tag once.
        let mut tags = vec!["security", verdict.category.as_str()];
        tags.dedup();
        properties["tags"] = json!(tags);
    }
    if let Some(severity) = verdict.severity {
        properties["security-severity"] = score(severity).into();
    }
    let default_configuration = Configuration { level: level(verdict.status) };
    Rule { id, short_description: Message { text }, default_configuration, properties }
}

/// GitHub's scale, on which critical begins above 9.0, high at 7.0, medium at 4.0.
fn score(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.0",
        Severity::Info => "0.0",
    }
}

fn id(verdict: &Verdict) -> String {
    match (verdict.policy.as_str(), verdict.rule.as_str()) {
        (policy, "") => policy.to_owned(),
        (_, rule) if verdict.control.is_some() => rule.to_owned(),
        (policy, rule) => format!("{policy}/{rule}"),
    }
}

fn level(status: Status) -> &'static str {
    match status {
        Status::Fail | Status::Error => "error",
        Status::Warn => "warning",
        Status::Pass | Status::Skip => "none",
    }
}

fn finding(listed: &Listed, verdict: &Verdict, indexes: &HashMap<String, usize>) -> Finding {
    let rule_id = id(verdict);
    let mut places: Vec<Option<Position>> = verdict.fields.iter().map(|field| field.position).collect();
    places.retain(Option::is_some);
    // The first location is the one that is shown; the others are those of the same verdict's other values.
    places.dedup();
    if places.is_empty() {
        places.push(listed.object.position);
    }
    Finding {
        rule_index: indexes.get(&rule_id).copied().unwrap_or_default(),
        rule_id,
        level: level(verdict.status),
        message: Message { text: format!("{}: {}", listed.object.title(), verdict.message) },
        locations: places.into_iter().map(|position| location(listed, position)).collect(),
        properties: json!({ "status": verdict.status.as_str() }),
    }
}

fn location(listed: &Listed, position: Option<Position>) -> Location {
    let name = listed.object.title();
    let logical = LogicalLocation { fully_qualified_name: name.clone(), name, kind: "resource" };
    Location { physical_location: physical(&listed.object.file, position), logical_locations: vec![logical] }
}

fn physical(file: &str, position: Option<Position>) -> Option<PhysicalLocation> {
    let region = position.map(|Position { line, column, end_line, end_column, .. }| Region {
        start_line: line,
        start_column: column,
        end_line,
        end_column,
    });
    (!file.is_empty())
        .then(|| PhysicalLocation { artifact_location: ArtifactLocation { uri: uri(file) }, region })
}

/// A path as a URI reference (RFC 3986): every byte that is not unreserved or a slash is escaped.
fn uri(file: &str) -> String {
    let mut uri = String::with_capacity(file.len());
    if file.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in file.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                uri.push(byte as char)
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

fn notification(problem: &Problem) -> Notification {
    let physical_location = physical(&problem.file, problem.position);
    let location = Location { physical_location, logical_locations: Vec::new() };
    Notification {
        level: "error",
        message: Message { text: problem.message.clone() },
        locations: if problem.file.is_empty() { Vec::new() } else { vec![location] },
    }
}
