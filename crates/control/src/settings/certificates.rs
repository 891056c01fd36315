//! Settings of what TLS is served with.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::values::duration;

/// What TLS is served with: files that somebody else keeps, or certificates of our own in a Secret.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Certificates")]
pub struct Certificates {
    /// Certificate that somebody else renews, such as cert-manager (PEM); by default we make our own
    #[arg(long, env = "MESHWARD_TLS_CERT", requires = "tls_key", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, env = "MESHWARD_TLS_KEY", requires = "tls_cert", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Authorities by which the API server knows us (PEM); without it, those that its machine trusts
    #[arg(long, env = "MESHWARD_CA_FILE", requires = "tls_cert", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// How long certificates of our own are valid; they are renewed when a third is left
    #[arg(long, env = "MESHWARD_CERTIFICATE_LIFETIME", default_value = "90d", value_parser = duration, value_name = "TIME")]
    pub certificate_lifetime: Duration,
    /// How long our own authority is valid; it is replaced when a third is left
    #[arg(long, env = "MESHWARD_AUTHORITY_LIFETIME", default_value = "1095d", value_parser = duration, value_name = "TIME")]
    pub authority_lifetime: Duration,
    /// How long everybody may take to learn of a new authority or certificate before the next step is taken
    #[arg(long, env = "MESHWARD_CERTIFICATE_SETTLE", default_value = "5m", value_parser = duration, value_name = "TIME")]
    pub certificate_settle: Duration,
}
