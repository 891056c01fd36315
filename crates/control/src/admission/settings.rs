//! What admission is told at its start.

use std::path::{Path, PathBuf};

use clap::Args;
use meshward_manifest::{Documents, Options};
use meshward_policy::psa::{Configuration, InvalidConfiguration};

/// What admission is told.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Admission")]
pub struct AdmissionSettings {
    /// File with a PodSecurityConfiguration, or an AdmissionConfiguration that has one: defaults for namespaces without
    /// labels, and exempt users, namespaces and runtime classes
    #[arg(long, env = "MESHWARD_POD_SECURITY_CONFIG", value_name = "FILE")]
    pub pod_security_config: Option<PathBuf>,
    /// Count under the names of Kyverno's and Pod Security Admission's metrics as well
    #[arg(long, env = "MESHWARD_COMPAT_METRICS")]
    pub compat_metrics: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The file cannot be read.
    #[error("cannot read {path}: {cause}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The error.
        cause: std::io::Error,
    },
    /// It is no YAML, or holds nothing.
    #[error("cannot read {path}: {cause}")]
    Yaml {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
    /// It is wrong.
    #[error("{path} is no configuration of Pod Security: {}", list(.errors))]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong.
        errors: Vec<InvalidConfiguration>,
    },
}

fn list(errors: &[InvalidConfiguration]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// Reads a configuration of Pod Security.
///
/// # Errors
/// [`ConfigurationError`].
pub fn read_configuration(path: &Path) -> Result<Configuration, ConfigurationError> {
    let at = || path.to_owned();
    let text = std::fs::read(path).map_err(|cause| ConfigurationError::Read { path: at(), cause })?;
    let unread = |cause: String| ConfigurationError::Yaml { path: at(), cause };
    let document = match Documents::new(&text, Options { spans: false, ..Options::default() }).next() {
        Some(Ok(document)) => document.value,
        Some(Err(error)) => return Err(unread(error.to_string())),
        None => return Err(unread("it is empty".to_owned())),
    };
    Configuration::from_value(&document).map_err(|errors| ConfigurationError::Invalid { path: at(), errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_file_says_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.yaml");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read_configuration(&path).map_err(|error| error.to_string())
        };
        let head = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\n";
        let fine = read(&format!("{head}exemptions: {{usernames: [x]}}\n")).unwrap();
        assert!(fine.exemptions.username("x"));
        let wrong = read(&format!("{head}defaults: {{enforce: strict}}\n")).unwrap_err();
        assert!(wrong.contains("defaults.enforce") && wrong.contains("c.yaml"), "{wrong}");
        assert!(read("a: [").unwrap_err().starts_with("cannot read"));
        assert!(read("").unwrap_err().contains("it is empty"));
        let missing = read_configuration(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("none"), "{missing}");
    }
}
