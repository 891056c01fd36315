//! Where Kyverno's `podSecurity` rules do something else than they say. Policies in production rely on it, so the
//! behaviour is kept; policies written today should not, so every such place is one switch with a name, and what the
//! rule would mean without it is written beside it.
//!
//! ```text
//! Mode::Kyverno ─► all quirks on ─┐
//! Mode::Strict  ─► all quirks off ┼─► Quirks ─► Policy::compile_with
//! single ones by name ────────────┘
//! ```

use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// How a policy is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// As it is meant: no quirk is on.
    Strict,
    /// As Kyverno 1.19 reads it: every quirk is on.
    Kyverno,
}

impl Mode {
    /// The name on command lines.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Kyverno => "kyverno",
        }
    }

    /// The quirks of the mode.
    pub fn quirks(self) -> Quirks {
        match self {
            Mode::Strict => Quirks::STRICT,
            Mode::Kyverno => Quirks::KYVERNO,
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is neither `strict` nor `kyverno`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be one of strict, kyverno")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Mode, UnknownMode> {
        [Mode::Strict, Mode::Kyverno].into_iter().find(|mode| mode.as_str() == text).ok_or(UnknownMode)
    }
}

/// One quirk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "each quirk's own text says what it is")]
pub enum Quirk {
    PrivilegedChecksAll,
    OneErrorAtATime,
    ValuesAllOrNothing,
    MissingIgnoresValues,
    VolumesWithoutValues,
    FrozenStandards,
    HostProbesUnexcludable,
    RawImages,
    SidecarsAreInit,
    HostPathsAreText,
    LevelsApart,
    PodFieldsIgnoreImages,
    OrderLost,
}

/// Name, what Kyverno does, what is done without the quirk.
type Row = (Quirk, &'static str, &'static str, &'static str);

const TABLE: [Row; 13] = [
    (
        Quirk::PrivilegedChecksAll,
        "privileged-checks-all",
        "level privileged runs every check, as restricted does",
        "level privileged checks nothing",
    ),
    (
        Quirk::OneErrorAtATime,
        "one-error-at-a-time",
        "an exclusion takes out the first error with the same field for each error of a made-up pod; one without images \
         reaches one container of many",
        "an exclusion takes out every error that it is about",
    ),
    (
        Quirk::ValuesAllOrNothing,
        "values-all-or-nothing",
        "an exclusion with values takes out a field only if it names all of its bad values; values of several \
         exclusions do not add up",
        "every named value is taken out, whichever exclusion names it, and the message names those that are left",
    ),
    (
        Quirk::MissingIgnoresValues,
        "missing-ignores-values",
        "an exclusion with values also takes out a field that is not set at all",
        "a field that is not set is taken out only if the values are left out or match the empty text",
    ),
    (
        Quirk::VolumesWithoutValues,
        "volumes-without-values",
        "a restricted volume type has no value, so that any values take it out, and a hostPath volume at restricted \
         needs two exclusions",
        "the value of a hostPath volume is its path and of any other its name; either control takes a hostPath out",
    ),
    (
        Quirk::FrozenStandards,
        "frozen-standards",
        "the standards are those of 1.34, checks newer than the version run as well, none overrides another",
        "the checks of the level and version run, as kube-apiserver runs them",
    ),
    (
        Quirk::HostProbesUnexcludable,
        "host-probes-unexcludable",
        "hosts of probes and lifecycle hooks are forbidden, but no control names them",
        "the control is named \"Host Probes / Lifecycle Hooks\" and has fields and values as any other",
    ),
    (
        Quirk::RawImages,
        "raw-images",
        "image patterns are compared as text: */istio/proxyv2* matches evil.example/x/istio/proxyv2-evil:1",
        "image patterns are compared by registry, path components and tag of the normalised image",
    ),
    (
        Quirk::SidecarsAreInit,
        "sidecars-are-init",
        "fields of spec.initContainers[*] are those of native sidecars as well",
        "fields of spec.initContainers[*] are those of containers that end before the pod starts",
    ),
    (
        Quirk::HostPathsAreText,
        "host-paths-are-text",
        "values of hostPath are compared as text: /etc* matches /etc-evil and /etc/../root",
        "paths are cleaned and compared by component; a * at the end stands for everything below",
    ),
    (
        Quirk::LevelsApart,
        "levels-apart",
        "an exclusion with images never takes out a field of the pod, one without never a field of a container",
        "one without images takes out the control wherever it is; one with images also the pod's field, if all \
         containers have such images",
    ),
    (
        Quirk::PodFieldsIgnoreImages,
        "pod-fields-ignore-images",
        "an exclusion with images takes out nothing of a control that only the pod has",
        "it takes it out if all containers have such images",
    ),
    (
        Quirk::OrderLost,
        "order-lost",
        "checks come in no order once there are exclusions (here: by name), errors change places when one is taken out",
        "checks come in the order of the standards, errors in the order of the pod",
    ),
];

impl Quirk {
    /// Every quirk, by number.
    pub fn all() -> impl Iterator<Item = Quirk> {
        TABLE.iter().map(|row| row.0)
    }

    fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// Its number in messages: `Q1` to `Q13`.
    pub fn number(self) -> u8 {
        self as u8 + 1
    }

    /// Its name as a switch.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What Kyverno does, in one line.
    pub fn text(self) -> &'static str {
        self.row().2
    }

    /// What is done where the quirk is off, in one line.
    pub fn strict_text(self) -> &'static str {
        self.row().3
    }
}

