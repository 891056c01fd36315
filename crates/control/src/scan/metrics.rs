//! How far the scan is, and what it costs.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;
type CountedSeconds = Counter<f64, std::sync::atomic::AtomicU64>;

/// Metrics of the scan. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    judged: Family<OfKind, Counter>,
    present: Family<OfKind, Gauge>,
    progress: Family<OfKind, Gauge>,
    lasted: Family<OfKind, Seconds>,
    finished: Family<OfKind, Seconds>,
    spent: CountedSeconds,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

impl Metrics {
    /// Metrics that are shown.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let of = |metrics: &Self| metrics.clone();
        let Self { judged, present, progress, lasted, finished, spent } = of(&metrics);
        registry.register("scan_objects", "Objects that the scan judged", judged);
        registry.register("scan_present", "Objects that there were at the end of the last pass", present);
        registry.register(
            "scan_progress",
            "Objects seen of the pass that goes on; 0 between passes",
            progress,
        );
        registry.register_with_unit("scan_pass", "How long the last pass took", Unit::Seconds, lasted);
        registry.register_with_unit(
            "scan_finished_timestamp",
            "When the last pass ended",
            Unit::Seconds,
            finished,
        );
        registry.register_with_unit(
            "scan_evaluation",
            "Processor time spent on judging",
            Unit::Seconds,
            spent,
        );
        metrics
    }

    pub(super) fn judged(&self, kind: &str, spent: Duration) {
        self.judged.get_or_create(&OfKind { kind: kind.to_owned() }).inc();
        self.spent.inc_by(spent.as_secs_f64());
    }

    pub(super) fn progress(&self, kind: &str, seen: usize) {
        let seen = i64::try_from(seen).unwrap_or(i64::MAX);
        self.progress.get_or_create(&OfKind { kind: kind.to_owned() }).set(seen);
    }

    pub(super) fn pass(&self, kind: &str, present: usize, took: Duration) {
        let kind = OfKind { kind: kind.to_owned() };
        self.present.get_or_create(&kind).set(i64::try_from(present).unwrap_or(i64::MAX));
        self.progress.get_or_create(&kind).set(0);
        self.lasted.get_or_create(&kind).set(took.as_secs_f64());
        let now = jiff::Timestamp::now().as_duration().as_secs_f64();
        self.finished.get_or_create(&kind).set(now);
    }

    pub(super) fn unfollowed(&self, kind: &str) {
        let kind = OfKind { kind: kind.to_owned() };
        self.present.remove(&kind);
        self.progress.remove(&kind);
        self.lasted.remove(&kind);
        self.finished.remove(&kind);
    }
}
