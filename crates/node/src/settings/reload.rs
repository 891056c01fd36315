//! The configuration file while the agent runs. Its bytes are polled: in a cluster the file is a ConfigMap, which the
//! kubelet changes by swapping a symlink, so that an inode watch would see nothing.
//!
//! ```text
//! bytes changed? ─► load ─► broken: the last good settings stay, condition `settings` fails
//!                      └──► good: reloadable values apply, the others are told to need a restart
//! ```

use std::sync::Arc;
use std::time::Duration;

use meshward_kit::admin::Condition;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::command::{Invocation, Started};
use super::value::Values;
use super::{Settings, SettingsError, check};

/// The kubelet itself takes up to a minute to bring a changed ConfigMap to the node.
const EVERY: Duration = Duration::from_secs(5);

/// The settings in force now, and a way to wait for the next change.
pub type SettingsFeed = watch::Receiver<Arc<Settings>>;

/// What a look at the file came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reloaded {
    /// The file is as it was.
    Same,
    /// It changed and is good.
    Applied {
        /// Settings that apply from now on.
        changed: Vec<&'static str>,
        /// Settings that need a restart.
        held_back: Vec<&'static str>,
    },
    /// It changed and cannot be used; nothing changes.
    Kept {
        /// Why.
        reason: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// Follows the configuration file.
#[derive(Debug)]
pub struct Reloader {
    invocation: Invocation,
    /// What was looked at last, good or not; none when it could not be read.
    seen: Option<Vec<u8>>,
    values: watch::Sender<Arc<Values>>,
    settings: watch::Sender<Arc<Settings>>,
    reloads: Family<Outcome, Counter>,
}

impl Reloader {
    /// Starts from settings that were loaded by `invocation`.
    pub fn new(invocation: Invocation, started: Started) -> Self {
        Self {
            invocation,
            seen: started.file,
            values: watch::Sender::new(Arc::new(started.values)),
            settings: watch::Sender::new(Arc::new(started.settings)),
            reloads: Family::default(),
        }
    }

    /// The settings, now and later.
    pub fn feed(&self) -> SettingsFeed {
        self.settings.subscribe()
    }

    /// Texts and origins, now and later.
    pub fn values(&self) -> watch::Receiver<Arc<Values>> {
        self.values.subscribe()
    }

    /// Adds its metric.
    pub fn register(&self, metrics: &mut Registry) {
        metrics.register(
            "settings_reloads",
            "Changes of the configuration file that were seen, by outcome",
            self.reloads.clone(),
        );
    }

    /// Looks at the file once.
    pub fn poll(&mut self) -> Reloaded {
        let Some(path) = self.invocation.config() else { return Reloaded::Same };
        let bytes = std::fs::read(path).ok();
        if bytes == self.seen {
            return Reloaded::Same;
        }
        let loaded = self.invocation.load();
        self.seen = bytes;
        let applied = match loaded {
            Ok(started) => self.apply(&started.values).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        let outcome = if applied.is_ok() { "applied" } else { "kept" };
        self.reloads.get_or_create(&Outcome { outcome }).inc();
        applied.unwrap_or_else(|reason| Reloaded::Kept { reason })
    }

    fn apply(&self, newer: &Values) -> Result<Reloaded, SettingsError> {
        let old = self.values.borrow().clone();
        let (merged, held_back) = old.reloaded(newer);
        let mut problems = Vec::new();
        let settings = check::settings(&merged, &mut problems).filter(|_| problems.is_empty());
        let Some(settings) = settings else { return Err(SettingsError { problems }) };
        let changed = merged
            .0
            .iter()
            .filter(|(name, given)| old.get(name).map(|old| &old.text) != Some(&given.text))
            .map(|(name, _)| *name)
            .collect();
        self.values.send_replace(Arc::new(merged));
        self.settings.send_if_modified(|current| {
            let news = **current != settings;
            if news {
                *current = Arc::new(settings);
            }
            news
        });
        Ok(Reloaded::Applied { changed, held_back })
    }

    /// Looks every few seconds until `token` is cancelled; `condition` tells of a file that cannot be used.
    pub async fn run(mut self, condition: Condition, token: CancellationToken) {
        while token.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
            match self.poll() {
                Reloaded::Same => {}
                Reloaded::Applied { changed, held_back } => {
                    condition.hold();
                    tracing::info!(applied = ?changed, "configuration file reloaded");
                    if !held_back.is_empty() {
                        tracing::warn!(settings = ?held_back, "changed settings that need a restart; the old ones stay");
                    }
                }
                Reloaded::Kept { reason } => {
                    tracing::error!(reason, "configuration file cannot be used; the last good settings stay");
                    condition.fail(format!(
                        "the configuration file cannot be used, the last good settings stay: {reason}"
                    ));
                }
            }
        }
    }
}
