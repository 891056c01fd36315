//! The status of an exemption or preset. Pure.

use std::hash::{Hash, Hasher};

use jiff::Timestamp;
use meshward_policy::exemption::ExemptionSpec;
use meshward_policy::lint::wider_than;
use serde_json::Value;

use super::spec::{Condition, ExemptionStatus};
use crate::scan::Saved;

/// What of a list is told; the rest follows when these are taken out.
const LISTED: usize = 50;

/// What is known of an exemption.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// What is wrong with its present version.
    pub errors: Vec<String>,
    /// An earlier version stays in force.
    pub earlier: bool,
    /// Whether it can expire.
    pub expires: bool,
    /// Whether it has no effect any more.
    pub expired: bool,
    /// What it is good for, if every pod was judged with this version of it.
    pub saved: Option<Saved>,
}

impl Hash for Facts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.errors, self.earlier, self.expired).hash(state);
        if let Some(saved) = &self.saved {
            (saved.pods, saved.newest, &saved.needed).hash(state);
        }
    }
}

/// The status of an exemption as the API server has it.
pub fn exemption(object: &Value, facts: &Facts, at: Timestamp) -> Value {
    let condition =
        |kind, status, reason, message: String| Condition::new(kind, status, reason, message, object, at);
    let (ready, reason, message) = match facts {
        Facts { errors, earlier, .. } if !errors.is_empty() => {
            let earlier = if *earlier { "; an earlier version stays in force" } else { "" };
            (false, "Invalid", format!("{}{earlier}", errors.join("; ")))
        }
        Facts { expired: true, .. } => {
            (false, "Expired", "it has expired and has no effect any more".to_owned())
        }
        _ => (true, "InForce", "it was read and is in force".to_owned()),
    };
    let mut conditions = vec![condition("Ready", ready, reason, message)];
    if facts.expires {
        let expires = object.pointer("/spec/expires").and_then(Value::as_str).unwrap_or_default();
        let (reason, word) = if facts.expired { ("Expired", "expired") } else { ("NotYet", "expires") };
        conditions.push(condition("Expired", facts.expired, reason, format!("{word} at {expires}")));
    }
    let mut status = ExemptionStatus {
        observed_generation: object
            .pointer("/metadata/generation")
            .and_then(Value::as_i64)
            .unwrap_or_default(),
        conditions,
        expired: facts.expired,
        ..ExemptionStatus::default()
    };
    if let Some(saved) = facts.saved.as_ref().filter(|_| facts.errors.is_empty()) {
        status.pods_saved = Some(saved.pods);
        status.last_used = last_used(object, saved);
        // Of an expired one nothing is needed, which says nothing.
        if !facts.expired {
            let (idle, wide) = needs(object, saved);
            (status.no_longer_needed, status.over_broad) = (Some(idle), Some(wide));
        }
    }
    // Texts, numbers and lists can always be written.
    serde_json::to_value(status).unwrap_or_default()
}

/// It never goes back: the newest pod may be gone.
fn last_used(object: &Value, saved: &Saved) -> Option<String> {
    let before = object.pointer("/status/lastUsed").and_then(Value::as_str);
    let before = before.and_then(|text| text.parse::<Timestamp>().ok());
    let newest = Timestamp::from_second(saved.newest).ok().filter(|_| saved.newest > 0);
    Some(before.max(newest)?.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

/// The parts that no pod needs, and those that are wider than any needs.
fn needs(object: &Value, saved: &Saved) -> (Vec<String>, Vec<String>) {
    let (mut idle, mut wide) = (Vec::new(), Vec::new());
    let spec = object.get("spec").cloned().unwrap_or_default();
    let Ok(spec) = serde_json::from_value::<ExemptionSpec>(spec) else {
        // A preset, which is needed or not as a whole.
        if saved.pods == 0 {
            idle.push("spec.preset".to_owned());
        }
        return (idle, wide);
    };
    for (number, entry) in spec.entries.iter().enumerate() {
        for (index, allow) in entry.allow.iter().enumerate() {
            let path = format!("spec.entries[{number}].allow[{index}]");
            match saved.needed.get(&(number, index)) {
                None => idle.push(format!("{path}: {}", allow.control)),
                Some(needed) => wide.extend(wider_than(allow, needed).map(|told| format!("{path}: {told}"))),
            }
        }
    }
    idle.truncate(LISTED);
    wide.truncate(LISTED);
    (idle, wide)
}
