//! The named conditions behind `/readyz`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// All conditions of a daemon. Clones share one state.
#[derive(Debug, Clone)]
pub struct Readiness(Arc<watch::Sender<BTreeMap<&'static str, ConditionState>>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct ConditionState {
    required: bool,
    /// It is required until it has held once.
    at_first: bool,
    /// None when the condition holds.
    missing: Option<String>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(BTreeMap::new())))
    }
}

impl Readiness {
    /// Without conditions it is ready: name every condition before the server starts.
    pub fn new() -> Self {
        Self::default()
    }

    /// A condition without which the daemon is not ready. It does not hold until it is told to; `reason` says what is
    /// being waited for.
    pub fn require(&self, name: &'static str, reason: &str) -> Condition {
        self.add(name, true, false, Some(reason.to_string()))
    }

    /// A condition without which the daemon does not become ready; once it has held, it is only told when it fails. For
    /// what the daemon can do without for a while: webhooks that went unready with every pause of the API server would
    /// refuse its first requests after it.
    pub fn require_at_first(&self, name: &'static str, reason: &str) -> Condition {
        self.add(name, true, true, Some(reason.to_string()))
    }

    /// A condition that is told when it fails and does not end readiness: an agent that cannot write Events still
    /// programs pods. It holds until it is told not to.
    pub fn advise(&self, name: &'static str) -> Condition {
        self.add(name, false, false, None)
    }

    fn add(&self, name: &'static str, required: bool, at_first: bool, missing: Option<String>) -> Condition {
        self.0.send_modify(|all| {
            all.insert(name, ConditionState { required, at_first, missing });
        });
        Condition { readiness: self.clone(), name }
    }

    /// Everything as it is now.
    pub fn report(&self) -> ReadinessReport {
        let all = self.0.borrow();
        let conditions: Vec<ConditionReport> = all
            .iter()
            .map(|(name, state)| ConditionReport {
                name: (*name).to_string(),
                required: state.required,
                holds: state.missing.is_none(),
                reason: state.missing.clone().unwrap_or_default(),
            })
            .collect();
        let ready = conditions.iter().all(|condition| condition.holds || !condition.required);
        ReadinessReport { ready, conditions }
    }

    /// Waits until the conditions of these names hold, all at one time.
    pub async fn wait_for_all(&self, names: &[&str]) {
        let mut changes = self.0.subscribe();
        let holds = |all: &BTreeMap<&'static str, ConditionState>, name: &str| {
            all.get(name).is_some_and(|state| state.missing.is_none())
        };
        // The sender lives as long as `self`, so this cannot fail.
        let _ = changes.wait_for(|all| names.iter().all(|name| holds(all, name))).await;
    }

    /// Waits until the answer to "ready?" is `ready`.
    pub async fn wait_for(&self, ready: bool) {
        let mut changes = self.0.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _ = changes
            .wait_for(|all| all.values().all(|state| !state.required || state.missing.is_none()) == ready)
            .await;
    }
}

/// `meshward_condition{name, required}`: 1 while it holds, for alerts on what `/readyz` says.
impl Collector for Readiness {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Conditions of the daemon: 1 while one holds";
        let mut family = encoder.encode_descriptor("condition", help, None, MetricType::Gauge)?;
        for condition in self.report().conditions {
            let required = if condition.required { "true" } else { "false" };
            let labels = [("name", condition.name.as_str()), ("required", required)];
            let gauge = ConstGauge::new(i64::from(condition.holds));
            gauge.encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// One condition, in the hands of whoever knows whether it holds.
#[derive(Debug, Clone)]
pub struct Condition {
    readiness: Readiness,
    name: &'static str,
}

impl Condition {
    /// It holds. True when that is news.
    pub fn hold(&self) -> bool {
        self.set(None)
    }

    /// It does not hold, and why. True when that is news.
    pub fn fail(&self, reason: impl Into<String>) -> bool {
        // One line each: `/readyz` and tables list conditions below each other.
        let words: Vec<String> = reason
            .into()
            .lines()
            .map(|line| line.trim().to_string())
            .filter(|line| !line.is_empty())
            .collect();
        self.set(Some(words.join("; ")))
    }

    fn set(&self, missing: Option<String>) -> bool {
        self.readiness.0.send_if_modified(|all| {
            let Some(state) = all.get_mut(self.name) else { return false };
            let news = state.missing != missing;
            state.required &= !(state.at_first && missing.is_none());
            state.missing = missing;
            news
        })
    }
}

/// The answer of `/readyz`: text for people, and a value for the admin socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessReport {
    /// Whether every required condition holds.
    pub ready: bool,
    /// All conditions by name.
    pub conditions: Vec<ConditionReport>,
}

/// One condition of a [`ReadinessReport`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionReport {
    /// Its name.
    pub name: String,
    /// Whether readiness needs it.
    pub required: bool,
    /// Whether it holds.
    pub holds: bool,
    /// Why it does not hold; empty when it does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

impl fmt::Display for ReadinessReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", if self.ready { "ready" } else { "not ready" })?;
        for condition in self.conditions.iter().filter(|condition| !condition.holds) {
            let mark = if condition.required { "missing" } else { "warning" };
            writeln!(f, "{mark} {}: {}", condition.name, condition.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_required_at_first_ends_readiness_no_more() {
        let readiness = Readiness::new();
        let listed = readiness.require_at_first("pods", "the first list has not come yet");
        assert!(!readiness.report().ready);
        listed.fail("the API server is away");
        assert!(!readiness.report().ready);
        listed.hold();
        readiness.wait_for_all(&["pods"]).await;
        listed.fail("the API server is away");
        assert_eq!(readiness.report().to_string(), "ready\nwarning pods: the API server is away\n");
    }

    #[tokio::test]
    async fn ready_when_all_that_is_required_holds() {
        let readiness = Readiness::new();
        let locator = readiness.require("locator", "no runtime socket was found yet");
        let pods = readiness.require("pods", "the first list has not come yet");
        let events = readiness.advise("events");
        assert!(!readiness.report().ready);
        assert!(locator.hold());
        assert!(!locator.hold(), "holding twice is no news");
        assert!(!readiness.report().ready);
        pods.hold();
        events.fail("denied");
        readiness.wait_for(true).await;
        assert_eq!(readiness.report().to_string(), "ready\nwarning events: denied\n");
        locator.fail("containerd went away");
        readiness.wait_for(false).await;
        assert_eq!(
            readiness.report().to_string(),
            "not ready\nwarning events: denied\nmissing locator: containerd went away\n"
        );
    }
}
