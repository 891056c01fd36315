//! Replays Kyverno's declarative end-to-end cases (chainsaw's format) on a cluster, so that a folder of them can be held
//! against this controller without their own runner. A case passes only when everything in it was done; what is not
//! done here (programs unless asked for, policies out of the product's scope) makes it *unsupported* with the reason.
//!
//! ```text
//! folder ─ discover ─► chainsaw-test.yaml ─ Test (steps, operations) ─ Player ─► Outcome
//!                                                     assertion trees ─┘  └─ Objects (API server)
//! ```

mod expression;
mod objects;
mod operation;
mod player;
mod spec;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use player::Player;
use spec::Test;

/// The file that makes a folder a case.
const FILE: &str = "chainsaw-test.yaml";

/// What is done here differs from what the case asks for, so that nothing can be said about it.
#[derive(Debug)]
pub(crate) struct Unsupported(pub(crate) String);

impl fmt::Display for Unsupported {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unsupported: {}", self.0)
    }
}

impl std::error::Error for Unsupported {}

/// How cases are replayed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Run the programs that cases bring (`script`, `command`), with all rights of the caller.
    pub programs: bool,
}

/// How one case went.
#[derive(Debug)]
pub struct Outcome {
    /// Where the case is.
    pub folder: PathBuf,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took.
    pub took: Duration,
}

/// What came of a case.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything was done and held.
    Passed,
    /// Something did not hold: step, operation and why.
    Failed(String),
    /// Something is not done here: what.
    Unsupported(String),
    /// The case says so itself.
    Skipped,
}

impl Verdict {
    fn word(&self) -> &'static str {
        match self {
            Self::Passed => "pass",
            Self::Failed(_) => "fail",
            Self::Unsupported(_) => "unsupported",
            Self::Skipped => "skip",
        }
    }

    fn reason(&self) -> &str {
        match self {
            Self::Passed | Self::Skipped => "",
            Self::Failed(reason) | Self::Unsupported(reason) => reason,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, seconds) = (self.verdict.word(), self.took.as_secs_f64());
        write!(formatter, "{word:<11}  {} ({seconds:.1} s)", self.folder.display())?;
        self.verdict.reason().lines().try_for_each(|line| write!(formatter, "\n      {line}"))
    }
}

impl Outcome {
    /// For programs.
    pub fn to_json(&self) -> Value {
        json!({
            "case": self.folder.display().to_string(),
            "result": self.verdict.word(),
            "reason": self.verdict.reason(),
            "seconds": self.took.as_secs_f64(),
        })
    }
}

/// The folders with a case at or below `root`, in the order of their names.
///
/// # Errors
/// A folder cannot be read.
pub fn discover(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut open) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = open.pop() {
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                open.push(entry.path());
            } else if entry.file_name() == FILE {
                found.push(folder.clone());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Replays the case in `folder`, and takes away what it made.
pub async fn replay(cluster: &Cluster, folder: &Path, options: Options) -> Outcome {
    let begin = Instant::now();
    let verdict = match attempt(cluster, folder, options).await {
        Ok(true) => Verdict::Passed,
        Ok(false) => Verdict::Skipped,
        Err(error) => match error.downcast_ref::<Unsupported>() {
            Some(unsupported) => Verdict::Unsupported(unsupported.0.clone()),
            None => Verdict::Failed(format!("{error:#}")),
        },
    };
    Outcome { folder: folder.to_path_buf(), verdict, took: begin.elapsed() }
}

/// Whether the case was run: it may say that it is to be skipped.
async fn attempt(cluster: &Cluster, folder: &Path, options: Options) -> Result<bool> {
    let test = Test::read(&folder.join(FILE))?;
    if test.skip {
        return Ok(false);
    }
    let mut player = Player::begin(cluster, folder, &test, options).await?;
    let played = player.play(&test).await;
    let cleared = player.clear().await;
    played.and(cleared).map(|()| true)
}
