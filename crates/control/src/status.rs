//! The status of what is in force: whether it was read, what it is good for, what of it nobody needs. Written by the
//! leader alone, only where something changed, and of one object at most every few seconds.
//!
//! ```text
//! Snapshot, Uses, Answers ─► Wish (what it depends on, hashed) ─ another than written? ─► read ─► computed ─ another? ─► patch
//! ```

mod exemptions;
mod policies;
mod spec;

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use meshward_kit::admin::Condition;
use meshward_kit::client::{Kind, RequestError};
use meshward_kit::watch::{Loose, resource};
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::hooks::Answers;
use crate::live::{Live, LoadedPolicy, Origin, Snapshot};
use crate::scan::{Saved, Uses, next_expiry, now};

pub use exemptions::{Facts, exemption};
pub use policies::{Verdict, policy};
pub use spec::{Condition as StatusCondition, ExemptionStatus};

/// The least time between two looks, and so between two writes of one object.
const QUIET: Duration = Duration::from_secs(3);
/// The longest: what failed is tried again then.
const LOOK: Duration = Duration::from_secs(60);
/// Between two requests, so that five hundred policies at the start are no flood.
const BETWEEN: Duration = Duration::from_millis(10);
/// How long nothing is tried after the API server said that we may not.
const DENIED: Duration = Duration::from_secs(300);
/// Our name as a writer of fields.
const MANAGER: &str = "meshward-control-status";

/// Status.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Status")]
pub struct StatusSettings {
    /// Write the status of Kyverno's policies; not while Kyverno itself does
    #[arg(long, env = "MESHWARD_KYVERNO_STATUS", default_value_t = true, action = clap::ArgAction::Set,
          value_name = "BOOL")]
    pub kyverno_status: bool,
}

/// Keeps status.
pub struct Status {
    client: Client,
    live: Live,
    settings: StatusSettings,
    uses: Arc<Mutex<Uses>>,
    used: Arc<Notify>,
    answers: watch::Receiver<Answers>,
    shown: Condition,
    /// What was written last, hashed, by kind and name.
    written: HashMap<String, u64>,
    closed_until: Option<Instant>,
}

/// What the status of an object depends on.
struct Wish {
    origin: Arc<Origin>,
    plural: &'static str,
    about: About,
}

enum About {
    Policy(Verdict),
    Exemption(Box<Facts>),
}

impl Wish {
    fn key(&self) -> String {
        format!("{} {}", self.plural, self.origin.key())
    }

    fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        (&self.origin.uid, self.origin.generation).hash(&mut hasher);
        match &self.about {
            About::Policy(verdict) => verdict.hash(&mut hasher),
            About::Exemption(facts) => facts.hash(&mut hasher),
        }
        hasher.finish()
    }

    /// The status that the object should have, and what that was computed from.
    fn status(&self, object: &Value) -> Value {
        let at = Timestamp::now();
        match &self.about {
            About::Policy(verdict) => policy(object, verdict, at),
            About::Exemption(facts) => exemption(object, facts, at),
        }
    }
}

impl Status {
    /// Status of what is in force. `used` is told when what exemptions are good for may have changed, `answers` are the
    /// API server's about match conditions.
    pub fn new(
        client: Client,
        live: Live,
        settings: StatusSettings,
        uses: Arc<Mutex<Uses>>,
        used: Arc<Notify>,
        answers: watch::Receiver<Answers>,
        shown: Condition,
    ) -> Self {
        let (written, closed_until) = (HashMap::new(), None);
        Self { client, live, settings, uses, used, answers, shown, written, closed_until }
    }

