//! The agent's settings: every way to give one, everything that can be wrong, and the file while the agent runs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use meshward_manifest::{Documents, Options};
use meshward_node::settings::{Invocation, Reloaded, Reloader, SETTINGS, Started};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Case {
    name: String,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    file: Option<String>,
    #[serde(default)]
    settings: BTreeMap<String, String>,
    #[serde(default)]
    remarks: Vec<String>,
    error: Option<String>,
    error_has: Option<String>,
}

fn invocation(
    arguments: &[String],
    environment: &BTreeMap<String, String>,
    file: Option<&Path>,
) -> Invocation {
    let config = file.map(|path| vec!["--config".to_string(), path.display().to_string()]);
    let program = std::iter::once("meshward-node".to_string());
    let all = program.chain(config.into_iter().flatten()).chain(arguments.iter().cloned());
    let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
    Invocation::parse(all.map(OsString::from), environment.collect::<Vec<_>>()).expect("clap takes it")
}

#[test]
fn table() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.yaml");
    let text = include_bytes!("settings/cases.yaml");
    let mut count = 0;
    for document in Documents::new(text, Options::default()) {
        let case: Case = serde_json::from_value(document.expect("readable").value).expect("a case");
        if let Some(file) = &case.file {
            std::fs::write(&path, file).unwrap();
        }
        let file = case.file.is_some().then_some(path.as_path());
        let answer = invocation(&case.arguments, &case.environment, file).load();
        judge(&case, answer.map_err(|error| error.to_string()), &path);
        count += 1;
    }
    assert!(count > 20, "{count} cases");
}

fn judge(case: &Case, answer: Result<Started, String>, path: &Path) {
    let file = path.display().to_string();
    match answer {
        Ok(started) => {
            assert!(case.error.is_none() && case.error_has.is_none(), "{}: no error", case.name);
            for (name, expected) in &case.settings {
                let list = started.values.list();
                let value = list.iter().find(|value| value.name == *name).expect(name);
                let found = format!("{} ({})", value.value, value.origin).replace(&file, "FILE");
                assert_eq!(found, *expected, "{}: {name}", case.name);
            }
            assert_eq!(started.remarks, case.remarks, "{}", case.name);
        }
        Err(error) => {
            let error = error.replace(&file, "FILE");
            if let Some(part) = &case.error_has {
                assert!(error.contains(part), "{}: {error}", case.name);
            } else {
                assert_eq!(Some(&error), case.error.as_ref(), "{}", case.name);
            }
        }
    }
}

fn node() -> BTreeMap<String, String> {
    BTreeMap::from([("NODE_NAME".to_string(), "worker-1".to_string())])
}

#[test]
fn what_is_printed_can_be_given_back() {
    let first = invocation(&["--exclude-namespaces=".into(), "--nri".into(), "on".into()], &node(), None);
    let first = first.load().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.yaml");
    std::fs::write(&path, first.values.to_yaml()).unwrap();
    let second = invocation(&[], &BTreeMap::new(), Some(&path)).load().unwrap();
    assert_eq!(first.settings, second.settings);
    let given = first.values.list().len();
    assert_eq!(given, SETTINGS.iter().filter(|setting| setting.default.is_some()).count() + 1);
}

#[test]
fn defaults() {
    insta::assert_debug_snapshot!(invocation(&[], &node(), None).load().unwrap().settings);
}

#[test]
fn printed() {
    insta::assert_snapshot!(invocation(&["--proc".into()], &node(), None).load().unwrap().values.to_yaml());
}

#[test]
fn help() {
    let arguments = ["meshward-node", "--help"].map(OsString::from);
    let help = Invocation::parse(arguments, []).unwrap_err();
    assert_eq!(help.exit_code(), 0);
    insta::assert_snapshot!(help.to_string());
}

#[test]
fn a_missing_file_is_named() {
    let error = invocation(&[], &node(), Some(Path::new("/nowhere/node.yaml"))).load().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot read the configuration file /nowhere/node.yaml: No such file or directory (os error 2)"
    );
}

#[test]
fn reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.yaml");
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("recheck-interval: 30s\n");
    let invocation = invocation(&["--status".into()], &node(), Some(&path));
    let started = invocation.load().unwrap();
    let mut reloader = Reloader::new(invocation, started);
    let mut feed = reloader.feed();
    assert_eq!(reloader.poll(), Reloaded::Same);

    // What may change at once does, what may not is named and stays, and a flag still beats the file.
    write("recheck-interval: 10s\nnri: off\nstatus: off\n");
    let expected = Reloaded::Applied { changed: vec!["recheck-interval"], held_back: vec!["nri"] };
    assert_eq!(reloader.poll(), expected);
    assert!(feed.has_changed().unwrap());
    let now = feed.borrow_and_update().clone();
    assert_eq!(now.rules.recheck, Some(Duration::from_secs(10)));
    assert_eq!(now.locate.nri.mode, meshward_node::settings::Switch::Auto);
    assert!(now.tell.status);
    assert_eq!(reloader.poll(), Reloaded::Same);

    // A broken file changes nothing, and is told once.
    write("recheck-interval: soon\n");
    let Reloaded::Kept { reason } = reloader.poll() else { panic!("it was taken") };
    assert!(reason.contains("recheck-interval: found \"soon\""), "{reason}");
    assert_eq!(reloader.poll(), Reloaded::Same);
    std::fs::remove_file(&path).unwrap();
    let Reloaded::Kept { reason } = reloader.poll() else { panic!("it was taken") };
    assert!(reason.contains("cannot read the configuration file"), "{reason}");
    assert!(!feed.has_changed().unwrap());

    // Back at the first text: the setting that was held back no longer differs.
    write("recheck-interval: 30s\n");
    let expected = Reloaded::Applied { changed: vec!["recheck-interval"], held_back: vec![] };
    assert_eq!(reloader.poll(), expected);
    assert_eq!(feed.borrow_and_update().rules.recheck, Some(Duration::from_secs(30)));

    let mut metrics = prometheus_client::registry::Registry::with_prefix("meshward");
    reloader.register(&mut metrics);
    let text = meshward_kit::admin::openmetrics(&metrics).unwrap();
    assert!(text.contains("meshward_settings_reloads_total{outcome=\"applied\"} 2"), "{text}");
    assert!(text.contains("meshward_settings_reloads_total{outcome=\"kept\"} 2"), "{text}");
}
