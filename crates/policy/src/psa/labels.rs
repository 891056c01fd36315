//! A namespace's labels, read as a policy for the three modes. A policy always comes out, also of invalid labels: an
//! invalid enforce level means restricted, an invalid audit or warn level means privileged, an invalid version latest.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use thiserror::Error;

use crate::pss::{Level, LevelVersion, Version, quote};

/// The prefix of the labels that kube-apiserver reads.
pub const PREFIX: &str = "pod-security.kubernetes.io/";

/// Where labels are looked up. A null label is an empty one, as in the API server's decoder.
pub trait Labels {
    /// The value of a label, if it is set.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(|value| value.as_str().unwrap_or_default())
    }
}

/// A Namespace object: its `metadata.labels`.
impl Labels for Value {
    fn label(&self, key: &str) -> Option<&str> {
        self.get("metadata")?.get("labels")?.as_object()?.label(key)
    }
}

impl<T: Labels> Labels for Option<T> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref()?.label(key)
    }
}

impl<T: Labels + ?Sized> Labels for &T {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

/// What happens to a pod that violates a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// It is refused.
    Enforce,
    /// The audit log says so.
    Audit,
    /// The user is told.
    Warn,
}

impl Mode {
    /// Every mode, in the order in which labels are read.
    pub const ALL: [Mode; 3] = [Mode::Enforce, Mode::Audit, Mode::Warn];

    /// The name in labels and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Enforce => "enforce",
            Mode::Audit => "audit",
            Mode::Warn => "warn",
        }
    }
}

/// What each mode of a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What pods must fulfil.
    pub enforce: LevelVersion,
    /// What the audit log reports.
    pub audit: LevelVersion,
    /// What users are warned of.
    pub warn: LevelVersion,
}

impl Default for Policy {
    /// Privileged at latest in all modes: kube-apiserver without a configuration.
    fn default() -> Policy {
        let privileged = LevelVersion::latest(Level::Privileged);
        Policy { enforce: privileged, audit: privileged, warn: privileged }
    }
}

/// A label with a value that is no level or no version. The text is the API server's field error.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{}: {}", self.field(), self.body())]
pub struct InvalidLabel {
    /// The label's key.
    pub label: String,
    /// Its value.
    pub value: String,
    /// What is accepted.
    pub accepted: String,
}

impl InvalidLabel {
    /// The label's path in the namespace.
    #[must_use]
    pub fn field(&self) -> String {
        format!("metadata.labels[{}]", self.label)
    }

    /// The error without the path.
    #[must_use]
    pub fn body(&self) -> String {
        format!("Invalid value: {}: {}", quote(&self.value), self.accepted)
    }
}

/// Several errors as the API server joins them: one alone, or all in brackets.
#[must_use]
pub fn describe(errors: &[InvalidLabel]) -> String {
    match errors {
        [] => String::new(),
        [error] => error.to_string(),
        errors => {
            let texts: Vec<String> = errors.iter().map(InvalidLabel::to_string).collect();
            format!("[{}]", texts.join(", "))
        }
    }
}

impl Policy {
    /// What a mode asks for.
    #[must_use]
    pub fn mode(&self, mode: Mode) -> LevelVersion {
        match mode {
            Mode::Enforce => self.enforce,
            Mode::Audit => self.audit,
            Mode::Warn => self.warn,
        }
    }

    /// Whether no mode checks anything.
    #[must_use]
    pub fn fully_privileged(&self) -> bool {
        Mode::ALL.into_iter().all(|mode| self.mode(mode).level == Level::Privileged)
    }

    /// Whether both policies have the same effect.
    #[must_use]
    pub fn equivalent(&self, other: &Policy) -> bool {
        Mode::ALL.into_iter().all(|mode| self.mode(mode).equivalent(other.mode(mode)))
    }

    /// The policy of a namespace with these labels, and what is wrong with them. `prefix` is [`PREFIX`] or one's own,
    /// with its slash. Unset labels take the default; unset warn labels follow an enforce label that is stricter.
    pub fn from_labels(labels: &dyn Labels, defaults: &Policy, prefix: &str) -> (Policy, Vec<InvalidLabel>) {
        let mut policy = *defaults;
        let mut reader = Reader { labels, prefix, errors: Vec::new() };
        let enforce = reader.level(Mode::Enforce, &mut policy.enforce, Level::Restricted);
        reader.version(Mode::Enforce, &mut policy.enforce);
        reader.level(Mode::Audit, &mut policy.audit, Level::Privileged);
        reader.version(Mode::Audit, &mut policy.audit);
        let warn = reader.level(Mode::Warn, &mut policy.warn, Level::Privileged);
        let warn_version = reader.version(Mode::Warn, &mut policy.warn);
        if enforce == Set::Valid && warn == Set::No && policy.enforce.level > policy.warn.level {
            policy.warn.level = policy.enforce.level;
            if warn_version == Set::No {
                policy.warn.version = policy.enforce.version;
            }
        }
        (policy, reader.errors)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Set {
    No,
    Valid,
    Invalid,
}

struct Reader<'l> {
    labels: &'l dyn Labels,
    prefix: &'l str,
    errors: Vec<InvalidLabel>,
}

impl Reader<'_> {
    fn level(&mut self, mode: Mode, policy: &mut LevelVersion, otherwise: Level) -> Set {
        self.read(mode, "", &mut policy.level, otherwise)
    }

    fn version(&mut self, mode: Mode, policy: &mut LevelVersion) -> Set {
        self.read(mode, "-version", &mut policy.version, Version::Latest)
    }

    fn read<T: std::str::FromStr<Err: ToString>>(
        &mut self,
        mode: Mode,
        suffix: &str,
        into: &mut T,
        otherwise: T,
    ) -> Set {
        let label = format!("{}{}{suffix}", self.prefix, mode.as_str());
        let Some(value) = self.labels.label(&label) else { return Set::No };
        match value.parse() {
            Ok(parsed) => {
                *into = parsed;
                Set::Valid
            }
            Err(error) => {
                *into = otherwise;
                let value = value.to_owned();
                self.errors.push(InvalidLabel { label, value, accepted: error.to_string() });
                Set::Invalid
            }
        }
    }
}
