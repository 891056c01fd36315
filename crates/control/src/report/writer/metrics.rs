//! What is counted about reports.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// Metrics of the writer. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    writes: Family<Outcome, Counter>,
    waiting: Gauge,
    reports: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Metrics {
    /// Metrics that are shown.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register(
            "report_writes",
            "What became of the results of an object: unchanged, written, deleted, dropped, ...",
            metrics.writes.clone(),
        );
        registry.register("reports_waiting", "Reports that wait to be written", metrics.waiting.clone());
        registry.register("reports", "Reports of ours that there are", metrics.reports.clone());
        metrics
    }

    pub(crate) fn write(&self, outcome: &'static str) {
        self.writes.get_or_create(&Outcome { outcome }).inc();
    }

    pub(super) fn waiting(&self, waiting: usize, reports: usize) {
        self.waiting.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.reports.set(i64::try_from(reports).unwrap_or(i64::MAX));
    }
}
