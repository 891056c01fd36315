//! What an image's program is made of: a CycloneDX bill of materials from `cargo metadata`, for scanners that ask for
//! known vulnerabilities. A static program has no other record of its parts.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The bill of `package` as CycloneDX 1.6 (<https://cyclonedx.org/docs/1.6/json/>), from the output of
/// `cargo metadata --format-version 1`. No time and no serial number: the same sources give the same bill.
pub(crate) fn of(metadata: &Value, package: &str) -> Result<Vec<u8>> {
    let packages: BTreeMap<&str, &Value> =
        list(metadata, "/packages").filter_map(|package| Some((package["id"].as_str()?, package))).collect();
    let nodes: BTreeMap<&str, &Value> =
        list(metadata, "/resolve/nodes").filter_map(|node| Some((node["id"].as_str()?, node))).collect();
    let root = packages
        .iter()
        .find(|(_, candidate)| candidate["name"] == package)
        .map(|(id, _)| *id)
        .with_context(|| format!("cargo metadata knows no package {package}"))?;
    let edges = reachable(root, &nodes);
    let component = |id: &str| packages.get(id).map(|package| component(package, id == root));
    let references = |ids: &BTreeSet<&str>| -> Vec<String> {
        ids.iter().filter_map(|id| packages.get(id)).map(|package| purl(package)).collect()
    };
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": component(root)},
        "components": edges.keys().filter(|id| **id != root).filter_map(|id| component(id)).collect::<Vec<_>>(),
        "dependencies": edges.iter().filter_map(|(id, on)| {
            Some(json!({"ref": purl(packages.get(id)?), "dependsOn": references(on)}))
        }).collect::<Vec<_>>(),
    });
    serde_json::to_vec_pretty(&bill).context("cannot write the bill of materials")
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// Everything that gets into the program: its dependencies, without those of tests and build scripts.
fn reachable<'a>(
    root: &'a str,
    nodes: &BTreeMap<&'a str, &'a Value>,
) -> BTreeMap<&'a str, BTreeSet<&'a str>> {
    let mut edges = BTreeMap::new();
    let mut left = vec![root];
    while let Some(id) = left.pop() {
        if edges.contains_key(id) {
            continue;
        }
        let on: BTreeSet<&str> = nodes
            .get(id)
            .into_iter()
            .flat_map(|node| list(node, "/deps"))
            .filter(|dependency| list(dependency, "/dep_kinds").any(|kind| kind["kind"].is_null()))
            .filter_map(|dependency| dependency["pkg"].as_str())
            .collect();
        left.extend(&on);
        edges.insert(id, on);
    }
    edges
}

fn component(package: &Value, is_root: bool) -> Value {
    let mut component = json!({
        "type": if is_root { "application" } else { "library" },
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
    });
    if let Some(licence) = package["license"].as_str() {
        // Old crates write a slash for "or", which SPDX does not know.
        component["licenses"] = json!([{"expression": licence.replace('/', " OR ")}]);
    }
    component
}

/// <https://github.com/package-url/purl-spec>
fn purl(package: &Value) -> String {
    let text = |field: &str| package[field].as_str().unwrap_or_default();
    format!("pkg:cargo/{}@{}", text("name"), text("version").replace('+', "%2B"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_gets_into_the_program() {
        let package =
            |name: &str| json!({"id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0"});
        let on = |name: &str, kind: Value| json!({"pkg": name, "dep_kinds": [{"kind": kind}]});
        let packages = ["app", "library", "deep", "tests", "script", "stranger"].map(package);
        let metadata = json!({
            "packages": packages,
            "resolve": {"nodes": [
                {"id": "app", "deps": [on("library", Value::Null), on("tests", "dev".into()), on("script", "build".into())]},
                {"id": "library", "deps": [on("deep", Value::Null)]},
                {"id": "deep", "deps": []},
                {"id": "stranger", "deps": []},
            ]},
        });
        let bill: Value = serde_json::from_slice(&of(&metadata, "app").unwrap()).unwrap();
        let names: Vec<&Value> = list(&bill, "/components").map(|component| &component["name"]).collect();
        assert_eq!(names, ["deep", "library"]);
        assert_eq!(bill["metadata"]["component"]["purl"], "pkg:cargo/app@1.0.0");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(
            bill["dependencies"][0],
            json!({"ref": "pkg:cargo/app@1.0.0", "dependsOn": ["pkg:cargo/library@1.0.0"]})
        );
    }

    #[test]
    fn an_unknown_package_is_an_error() {
        assert!(of(&json!({"packages": [], "resolve": {"nodes": []}}), "app").is_err());
    }
}
