//! Our bytes beside our text as nft compiles it: the kernel must hold the same.

use meshward_redirect::RuleSet;
use meshward_redirect::nft::{self, Lock};
use meshward_redirect::render;
use proptest::test_runner::{Config, FileFailurePersistence, TestCaseError, TestRunner};

use crate::bed::{Bed, has_nft};
use crate::sets;

/// What nft tells of a namespace, without what may differ: handles, counters, and the order of set elements.
fn dump(bed: &Bed) -> String {
    let mut out = String::new();
    for line in bed.nft(&["--debug=netlink", "-n", "list", "ruleset"], "").lines() {
        let mut words: Vec<&str> = line.split(' ').collect();
        if line.starts_with("inet meshward_") {
            words.truncate(3);
        }
        if line.contains("element ") {
            let mut elements: Vec<&str> = line.split("element ").map(str::trim).collect();
            elements.sort_unstable();
            out.push_str(&elements.join("\n"));
        } else {
            out.push_str(&words.join(" "));
        }
        out.push('\n');
    }
    // Counters: no packet has passed.
    assert!(!out.contains("pkts 1"), "{out}");
    out
}

fn agree(rules: &RuleSet) -> Result<(), String> {
    let (Some(bytes), Some(text)) = (Bed::new(), Bed::new()) else { return Ok(()) };
    let rendered = render::nft::render(rules);
    nft::replace(&bytes.socket(), rules, Lock::Off).map_err(|error| format!("{error}\n{rendered}"))?;
    text.try_nft(&["-f", "-"], &rendered).map_err(|error| format!("{error}\n{rendered}"))?;
    let (ours, theirs) = (dump(&bytes), dump(&text));
    if ours != theirs {
        let differing = ours.lines().zip(theirs.lines()).find(|(a, b)| a != b);
        return Err(format!("{differing:?}\n--- bytes\n{ours}\n--- text\n{theirs}\n{rendered}"));
    }
    for bed in [&bytes, &text] {
        if let Some(drift) = nft::compare(&bed.socket(), rules).map_err(|error| error.to_string())? {
            return Err(format!("{drift}\n{rendered}"));
        }
    }
    // The text is idempotent, over itself and over our bytes.
    bytes.try_nft(&["-f", "-"], &rendered).map_err(|error| format!("again: {error}"))?;
    if dump(&bytes) == theirs { Ok(()) } else { Err("loading the text again gives another state".into()) }
}

#[test]
fn istio_is_the_same_in_bytes_and_text() {
    if has_nft() {
        agree(&sets::istio()).unwrap();
    }
}

#[test]
fn every_match_and_action_is_the_same_in_bytes_and_text() {
    if has_nft() {
        agree(&sets::everything()).unwrap();
    }
}

#[test]
fn an_empty_rule_set_is_an_empty_table() {
    if has_nft() {
        agree(&sets::rule_set(vec![])).unwrap();
    }
}

#[test]
fn generated_rule_sets_are_the_same_in_bytes_and_text() {
    if !has_nft() || Bed::new().is_none() {
        return;
    }
    let persistence = Some(Box::new(FileFailurePersistence::Off) as _);
    let config =
        Config { cases: 48, failure_persistence: persistence, max_shrink_iters: 200, ..Config::default() };
    TestRunner::new(config)
        .run(&sets::any_rule_set(), |rules| agree(&rules).map_err(TestCaseError::fail))
        .unwrap_or_else(|failure| panic!("{failure}"));
}
