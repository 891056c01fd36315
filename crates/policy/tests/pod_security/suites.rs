//! The public fixtures: a pod in a `pass` folder passes its level at its version, one in `fail` does not.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use meshward_policy::pss::{Aggregate, Level, Pod, Version, evaluate};

use crate::cases::read;

#[test]
fn fixtures_pass_and_fail_as_their_folders_say() {
    let root = match env::var_os("MESHWARD_SUITES") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
    };
    let root = root.join("psa");
    if !root.is_dir() {
        meshward_netlab::skipped("no suites of the peers here");
        return;
    }
    let mut count = 0;
    for (level, folder) in folders(&root) {
        let level: Level = level.parse().unwrap();
        for (version, folder) in folders(&folder) {
            let version: Version = version.parse().unwrap();
            for (expected, folder) in folders(&folder) {
                for (file, path) in folders(&folder) {
                    let object = read(&path);
                    let pod = Pod::new(&object);
                    assert_eq!(pod.malformed(&object), [], "{}", path.display());
                    let verdict = Aggregate::new(&evaluate(level, version, &pod));
                    assert_eq!(verdict.allowed(), expected == "pass", "{}", path.display());
                    if expected == "fail" {
                        assert_names_its_check(&file, level, version, &pod);
                    }
                    count += 1;
                }
            }
        }
    }
    println!("{count} fixtures");
    assert!(count > 0, "no fixtures under {}", root.display());
}

/// A failing fixture is named after the check that must object; others may, too.
fn assert_names_its_check(file: &str, level: Level, version: Version, pod: &Pod<'_>) {
    let stem = file.trim_end_matches(".yaml").trim_end_matches(|digit: char| digit.is_ascii_digit());
    // A baseline fixture that a restricted check overrides fails by the check that replaces it.
    let level = if stem.starts_with("seccompprofile")
        || stem.starts_with("capabilities")
        || stem == "procmount"
        || stem == "hostpathvolumes"
    {
        if stem.ends_with("restricted") { Level::Restricted } else { Level::Baseline }
    } else {
        level
    };
    let results = evaluate(level, version, pod);
    let objects =
        results.iter().any(|result| !result.allowed() && result.check.id.as_str().eq_ignore_ascii_case(stem));
    assert!(objects, "{file}: no objection by {stem}");
}

fn folders(folder: &Path) -> Vec<(String, PathBuf)> {
    let mut entries: Vec<(String, PathBuf)> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    entries.sort();
    entries
}