    /// Works until it is dropped. What is in force must have been read.
    pub async fn run(mut self) {
        let mut changes = self.live.changes();
        loop {
            let snapshot = self.live.snapshot();
            changes.mark_unchanged();
            self.answers.mark_unchanged();
            self.look(&snapshot).await;
            let expiry = next_expiry(&snapshot).unwrap_or(LOOK).min(LOOK);
            tokio::time::sleep(QUIET).await;
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                Ok(()) = self.answers.changed() => {}
                () = self.used.notified() => {}
                () = tokio::time::sleep(expiry.saturating_sub(QUIET)) => {}
            }
        }
    }

    async fn look(&mut self, snapshot: &Snapshot) {
        if self.closed_until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let wishes = self.wishes(snapshot);
        let keys: HashSet<String> = wishes.iter().map(Wish::key).collect();
        self.written.retain(|key, _| keys.contains(key));
        let mut failed = None;
        for wish in wishes {
            let (key, hash) = (wish.key(), wish.hash());
            if self.written.get(&key) == Some(&hash) {
                continue;
            }
            match self.bring(&wish).await {
                Ok(()) => drop(self.written.insert(key, hash)),
                Err(error) if error.kind() == Kind::Denied => {
                    self.closed_until = Some(Instant::now() + DENIED);
                    failed = Some(error.to_string());
                    break;
                }
                // The next look tries again.
                Err(error) => failed = Some(error.to_string()),
            }
            tokio::time::sleep(BETWEEN).await;
        }
        match failed {
            None => drop(self.shown.hold()),
            Some(error) => {
                if self.shown.fail(format!("status is not written: {error}")) {
                    tracing::warn!("status is not written: {error}; trying again");
                }
            }
        }
    }

    fn wishes(&self, snapshot: &Snapshot) -> Vec<Wish> {
        let mut all = Vec::new();
        if self.settings.kyverno_status {
            policies(snapshot, &self.answers.borrow(), &mut all);
        }
        let saved = {
            let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            let known = |origin: &Origin| uses.is_complete(origin);
            let complete: HashSet<String> = snapshot
                .exemptions
                .entries()
                .filter(|entry| known(&entry.origin))
                .map(|entry| entry.origin.uid.clone())
                .collect();
            (uses.saved(), complete)
        };
        exemptions(snapshot, &saved.0, &saved.1, &mut all);
        all
    }

    async fn bring(&self, wish: &Wish) -> Result<(), RequestError> {
        let origin = &wish.origin;
        let (group, version) = origin.api_version.split_once('/').unwrap_or(("", &origin.api_version));
        let resource = resource(group, version, &origin.kind, wish.plural);
        let api: Api<Loose> = if origin.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &origin.namespace, &resource)
        };
        let of = |verb: &str| RequestError::of(format!("{verb} {} {}", origin.kind, origin.key()));
        let Some(found) = api.get_opt(&origin.name).await.map_err(of("read"))? else { return Ok(()) };
        let text = |pointer| found.value.pointer(pointer).and_then(Value::as_str);
        let generation = found.value.pointer("/metadata/generation").and_then(Value::as_i64);
        // A newer version of it is on its way to the snapshot.
        if text("/metadata/uid") != Some(&origin.uid) || generation.unwrap_or_default() != origin.generation {
            return Ok(());
        }
        let status = wish.status(&found.value);
        if found.value.get("status").is_some_and(|before| has(before, &status)) {
            return Ok(());
        }
        let version = text("/metadata/resourceVersion");
        let patch = json!({"metadata": {"resourceVersion": version}, "status": status});
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        match api.patch_status(&origin.name, &params, &Patch::Merge(&patch)).await {
            Ok(_) => Ok(()),
            Err(error) => match meshward_kit::client::kind(&error) {
                Kind::Gone => Ok(()),
                _ => Err(of("write the status of")(error)),
            },
        }
    }
}

/// Whether a status says all that it should; null stands for what should not be there.
fn has(before: &Value, wanted: &Value) -> bool {
    match (before, wanted) {
        (Value::Object(before), Value::Object(wanted)) => {
            wanted.iter().all(|(name, value)| match before.get(name) {
                Some(found) => has(found, value),
                None => value.is_null(),
            })
        }
        (before, wanted) => before == wanted,
    }
}

