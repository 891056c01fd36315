//! Tests that could not run are told, not passed over in silence.

use std::fs::OpenOptions;
use std::io::Write;

/// For tests: prints `skipped: REASON`, and adds it as a line to the file that the variable `MESHWARD_SKIPPED` names,
/// which collects it over all test programs (the test harness hides what passing tests print).
#[allow(clippy::print_stdout)]
pub fn skipped(reason: &str) {
    println!("skipped: {reason}");
    let Some(path) = std::env::var_os("MESHWARD_SKIPPED").filter(|path| !path.is_empty()) else { return };
    let added = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .and_then(|mut file| file.write_all(format!("{reason}\n").as_bytes()));
    if let Err(error) = added {
        println!("cannot write to {}: {error}", path.display());
    }
}
