//! Which Events are written. Pure: the caller brings the time and does the writing.
//!
//! The same thing told again raises the count of the Event that is there; kube's own recorder would also keep the first
//! message when a later one says something else. What is new takes a token of its pod, and, unless it tells of a pod
//! that is not as it should be, one of the node.

use std::collections::HashMap;

use jiff::Timestamp;
use meshward_kit::bucket::Bucket;
use meshward_kit::events::{EventAction, EventPlan, LONGEST_NOTE, Severity, Teller, bounded};
use meshward_mesh::PodRecord;

use super::display::in_force;
use super::{Happened, Report};

/// Events of one pod: at once, and seconds until one more.
const OF_POD: (u32, f64) = (10, 30.0);
/// Events of the node: a hundred pods may start at once.
const OF_NODE: (u32, f64) = (200, 0.1);
/// What was told of which pod.
#[derive(Debug)]
pub struct EventPlanner {
    pods: HashMap<String, Told>,
    node: Bucket,
}

#[derive(Debug)]
struct Told {
    redirected: bool,
    teller: Teller,
}

impl EventPlanner {
    /// Nothing told yet.
    pub fn new(now: Timestamp) -> Self {
        Self { pods: HashMap::new(), node: Bucket::new(OF_NODE.0, OF_NODE.1, now) }
    }

    /// What to do about `report`; none when it is worth no Event.
    pub fn plan(&mut self, report: &Report, now: Timestamp) -> Option<EventAction> {
        let action = report.happened.as_ref().and_then(|happened| self.tell(&report.record, happened, now));
        if report.gone {
            self.pods.remove(&report.record.uid);
        }
        action
    }

    fn tell(&mut self, record: &PodRecord, happened: &Happened, now: Timestamp) -> Option<EventAction> {
        let told = self.pods.entry(record.uid.clone()).or_insert_with(|| Told {
            redirected: false,
            teller: Teller::new(Bucket::new(OF_POD.0, OF_POD.1, now)),
        });
        let event = event(record, happened, &mut told.redirected)?;
        let node = (!is_grave(happened)).then_some(&mut self.node);
        Some(told.teller.tell(event, &record.name, now, node))
    }
}

/// Of a pod that is not as it should be: never held back for the node's sake.
fn is_grave(happened: &Happened) -> bool {
    matches!(happened, Happened::Refused | Happened::Failed | Happened::Unredirected | Happened::GateTaken)
}

/// None for what is not worth an Event: later programming of a pod that was told as redirected, and adoption.
fn event(record: &PodRecord, happened: &Happened, redirected: &mut bool) -> Option<EventPlan> {
    use Severity::{Normal, Warning};
    let reason = &record.reason;
    if matches!(happened, Happened::Refused | Happened::Failed | Happened::Waits | Happened::Removed) {
        // That it is well again is news then.
        *redirected = false;
    }
    let (severity, name, action, note) = match happened {
        Happened::Programmed { took } => {
            if std::mem::replace(redirected, true) {
                return None;
            }
            let by =
                record.source.as_deref().map_or_else(String::new, |source| format!(", located by {source}"));
            let note = format!("{}; took {:.1} ms{by}", in_force(record), took.as_secs_f64() * 1e3);
            (Normal, "Redirected", "Program", note)
        }
        Happened::Adopted { .. } => {
            *redirected = true;
            return None;
        }
        Happened::Reconfigured { took } => {
            *redirected = true;
            let took = took.as_secs_f64() * 1e3;
            let note = format!(
                "the pod's settings changed, its rules were replaced in place in {took:.1} ms: {}",
                in_force(record)
            );
            (Normal, "RulesReconfigured", "Program", note)
        }
        Happened::Repaired { by, what } => {
            let by = by.as_deref().unwrap_or("somebody");
            let note = format!(
                "{by} changed the pod's rules; they are as they should be again. What differed: {what}"
            );
            (Warning, "RulesRepaired", "Repair", note)
        }
        Happened::Removed => {
            (Normal, "RulesRemoved", "Remove", format!("the pod's rules were removed: {reason}"))
        }
        Happened::Refused => {
            let note =
                format!("{reason}. Nothing was programmed; a pod with the wait container does not start");
            (Warning, "RedirectionRefused", "Plan", note)
        }
        Happened::Failed => {
            let note = format!(
                "{reason}. Tried again until it works; until then a pod with the wait container does not start"
            );
            (Warning, "RedirectionFailed", "Program", note)
        }
        Happened::Waits => {
            let note = format!("{reason}. Until then a pod with the wait container does not start");
            (Normal, "RedirectionWaiting", "Plan", note)
        }
        Happened::Unredirected => {
            let note = format!("containers run although the pod's traffic is not redirected: {reason}");
            (Warning, "Unredirected", "Watch", note)
        }
        Happened::GateTaken => {
            let note = format!(
                "something else in the pod holds the gate @meshward-ready, so the wait container does not believe it: {reason}"
            );
            (Warning, "GateTaken", "OpenGate", note)
        }
    };
    Some(EventPlan { severity, reason: name, action, note: bounded(&note, LONGEST_NOTE) })
}
