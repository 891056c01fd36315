//! What is counted about Events.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

/// Metrics of Events. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Family<Outcome, Counter>);

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    reason: &'static str,
    outcome: &'static str,
}

impl Metrics {
    /// Metrics that are shown.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Events by what became of them: written, held (counted up later), dropped, denied, ...";
        registry.register("events", help, metrics.0.clone());
        metrics
    }

    pub(super) fn event(&self, reason: &'static str, outcome: &'static str) {
        self.0.get_or_create(&Outcome { reason, outcome }).inc();
    }
}
