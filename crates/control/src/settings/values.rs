//! Values that settings share.

use std::time::Duration;

use clap::ValueEnum;
use meshward_mesh as mesh;

/// `45s`, `10m`, `12h`, `90d`; a number alone is seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let accepted = || format!("found {text:?}, accepted: a whole number of s, m, h or d, such as 45s or 90d");
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3600),
        Some((at, 'd')) => (&text[..at], 86_400),
        _ => (text, 1),
    };
    let number: u32 = number.parse().map_err(|_| accepted())?;
    Ok(Duration::from_secs(u64::from(number) * unit))
}

/// The exit code of a wait container whose time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitExit {
    /// Ours
    #[value(name = "96")]
    Own,
    /// Istio's
    #[value(name = "126")]
    Istio,
    /// Linkerd's
    #[value(name = "95")]
    Linkerd,
}

impl From<WaitExit> for mesh::WaitExit {
    fn from(exit: WaitExit) -> Self {
        match exit {
            WaitExit::Own => Self::Own,
            WaitExit::Istio => Self::Istio,
            WaitExit::Linkerd => Self::Linkerd,
        }
    }
}

/// Whom the wait container runs as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WaitUser {
    /// As the platform wants it on OpenShift, elsewhere ordinary
    Auto,
    /// 65532: proves that what applications send is captured
    Ordinary,
    /// The proxy's: proves that inbound connections are captured (Istio, Kuma; else as ordinary)
    Proxy,
    /// Whom the platform chooses, as OpenShift's restricted-v2 wants it
    Platform,
}

/// What becomes of the meshes' own validation containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Validators {
    /// They stay
    Keep,
    /// The wait container takes their place too
    Replace,
}

impl From<Validators> for mesh::Validators {
    fn from(validators: Validators) -> Self {
        match validators {
            Validators::Keep => Self::Keep,
            Validators::Replace => Self::Replace,
        }
    }
}
