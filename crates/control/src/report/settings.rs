//! What is told about reports at the start.

use clap::Args;

use super::api::Form;
use super::content::Bounds;

/// Reports about the objects of the cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reports")]
pub struct ReportSettings {
    /// Which reports are written
    #[arg(long, env = "MESHWARD_REPORTS", default_value = "policyreport", value_enum)]
    pub reports: Form,
    /// Reports written in a second, at most; more wait
    #[arg(long, env = "MESHWARD_REPORT_RATE", default_value = "50", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub report_rate: u32,
    /// Results in one report, at most; passed and skipped ones are left out first, and the report says how many
    #[arg(long, env = "MESHWARD_REPORT_RESULTS", default_value = "200", value_name = "N",
          value_parser = clap::value_parser!(u32).range(1..=5_000))]
    pub report_results: u32,
}

impl ReportSettings {
    /// How large a report may become.
    pub fn bounds(&self) -> Bounds {
        let results = usize::try_from(self.report_results).unwrap_or(usize::MAX);
        Bounds { results, ..Bounds::default() }
    }
}
