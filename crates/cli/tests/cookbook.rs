//! The cookbook of mesh init containers: each style lets the mesh's own container pass, keeps out exactly those near
//! misses that docs/cookbook.md says, and works on manifests as the meshes' own injectors write them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot read its input has failed")]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

const MESHWARD: &str = env!("CARGO_BIN_EXE_meshward");
const NEAR: [&str; 7] = [
    "in-containers",
    "other-image",
    "one-capability-more",
    "native-sidecar",
    "other-name",
    "other-command",
    "look-alike-image",
];

/// How a style is asked.
#[derive(Clone, Copy, PartialEq)]
enum Asked {
    /// `meshward apply POLICY`, with an exception if it has one.
    Apply { policy: &'static str, exception: Option<&'static str> },
    /// `meshward check --exemptions FILE`.
    Check(&'static str),
    /// `meshward swap`, and `meshward check` of what it prints.
    Swap,
}

struct Style {
    name: &'static str,
    asked: Asked,
    level: &'static str,
}

const fn style(name: &'static str, asked: Asked) -> Style {
    Style { name, asked, level: "baseline" }
}

const fn restricted(name: &'static str, asked: Asked) -> Style {
    Style { name, asked, level: "restricted" }
}

const fn policy(policy: &'static str) -> Asked {
    Asked::Apply { policy, exception: None }
}

const FOREACH: &str = "foreach";
const BY_IMAGE: &str = "podSecurity, by image";
const BY_VALUES: &str = "podSecurity, by field and values";
const EXCEPTION: &str = "PolicyException";
const STYLES: [Style; 7] = [
    style(FOREACH, policy("foreach.yaml")),
    style(BY_IMAGE, policy("exclude-image.yaml")),
    style(BY_VALUES, policy("exclude-values.yaml")),
    style(EXCEPTION, Asked::Apply { policy: "baseline.yaml", exception: Some("exception.yaml") }),
    style("Exemption", Asked::Check("exemption.yaml")),
    style("MeshPreset", Asked::Check("preset.yaml")),
    style("swap", Asked::Swap),
];

/// At level restricted, where the mesh's container needs more, and what surrounds it counts too.
const RESTRICTED: [Style; 4] = [
    restricted(BY_VALUES, policy("restricted-values.yaml")),
    restricted("Exemption", Asked::Check("exemption-restricted.yaml")),
    restricted("MeshPreset", Asked::Check("preset.yaml")),
    restricted("swap", Asked::Swap),
];
const NEAR_RESTRICTED: [&str; 5] = ["preloaded", "mounted-over", "native-sidecar", "probed", "unconfined"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn policies() -> PathBuf {
    root().join("examples/policies")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Runs the command; what it prints as JSON. Nothing may have been left out because it could not be read.
fn ask(words: &[&str]) -> Vec<Value> {
    let output = Command::new(MESHWARD).args(words).args(["-o", "json"]).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 1)), "{words:?}: {told}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{words:?}: {error}"))
}

/// What the swap prints, or why it refuses to.
fn swap(manifest: &Path) -> Result<String, String> {
    let output = Command::new(MESHWARD).arg("swap").arg(manifest).output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout).unwrap());
    }
    Err(String::from_utf8(output.stderr).unwrap())
}

/// Kind and name of each object that a style says something about, and whether it allows it. `folder` has the policies.
fn verdicts(style: &Style, folder: &Path, manifest: &Path) -> Vec<(String, bool)> {
    let file = |name: &str| folder.join(name).display().to_string();
    let manifest_word = manifest.display().to_string();
    let objects = match style.asked {
        Asked::Apply { policy, exception } => {
            let mut words = vec!["apply".to_owned(), file(policy), "-r".to_owned(), manifest_word];
            words.extend(exception.iter().flat_map(|exception| ["-e".to_owned(), file(exception)]));
            ask(&words.iter().map(String::as_str).collect::<Vec<_>>())
        }
        Asked::Check(exemptions) => {
            ask(&["check", "--level", style.level, "--exemptions", &file(exemptions), &manifest_word])
        }
        Asked::Swap => {
            let swapped = folder.join("swapped.yaml");
            fs::write(&swapped, swap(manifest).unwrap()).unwrap();
            ask(&["check", "--level", style.level, &swapped.display().to_string()])
        }
    };
    objects.iter().filter_map(|object| Some((name(object), allowed(object)?))).collect()
}