fn policies(snapshot: &Snapshot, answers: &Answers, all: &mut Vec<Wish>) {
    let plural = |origin: &Origin| if origin.kind == "Policy" { "policies" } else { "clusterpolicies" };
    let broken: HashSet<String> = snapshot.policies.broken().map(|broken| broken.origin.key()).collect();
    for loaded in snapshot.policies.iter().filter(|loaded| !broken.contains(&loaded.origin.key())) {
        // It would be ready for a moment, and then not.
        let Some(verdict) = verdict(loaded, answers) else { continue };
        let about = About::Policy(verdict);
        all.push(Wish { plural: plural(&loaded.origin), origin: loaded.origin.clone(), about });
    }
    for broken in snapshot.policies.broken() {
        let errors = broken.errors.iter().map(ToString::to_string).collect();
        let about = About::Policy(Verdict { errors, earlier: broken.earlier, ..Verdict::default() });
        all.push(Wish { plural: plural(&broken.origin), origin: broken.origin.clone(), about });
    }
}

/// What is known of a policy that was read; `None` while the API server has not seen its match conditions.
fn verdict(loaded: &LoadedPolicy, answers: &Answers) -> Option<Verdict> {
    let unsupported = loaded.policy.unsupported().iter();
    let unsupported = unsupported.map(|one| format!("{} ({})", one.rule, one.what)).collect();
    // The conditions of one that no request is sent for are nobody's.
    let conditions = loaded.group.conditions.filter(|_| loaded.policy.settings().admission);
    let refused = conditions.map_or(Some(&[][..]), |conditions| answers.of(conditions))?.to_vec();
    Some(Verdict { refused, unsupported, ..Verdict::default() })
}

fn exemptions(
    snapshot: &Snapshot,
    saved: &HashMap<(String, i64), Saved>,
    complete: &HashSet<String>,
    all: &mut Vec<Wish>,
) {
    let Some(now) = now() else { return };
    for entry in snapshot.exemptions.entries() {
        let origin = entry.origin.clone();
        let plural = match origin.kind.as_str() {
            "Exemption" => "exemptions",
            "ClusterExemption" => "clusterexemptions",
            _ => "meshpresets",
        };
        let expires = entry.value.as_ref().and_then(|value| value.expires());
        let known = complete.contains(&origin.uid);
        let facts = Facts {
            errors: entry.errors.clone(),
            earlier: entry.value.is_some() && !entry.errors.is_empty(),
            expires: expires.is_some(),
            expired: entry.value.as_ref().is_some_and(|value| value.expired(now)),
            saved: known
                .then(|| saved.get(&(origin.uid.clone(), origin.generation)).cloned().unwrap_or_default()),
        };
        all.push(Wish { origin, plural, about: About::Exemption(Box::new(facts)) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::Fault;
    use crate::live::Granting;

    fn policy(admission: bool) -> Value {
        json!({
            "apiVersion": "kyverno.io/v1", "kind": "ClusterPolicy", "metadata": {"name": "p"},
            "spec": {
                "admission": admission,
                "webhookConfiguration": {"matchConditions": [{"name": "a", "expression": "true"}]},
                "rules": [{"name": "r", "match": {"any": [{"resources": {"kinds": ["Pod"]}}]}, "validate": {"deny": {}}}],
            },
        })
    }

    fn ready(snapshot: &Snapshot, answers: &Answers) -> Option<bool> {
        let mut all = Vec::new();
        policies(snapshot, answers, &mut all);
        all.pop()?.status(&policy(true))["ready"].as_bool()
    }

    #[test]
    fn a_policy_is_ready_when_the_api_server_took_its_match_conditions() {
        let [asked, unasked] =
            [true, false].map(|admission| Snapshot::of([&policy(admission)], &Granting::default()));
        let number = asked.policies.iter().find_map(|loaded| loaded.group.conditions).unwrap();
        let unknown = Answers::default();
        let taken = Answers { given: [number].into(), ..Answers::default() };
        let fault = Fault { field: "f".into(), message: "m".into() };
        let refused = Answers { refused: [(number, vec![fault])].into(), ..taken.clone() };
        let told = [&unknown, &taken, &refused].map(|answers| ready(&asked, answers));
        assert_eq!(told, [None, Some(true), Some(false)]);
        assert_eq!(ready(&unasked, &unknown), Some(true), "no webhook has them");
    }
}
