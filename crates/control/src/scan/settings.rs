//! What is told about the scan at the start.

use std::time::Duration;

use clap::Args;

use crate::settings::duration;

/// The scan of objects that are there already.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Scan")]
pub struct ScanSettings {
    /// Look at the objects that are there already
    #[arg(long, env = "MESHWARD_SCAN", default_value_t = true, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub scan: bool,
    /// How often everything is looked at again, whatever has changed; the time varies by a tenth
    #[arg(long, env = "MESHWARD_SCAN_INTERVAL", default_value = "1h", value_parser = duration, value_name = "TIME")]
    pub scan_interval: Duration,
    /// How much of one processor evaluation may take, in percent
    #[arg(long, env = "MESHWARD_SCAN_CPU", default_value = "50", value_name = "PERCENT",
          value_parser = clap::value_parser!(u8).range(1..=100))]
    pub scan_cpu: u8,
}