fn name(object: &Value) -> String {
    format!("{}/{}", object["kind"].as_str().unwrap(), object["name"].as_str().unwrap())
}

/// `None` if no rule looked at the object.
fn allowed(object: &Value) -> Option<bool> {
    if let Some(allowed) = object.get("allowed") {
        return allowed.as_bool();
    }
    let results = object["results"].as_array().unwrap();
    let fine = |result: &Value| matches!(result["status"].as_str(), Some("pass" | "skip"));
    (!results.is_empty()).then(|| results.iter().all(fine))
}

/// A copy of the policies, with the images of somebody's own registry.
fn policies_for(images: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(policies()).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            let text = images.iter().fold(read(&path), |text, (from, to)| text.replace(from, to));
            fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
        }
    }
    folder
}

fn head(names: &[&str]) -> String {
    format!("| style | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()))
}

/// A row of the page's tables.
fn row(style: &Style, verdicts: &[(String, bool)]) -> String {
    let cell = |allowed: bool| match (allowed, style.asked) {
        (false, _) => "denied",
        (true, Asked::Swap) => "replaced",
        (true, _) => "**allowed**",
    };
    let cells: Vec<&str> = verdicts.iter().map(|(_, allowed)| cell(*allowed)).collect();
    format!("| {} | {} |", style.name, cells.join(" | "))
}

fn is_on_the_page(table: &str) {
    let page = read(&root().join("docs/cookbook.md"));
    assert!(page.contains(table), "docs/cookbook.md has another table than this:\n{table}");
}

#[test]
fn at_restricted_each_style_does_what_the_cookbook_says() {
    let folder = policies_for(&[]);
    let pods = policies().join("pods");
    let mut table = head(&NEAR_RESTRICTED);
    for style in &RESTRICTED {
        let own = verdicts(style, folder.path(), &pods.join("mesh-restricted.yaml"));
        assert_eq!(own.len(), 2, "{own:?}");
        assert!(own.iter().all(|(_, allowed)| *allowed), "{}: {own:?}", style.name);
        let near = verdicts(style, folder.path(), &pods.join("near-restricted.yaml"));
        let names: Vec<&str> = near.iter().filter_map(|(name, _)| name.strip_prefix("Pod/")).collect();
        assert_eq!(names, NEAR_RESTRICTED);
        let _ = writeln!(table, "{}", row(style, &near));
    }
    is_on_the_page(&table);
}

#[test]
fn each_style_does_what_the_cookbook_says() {
    let folder = policies_for(&[]);
    let mut table = head(&NEAR);
    for style in &STYLES {
        let own = verdicts(style, folder.path(), &policies().join("pods/mesh.yaml"));
        assert_eq!(own.len(), 3, "{own:?}");
        assert!(own.iter().all(|(_, allowed)| *allowed), "{}: {own:?}", style.name);
        let [istio, linkerd] = ["near-istio.yaml", "near-linkerd.yaml"]
            .map(|name| verdicts(style, folder.path(), &policies().join("pods").join(name)));
        assert_eq!(istio, linkerd, "{}: the meshes differ", style.name);
        let names: Vec<&str> = istio.iter().filter_map(|(name, _)| name.strip_prefix("Pod/")).collect();
        assert_eq!(names, NEAR);
        let _ = writeln!(table, "{}", row(style, &istio));
    }
    is_on_the_page(&table);
}

/// The page checks a file that stands for what `meshward swap` prints.
#[test]
fn the_swapped_pods_are_what_swap_prints() {
    let pods = policies().join("pods");
    assert_eq!(read(&pods.join("swapped.yaml")), swap(&pods.join("mesh.yaml")).unwrap());
}

/// The mesh's init container adds what it has to, and nothing else is wrong with it.
fn of_the_mesh(violation: &Value) -> bool {
    let detail = violation["detail"].as_str().unwrap_or_default();
    let named = |name| detail.starts_with(&format!("container \"{name}\" must not include"));
    redirects(violation) && (named("istio-init") || named("linkerd-init"))
}

/// Containers in the list of init containers add what rules of netfilter need.
fn redirects(violation: &Value) -> bool {
    let own = |field: &Value| {
        let path = field["path"].as_str().unwrap_or_default();
        path.contains("initContainers[") && matches!(field["value"].as_str(), Some("NET_ADMIN" | "NET_RAW"))
    };
    of_capabilities(violation) && violation["fields"].as_array().is_some_and(|fields| fields.iter().all(own))
}

fn of_capabilities(violation: &Value) -> bool {
    violation["check"] == "capabilities_baseline"
}

/// What a style has to say, of what Pod Security says without it. Only the meshes' containers have their images here.
fn expected(style: &Style, object: &Value) -> bool {
    let saves = |violation: &Value| match style.name {
        FOREACH => !of_capabilities(violation) || of_the_mesh(violation),
        BY_IMAGE => of_capabilities(violation),
        // A proxy that is a native sidecar counts as an init container.
        BY_VALUES | EXCEPTION => redirects(violation),
        _ => of_the_mesh(violation),
    };
    object["violations"].as_array().unwrap().iter().all(saves)
}

#[test]
fn each_style_works_on_what_injectors_write() {
    let suites = std::env::var_os("MESHWARD_SUITES")
        .map_or_else(|| root().join("../shared/suites"), PathBuf::from)
        .join("pods");
    if !suites.is_dir() {
        meshward_netlab::skipped("no manifests of the meshes here");
        return;
    }
    // The manifests are from the meshes' own tests, with images and namespaces of their own.
    let folder = policies_for(&[
        ("docker.io/istio/proxyv2", "registry.istio.io/testing/proxyv2"),
        ("[shop, default]", "[\"*\"]"),
    ]);
    let (mut saved, mut denied) = (0, 0);
    for mesh in ["istio", "linkerd"] {
        let mut files: Vec<PathBuf> =
            fs::read_dir(suites.join(mesh)).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for file in files {
            let manifest = folder.path().join("manifest.yaml");
            let text = own_images(&read(&file));
            if !text.contains("kind:") {
                continue;
            }
            fs::write(&manifest, &text).unwrap();
            let plain = ask(&["check", "--level", "baseline", &manifest.display().to_string()]);
            for style in STYLES.iter().filter(|style| style.asked != Asked::Swap) {
                let found = verdicts(style, folder.path(), &manifest);
                for object in &plain {
                    let told = || format!("{}: {} about {object}", style.name, file.display());
                    let one = found.iter().find(|(found, _)| *found == name(object));
                    // Kyverno generates rules for controllers of Kubernetes only, and for one version of each.
                    let unknown = object["kind"] == "DeploymentConfig" || text.contains("/v1beta1\n");
                    if one.is_none() && unknown && matches!(style.asked, Asked::Apply { .. }) {
                        continue;
                    }
                    let (_, allowed) = one.unwrap_or_else(|| panic!("nothing said: {}", told()));
                    assert_eq!(*allowed, expected(style, object), "{}", told());
                    saved += usize::from(*allowed && object["allowed"] == false);
                    denied += usize::from(!*allowed);
                }
            }
            no_swap_leaves_a_privilege(&folder, &manifest, &file);
        }
    }
    assert!(saved > 100 && denied > 0, "saved {saved}, denied {denied}: the manifests are others than meant");
}

/// Some of the meshes' tests have images of their own for their containers, which a cluster's owner would name too, and
/// lists with nothing in an item, which are told as wrong input.
fn own_images(text: &str) -> String {
    let others = ["testing/proxyInitTest:", "testing/proxyTest:", "release/proxy2_debug:"];
    others.iter().fold(text.replace("\n- null", ""), |text, other| {
        text.replace(&format!("registry.istio.io/{other}"), "registry.istio.io/testing/proxyv2:")
    })
}

/// After the swap nothing of the mesh's init container is left to allow. Only TPROXY needs privileges in the proxy.
fn no_swap_leaves_a_privilege(folder: &tempfile::TempDir, manifest: &Path, file: &Path) {
    let printed = match swap(manifest) {
        Ok(printed) => printed,
        Err(told) => {
            assert!(told.contains("TPROXY"), "{}: {told}", file.display());
            return;
        }
    };
    let swapped = folder.path().join("swapped.yaml");
    fs::write(&swapped, printed).unwrap();
    for object in ask(&["check", "--level", "baseline", &swapped.display().to_string()]) {
        let left: Vec<&Value> =
            object["violations"].as_array().unwrap().iter().filter(|one| of_the_mesh(one)).collect();
        assert!(left.is_empty(), "{}: {left:?}", file.display());
    }
}