impl fmt::Display for Quirk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Q{} {}", self.number(), self.name())
    }
}

/// The text is the name or number of no quirk.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("unknown quirk {found:?}, accepted: {accepted}")]
pub struct UnknownQuirk {
    /// What was found.
    pub found: String,
    /// The names.
    pub accepted: String,
}

impl FromStr for Quirk {
    type Err = UnknownQuirk;

    /// A name, or a number such as `Q8`.
    fn from_str(text: &str) -> Result<Quirk, UnknownQuirk> {
        let numbered =
            |quirk: &Quirk| text.strip_prefix(['Q', 'q']).is_some_and(|n| n == quirk.number().to_string());
        Quirk::all().find(|quirk| quirk.name() == text || numbered(quirk)).ok_or_else(|| UnknownQuirk {
            found: text.to_owned(),
            accepted: TABLE.map(|row| row.1).join(", "),
        })
    }
}

/// Which quirks are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quirks(u16);

impl Quirks {
    /// None.
    pub const STRICT: Quirks = Quirks(0);
    /// All.
    pub const KYVERNO: Quirks = Quirks((1 << TABLE.len()) - 1);

    /// Whether a quirk is on.
    pub fn on(self, quirk: Quirk) -> bool {
        self.0 & Self::bit(quirk) != 0
    }

    /// The same with a quirk on.
    #[must_use]
    pub fn with(self, quirk: Quirk) -> Quirks {
        Quirks(self.0 | Self::bit(quirk))
    }

    /// The same with a quirk off.
    #[must_use]
    pub fn without(self, quirk: Quirk) -> Quirks {
        Quirks(self.0 & !Self::bit(quirk))
    }

    /// Those that are on, by number.
    pub fn iter(self) -> impl Iterator<Item = Quirk> {
        Quirk::all().filter(move |quirk| self.on(*quirk))
    }

    fn bit(quirk: Quirk) -> u16 {
        1 << quirk as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_numbers_and_switches_agree() {
        for (index, (quirk, name, ..)) in TABLE.iter().enumerate() {
            assert_eq!(*quirk as usize, index);
            assert_eq!(name.parse(), Ok(*quirk));
            assert_eq!(format!("Q{}", index + 1).parse(), Ok(*quirk));
            assert!(Quirks::KYVERNO.on(*quirk) && !Quirks::STRICT.on(*quirk));
            let single = Quirks::STRICT.with(*quirk);
            assert_eq!(single.iter().collect::<Vec<_>>(), [*quirk]);
            assert_eq!(single.without(*quirk), Quirks::STRICT);
        }
        assert_eq!(Quirks::KYVERNO.iter().count(), 13);
        assert!("Q14".parse::<Quirk>().is_err() && "".parse::<Quirk>().is_err());
        assert_eq!("strict".parse(), Ok(Mode::Strict));
        assert_eq!(Mode::Kyverno.quirks(), Quirks::KYVERNO);
    }
}
