//! What a record looks like on the pod: the annotation, the condition, and the one patch that brings both there.

use k8s_openapi::api::core::v1::Pod;
use meshward_kit::events::bounded;
use meshward_mesh::{CONDITION, Phase, PodRecord, PodStatus, STATUS_ANNOTATION};
use serde_json::{Value, json};

/// istio-pod-network-controller's mark (its `pkg/handler/handler.go`), for what still waits for it.
const SEED_ANNOTATION: &str = "pod-network-controller.istio.io/status";
const SEED_VALUE: &str = "initialized";
/// A reason can list many problems; what a pod shows is read in a terminal.
const LONGEST: usize = 1024;

/// What a pod is to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Display {
    /// The annotation's value, as data.
    pub status: PodStatus,
    /// The condition's status: whether the rules are in force.
    pub redirected: bool,
    /// The condition's reason.
    pub reason: &'static str,
    /// The condition's message.
    pub message: String,
    /// Whether the seed's annotation is to be there; none: it is left alone.
    pub seed: Option<bool>,
}

/// What of ours a pod shows now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shown {
    /// The annotation; none when there is none, or it cannot be read.
    pub status: Option<PodStatus>,
    /// The condition: status, reason, message.
    pub condition: Option<(bool, String, String)>,
    /// Whether the seed's annotation is there.
    pub seed: bool,
}

impl Shown {
    /// Reads a pod.
    pub fn of(pod: &Pod) -> Self {
        let annotations = pod.metadata.annotations.as_ref();
        let annotation = |key| annotations.and_then(|all| all.get(key));
        let conditions = pod.status.iter().filter_map(|status| status.conditions.as_ref()).flatten();
        let condition = conditions.into_iter().find(|condition| condition.type_ == CONDITION);
        Self {
            status: annotation(STATUS_ANNOTATION).and_then(|text| serde_json::from_str(text).ok()),
            condition: condition.map(|condition| {
                let text = |value: &Option<String>| value.clone().unwrap_or_default();
                (condition.status == "True", text(&condition.reason), text(&condition.message))
            }),
            seed: annotation(SEED_ANNOTATION).is_some_and(|value| value == SEED_VALUE),
        }
    }

    /// Whether the pod shows nothing of ours.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Display {
    /// How `record` is shown; `seed` says whether the seed's annotation is kept up too.
    pub fn of(record: &PodRecord, seed: bool) -> Self {
        let redirected = record.phase == Phase::Redirected;
        let reason = bounded(&record.reason, LONGEST);
        Self {
            message: match record.phase {
                Phase::Redirected => in_force(record),
                Phase::Waiting | Phase::Nothing | Phase::Refused | Phase::Failed => reason.clone(),
            },
            status: PodStatus {
                phase: record.phase,
                reason,
                mesh: record.mesh.clone(),
                fingerprint: record.fingerprint.clone(),
                sandbox: record.sandbox.clone(),
                since: record.since.clone(),
            },
            redirected,
            reason: match record.phase {
                Phase::Waiting => "Waiting",
                Phase::Redirected => "Redirected",
                Phase::Nothing => "NotRedirected",
                Phase::Refused => "Refused",
                Phase::Failed => "Failed",
            },
            seed: seed.then_some(redirected),
        }
    }

    /// Whether a pod is to show anything at all: one that has nothing to do with a mesh, and never had, is left alone.
    pub fn is_worth(&self, shown: &Shown) -> bool {
        self.status.phase != Phase::Nothing || self.status.mesh.is_some() || !shown.is_empty()
    }

    /// Whether `shown` says the same. The time does not count: an agent that starts again and finds everything in
    /// force writes nothing.
    pub fn is_shown(&self, shown: &Shown) -> bool {
        let same = |status: &PodStatus| {
            PodStatus { since: self.status.since.clone(), ..status.clone() } == self.status
        };
        shown.status.as_ref().is_some_and(same)
            && shown.condition.as_ref().is_some_and(|(status, reason, message)| {
                (*status, reason.as_str(), message.as_str()) == (self.redirected, self.reason, &self.message)
            })
            && self.seed.is_none_or(|seed| seed == shown.seed)
    }

    /// What the pod shows once the patch is there.
    pub fn shown(&self, before: &Shown) -> Shown {
        Shown {
            status: Some(self.status.clone()),
            condition: Some((self.redirected, self.reason.to_string(), self.message.clone())),
            seed: self.seed.unwrap_or(before.seed),
        }
    }

    /// The patch: strategic, so that the other conditions stay; with the uid, so that a pod of the same name that was
    /// made since is not hit (the API server answers 409). `now` is RFC 3339.
    pub fn patch(&self, uid: &str, shown: &Shown, now: &str) -> Value {
        let status = serde_json::to_string(&self.status).unwrap_or_default();
        let mut annotations = json!({ STATUS_ANNOTATION: status });
        match self.seed {
            Some(true) => annotations[SEED_ANNOTATION] = SEED_VALUE.into(),
            // Only where it is: null for a key that is not there would still be a write.
            Some(false) if shown.seed => annotations[SEED_ANNOTATION] = Value::Null,
            _ => {}
        }
        let mut condition = json!({
            "type": CONDITION,
            "status": if self.redirected { "True" } else { "False" },
            "reason": self.reason,
            "message": self.message,
        });
        if shown.condition.as_ref().is_none_or(|(status, ..)| *status != self.redirected) {
            condition["lastTransitionTime"] = now.into();
        }
        json!({
            "metadata": { "uid": uid, "annotations": annotations },
            "status": { "conditions": [condition] },
        })
    }
}

/// What `kubectl describe pod` says of a pod whose rules are in force.
pub(super) fn in_force(record: &PodRecord) -> String {
    let mesh = record.mesh.as_deref().unwrap_or("mesh");
    let mut details = Vec::new();
    details.extend(record.backend.clone());
    if record.locked {
        details.push("locked".to_string());
    }
    details.extend(record.fingerprint.as_ref().map(|print| format!("fingerprint {print}")));
    let details = if details.is_empty() { String::new() } else { format!(" ({})", details.join(", ")) };
    let mut text = format!("{mesh} rules are in force and proven{details}");
    for warning in &record.warnings {
        text.push_str("; ");
        text.push_str(warning);
    }
    bounded(&text, LONGEST)
}
