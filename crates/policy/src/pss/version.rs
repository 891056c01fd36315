//! Levels and policy versions, with the order and the texts of upstream's `api/helpers.go`.

use std::{fmt, str::FromStr};

use thiserror::Error;

/// A Pod Security level; ordered from the least to the most strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// No check runs.
    Privileged,
    /// Known privilege escalations are forbidden.
    Baseline,
    /// Hardening practices are required as well.
    Restricted,
}

impl Level {
    /// Every level, from the least to the most strict.
    pub const ALL: [Level; 3] = [Level::Privileged, Level::Baseline, Level::Restricted];

    /// The name in labels and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Privileged => "privileged",
            Level::Baseline => "baseline",
            Level::Restricted => "restricted",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is not the name of a level. The sentence is upstream's, which prefixes it with field and value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be one of privileged, baseline, restricted")]
pub struct UnknownLevel;

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Level, UnknownLevel> {
        Level::ALL.into_iter().find(|level| level.as_str() == text).ok_or(UnknownLevel)
    }
}

/// A policy version: the Kubernetes minor release whose rules apply, or the newest known ones. `latest` is newer than
/// any minor, also than those of the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// The rules of release `v1.N`; a minor newer than [`NEWEST`](crate::pss::NEWEST) means the newest known rules.
    Minor(u64),
    /// The newest known rules.
    Latest,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Minor(minor) => write!(f, "v1.{minor}"),
            Version::Latest => f.write_str("latest"),
        }
    }
}

/// The text is neither `latest` nor `v1.N`. The sentence is upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("must be \"latest\" or \"v1.x\"")]
pub struct UnknownVersion;

impl FromStr for Version {
    type Err = UnknownVersion;

    /// Accepts `latest` and `v1.N` where N is decimal, without leading zeros, and fits Go's `int` (63 bits).
    fn from_str(text: &str) -> Result<Version, UnknownVersion> {
        if text == "latest" {
            return Ok(Version::Latest);
        }
        let digits = text.strip_prefix("v1.").ok_or(UnknownVersion)?;
        let padded = digits.len() > 1 && digits.starts_with('0');
        if padded || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(UnknownVersion);
        }
        match digits.parse::<u64>() {
            Ok(minor) if i64::try_from(minor).is_ok() => Ok(Version::Minor(minor)),
            _ => Err(UnknownVersion),
        }
    }
}

/// A level at a version: what one mode of a namespace asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LevelVersion {
    /// How strict.
    pub level: Level,
    /// By which release's rules.
    pub version: Version,
}

impl LevelVersion {
    /// A level at the newest rules.
    #[must_use]
    pub fn latest(level: Level) -> LevelVersion {
        LevelVersion { level, version: Version::Latest }
    }

    /// Whether both forbid the same things whatever the pod; every version of privileged is the same.
    #[must_use]
    pub fn equivalent(self, other: LevelVersion) -> bool {
        self == other || (self.level == Level::Privileged && other.level == Level::Privileged)
    }
}

impl fmt::Display for LevelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.level, self.version)
    }
}
