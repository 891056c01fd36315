//! Logging starts in one place, so that both daemons write the same form: text where a person reads, JSON where a
//! collector does. Logs go to standard error; standard output belongs to results.

use std::io::IsTerminal;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// What the client libraries tell on their own about requests that fail. Every watch tells it too, once, and then waits
/// longer and longer: theirs would be several lines a second for as long as an API server is away. Whoever names the
/// target gets it all the same.
const TOLD_ALREADY: [&str; 2] = ["kube_client", "kube_runtime"];
const ACCEPTED: &str = "error, warn, info, debug, trace, or directives such as info,meshward_node=debug";

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text; colours only on a terminal and never with `NO_COLOR`.
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not start or change.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The level cannot be read.
    #[error("invalid log level {found:?}: {cause} (accepted: {accepted})")]
    Level {
        /// What was given.
        found: String,
        /// What is wrong with it.
        cause: String,
        /// What can be.
        accepted: &'static str,
    },
    /// Logging had been started already.
    #[error("cannot start logging: {0}")]
    Start(#[from] TryInitError),
    /// The subscriber is gone.
    #[error("cannot change the log level: {0}")]
    Change(#[from] reload::Error),
}

/// The level of the running logger.
#[derive(Debug, Clone)]
pub struct Level(reload::Handle<EnvFilter, Registry>);

impl Level {
    /// Changes the level at once.
    ///
    /// # Errors
    /// [`LogError::Level`] when it cannot be read; the old one stays.
    pub fn set(&self, level: &str) -> Result<(), LogError> {
        Ok(self.0.reload(parse_level(level)?)?)
    }
}

/// Starts logging for the process.
///
/// # Errors
/// A level that cannot be read, or logging that runs already.
pub fn start(format: Format, level: &str) -> Result<Level, LogError> {
    let (filter, handle) = reload::Layer::new(parse_level(level)?);
    let terminal = std::io::stderr().is_terminal();
    let colours = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        Format::Json => json(),
        Format::Auto if !terminal => json(),
        Format::Auto | Format::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(colours).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(Level(handle))
}

fn json<S>() -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    // Flat, since collectors index top-level keys; the list of all spans would repeat what the current one says.
    fmt::layer().json().flatten_event(true).with_span_list(false).with_writer(std::io::stderr).boxed()
}

/// Whether a level can be read, for checking settings before anything starts.
///
/// # Errors
/// [`LogError::Level`] with the reason.
pub fn check_level(level: &str) -> Result<(), LogError> {
    parse_level(level).map(drop)
}

fn parse_level(level: &str) -> Result<EnvFilter, LogError> {
    let wrong = |cause: String| LogError::Level { found: level.to_string(), cause, accepted: ACCEPTED };
    if level.trim().is_empty() {
        return Err(wrong("it is empty".into()));
    }
    // EnvFilter takes any word for a target and would then log nothing of ours.
    let known = |directive: &str| {
        directive.contains(['=', '['])
            || directive.trim().parse::<tracing::level_filters::LevelFilter>().is_ok()
    };
    if let Some(odd) = level.split(',').find(|directive| !known(directive)) {
        return Err(wrong(format!("{:?} is no level", odd.trim())));
    }
    let quiet = TOLD_ALREADY.iter().filter(|target| !level.contains(*target) && !level.contains("kube="));
    let whole = quiet.fold(level.to_owned(), |level, target| format!("{level},{target}=off"));
    EnvFilter::builder().parse(whole).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_already_is_not_told_twice() {
        // Directives come in no order.
        let shown = |level: &str| {
            let whole = parse_level(level).unwrap().to_string();
            let mut parts: Vec<_> = whole.split(',').map(str::to_owned).collect();
            parts.sort();
            parts.join(",")
        };
        assert_eq!(shown("info"), "info,kube_client=off,kube_runtime=off");
        assert_eq!(shown("debug,kube_client=warn"), "debug,kube_client=warn,kube_runtime=off");
        assert_eq!(shown("info,kube=debug"), "info,kube=debug");
    }

    #[test]
    fn levels_are_checked() {
        for good in ["info", "WARN", "off", "info,kube=warn", "debug,meshward_node[pod]=trace"] {
            assert!(check_level(good).is_ok(), "{good}");
        }
        for bad in ["", " ", "loud", "info,chatty", "info,kube=loud"] {
            let error = check_level(bad).unwrap_err().to_string();
            assert!(error.contains("accepted: error, warn"), "{bad}: {error}");
        }
    }
}
