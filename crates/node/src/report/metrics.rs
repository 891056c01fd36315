//! The agent's metrics. Labels take their values from fixed sets only: a pod's author must not be able to make series.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use meshward_mesh::Phase;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::{Happened, Report};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct How {
    backend: String,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Done {
    outcome: &'static str,
    backend: String,
    source: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct InPhase {
    phase: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct By {
    by: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Incident {
    incident: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
    outcome: &'static str,
}

type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;

/// The agent's metrics; every method counts something.
#[derive(Debug)]
pub struct Metrics {
    duration: Histograms<How>,
    adoption: Histogram,
    programs: Family<Done, Counter>,
    pods: Family<InPhase, Gauge>,
    repairs: Family<By, Counter>,
    incidents: Family<Incident, Counter>,
    gate: Histogram,
    events: Family<Reason, Counter>,
    patches: Family<Outcome, Counter>,
    pending: Gauge,
    /// The phase of each pod, to take it from the right gauge.
    phases: Mutex<HashMap<String, Phase>>,
}

/// 0.1 ms to 1.6 s: an nft commit takes a third of a millisecond, the iptables programs some milliseconds.
fn work() -> Histogram {
    Histogram::new(exponential_buckets(1e-4, 2.0, 15))
}

/// Not at all, then 1 ms to 262 s: what a wait container waited, up to its time limit.
fn wait() -> Histogram {
    Histogram::new(std::iter::once(0.0).chain(exponential_buckets(1e-3, 4.0, 10)))
}

impl Metrics {
    /// Registers all in `registry`, whose prefix is `meshward`.
    pub fn register(registry: &mut Registry, version: &str) -> Self {
        let metrics = Self {
            duration: Family::new_with_constructor(work),
            adoption: work(),
            programs: Family::default(),
            pods: Family::default(),
            repairs: Family::default(),
            incidents: Family::default(),
            gate: wait(),
            events: Family::default(),
            patches: Family::default(),
            pending: Gauge::default(),
            phases: Mutex::default(),
        };
        let version = vec![("version".to_string(), version.to_string())];
        registry.register("build", "The agent that runs", Info::new(version));
        registry.register_with_unit(
            "program_duration",
            "Time to put a pod's rules in force, from entering its network namespace to the proof",
            Unit::Seconds,
            metrics.duration.clone(),
        );
        registry.register_with_unit(
            "adoption_duration",
            "Time to find a pod's rules in force, without writing",
            Unit::Seconds,
            metrics.adoption.clone(),
        );
        registry.register("programs", "What was done to pods' rules", metrics.programs.clone());
        registry.register("pods", "Pods of the node by phase", metrics.pods.clone());
        registry.register(
            "drift_repairs",
            "Foreign changes of rules that were put right, by whether it is known who made them",
            metrics.repairs.clone(),
        );
        registry.register(
            "incidents",
            "Pods that ran without their rules (unredirected), and gates that something else in the pod held (gate-taken)",
            metrics.incidents.clone(),
        );
        registry.register_with_unit(
            "gate_wait",
            "Time that wait containers waited at the gate",
            Unit::Seconds,
            metrics.gate.clone(),
        );
        registry.register("events", "Events by reason and what became of them", metrics.events.clone());
        registry.register("status_patches", "Writes of pods' status by outcome", metrics.patches.clone());
        registry.register("status_pending", "Pods whose status waits to be written", metrics.pending.clone());
        for phase in Phase::ALL {
            metrics.pods.get_or_create(&InPhase { phase: phase.name() }).set(0);
        }
        // From the start, so that a rate over them is not blind to the first one.
        for incident in ["unredirected", "gate-taken"] {
            metrics.incidents.get_or_create(&Incident { incident }).inc_by(0);
        }
        for by in ["process", "unknown"] {
            metrics.repairs.get_or_create(&By { by }).inc_by(0);
        }
        metrics
    }

    /// Counts one report.
    pub fn observe(&self, report: &Report) {
        self.phase(report);
        let Some(happened) = &report.happened else { return };
        let record = &report.record;
        let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".into());
        let how = How { backend: word(&record.backend), source: word(&record.source) };
        let outcome = match happened {
            Happened::Programmed { took } | Happened::Reconfigured { took } => {
                self.duration.get_or_create(&how).observe(took.as_secs_f64());
                if matches!(happened, Happened::Programmed { .. }) { "programmed" } else { "reconfigured" }
            }
            Happened::Adopted { took } => {
                self.adoption.observe(took.as_secs_f64());
                "adopted"
            }
            Happened::Repaired { by, .. } => {
                let by = if by.is_some() { "process" } else { "unknown" };
                self.repairs.get_or_create(&By { by }).inc();
                "repaired"
            }
            Happened::Removed => "removed",
            Happened::Refused => "refused",
            Happened::Failed => "failed",
            // A gauge counts those that wait.
            Happened::Waits => return,
            Happened::Unredirected => return self.incident("unredirected"),
            Happened::GateTaken => return self.incident("gate-taken"),
        };
        self.programs.get_or_create(&Done { outcome, backend: how.backend, source: how.source }).inc();
    }

    fn incident(&self, incident: &'static str) {
        self.incidents.get_or_create(&Incident { incident }).inc();
    }

    fn phase(&self, report: &Report) {
        let mut phases = self.phases.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = &report.record.uid;
        let before =
            if report.gone { phases.remove(uid) } else { phases.insert(uid.clone(), report.record.phase) };
        if let Some(phase) = before {
            self.pods.get_or_create(&InPhase { phase: phase.name() }).dec();
        }
        if !report.gone {
            self.pods.get_or_create(&InPhase { phase: report.record.phase.name() }).inc();
        }
    }

    /// A wait container was let through after `waited`.
    pub fn gate_opened(&self, waited: Duration) {
        self.gate.observe(waited.as_secs_f64());
    }

    pub(super) fn event(&self, reason: &'static str, outcome: &'static str) {
        self.events.get_or_create(&Reason { reason, outcome }).inc();
    }

    pub(super) fn patch(&self, outcome: &'static str) {
        self.patches.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn pending(&self, count: usize) {
        self.pending.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
