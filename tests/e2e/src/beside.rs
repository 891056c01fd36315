//! Programs of other projects that cases run beside the cluster, as controllers that an administrator would run in it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::cluster::Cluster;
use crate::controller::Controller;
use crate::until::until;

/// For one to end in order, and for definitions to go.
const GONE: Duration = Duration::from_secs(60);
/// How much of a log is shown.
const SHOWN: usize = 20;

/// A program that runs until it is stopped or dropped.
#[derive(Debug)]
pub struct Beside {
    name: String,
    log: PathBuf,
    child: Child,
}

impl Beside {
    /// Starts it; what it says goes into a file of its name in `logs`.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(name: &str, command: &mut Command, logs: &Path) -> Result<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name: name.to_owned(), log, child })
    }

    /// Ends it as the kubelet ends a container.
    ///
    /// # Errors
    /// It does not end by itself.
    pub async fn stop(mut self) -> Result<()> {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM).with_context(|| format!("cannot end {}", self.name))?;
        }
        match tokio::time::timeout(GONE, self.child.wait()).await {
            Ok(ended) => ended.map(|_| ()).with_context(|| format!("the end of {}", self.name)),
            Err(_) => bail!("{} does not end by itself", self.name),
        }
    }

    /// The end of what it has said.
    pub fn log(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("{}:\n{}\n", self.name, lines[lines.len().saturating_sub(SHOWN)..].join("\n"))
    }
}

/// Deletes all definitions of these groups, and with them every object.
///
/// # Errors
/// They do not go.
pub async fn undefine(cluster: &Cluster, groups: &[&str]) -> Result<()> {
    const API: &str = "apiextensions.k8s.io/v1";
    const KIND: &str = "CustomResourceDefinition";
    let api = Controller::of(cluster);
    let theirs = async || {
        let all = api.list(API, KIND, "").await?;
        let of = |one: &Value| one["spec"]["group"].as_str().is_some_and(|group| groups.contains(&group));
        Ok::<_, anyhow::Error>(all.into_iter().filter(of).collect::<Vec<_>>())
    };
    for definition in theirs().await? {
        delete(&api, API, KIND, &definition).await?;
    }
    until("definitions to be gone", GONE, async || {
        let left = theirs().await?.len();
        ensure!(left == 0, "{left} of {groups:?} are there");
        Ok(())
    })
    .await
}

/// Deletes what a list has shown, where items do not say what they are.
pub(crate) async fn delete(api: &Controller, api_version: &str, kind: &str, item: &Value) -> Result<()> {
    let name = &item["metadata"]["name"];
    let object = json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": name}});
    api.delete(&object, "").await.map(|_| ())
}
