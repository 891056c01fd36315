//! The fuzz targets' seeds, and what the fuzzers once found, through the same functions: `cargo test` has neither a
//! nightly toolchain nor a fuzzer.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

#[path = "../../../fuzz/src/lib.rs"]
mod targets;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_string()).collect()
}

#[test]
fn every_seed_is_taken() {
    for (name, target) in targets::TARGETS {
        let mut seeds: Vec<PathBuf> = fs::read_dir(fuzz().join("seeds").join(name))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seed");
        for seed in seeds {
            println!("{name} {}", seed.display());
            target(&fs::read(&seed).unwrap());
        }
    }
}

#[test]
fn every_target_is_known_by_one_name() {
    let known: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).to_string()).collect();
    assert_eq!(names(&fuzz().join("fuzz_targets")), known);
    assert_eq!(names(&fuzz().join("seeds")), known);
}

/// Cut and damaged seeds are a small fuzzer of their own.
#[test]
fn damaged_seeds_are_taken() {
    for (name, target) in targets::TARGETS {
        for seed in fs::read_dir(fuzz().join("seeds").join(name)).unwrap() {
            let bytes = fs::read(seed.unwrap().path()).unwrap();
            let steps = (bytes.len() / 24).max(1);
            for at in (0..bytes.len()).step_by(steps) {
                target(&bytes[..at]);
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << (at % 8);
                target(&damaged);
            }
        }
    }
}
