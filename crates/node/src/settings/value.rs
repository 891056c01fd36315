//! The text of every setting and where it comes from, before it is checked.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use meshward_redirect::dialect::nearest;

use super::file::{self, FileValue};
use super::table::{SETTINGS, Setting};
use super::{Problem, Settings, SettingsError, check};

/// Everything that settings are made of. Plain values, so that the whole resolution is a pure function of them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Flags by name, as given.
    pub flags: BTreeMap<String, String>,
    /// The process' environment, or what of it matters.
    pub environment: BTreeMap<String, String>,
    /// The configuration file and its text.
    pub file: Option<(PathBuf, Vec<u8>)>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A flag.
    Flag,
    /// An environment variable.
    Environment(String),
    /// The configuration file: where it is.
    File {
        /// Path of the file.
        path: PathBuf,
        /// `line 3, column 1`.
        place: String,
    },
    /// Nobody gave one.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag => f.write_str("flag"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::File { path, place } => write!(f, "{} {place}", path.display()),
            Origin::Default => f.write_str("default"),
        }
    }
}

/// One setting as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) text: String,
    pub(super) origin: Origin,
}

/// Every setting that has a value, as text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Values(pub(super) BTreeMap<&'static str, Given>);

impl Values {
    pub(super) fn get(&self, name: &str) -> Option<&Given> {
        self.0.get(name)
    }

    /// For each reloadable setting the value of `newer`, for the others their own; with the names of those that would
    /// differ.
    pub(super) fn reloaded(&self, newer: &Values) -> (Values, Vec<&'static str>) {
        let mut values = BTreeMap::new();
        let mut held_back = Vec::new();
        for setting in SETTINGS {
            let (old, new) = (self.get(setting.name), newer.get(setting.name));
            if !setting.reloadable && old.map(|given| &given.text) != new.map(|given| &given.text) {
                held_back.push(setting.name);
            }
            if let Some(given) = if setting.reloadable { new } else { old } {
                values.insert(setting.name, given.clone());
            }
        }
        (Values(values), held_back)
    }
}

impl Sources {
    /// The settings, the text of each, and remarks for the log.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn resolve(&self) -> Result<(Settings, Values, Vec<String>), SettingsError> {
        let mut problems = Vec::new();
        let (keys, in_file) = match &self.file {
            Some((path, text)) => file::read(path, text),
            None => (BTreeMap::new(), Vec::new()),
        };
        problems.extend(in_file);
        let values = Values(
            SETTINGS.iter().filter_map(|setting| Some((setting.name, self.given(setting, &keys)?))).collect(),
        );
        let settings = check::settings(&values, &mut problems);
        match settings {
            Some(settings) if problems.is_empty() => Ok((settings, values, self.remarks())),
            _ => Err(SettingsError { problems }),
        }
    }

    fn given(&self, setting: &Setting, keys: &BTreeMap<&'static str, FileValue>) -> Option<Given> {
        let variable = |name: &str| {
            let text = self.environment.get(name)?.clone();
            Some(Given { text, origin: Origin::Environment(name.to_string()) })
        };
        let flag = || {
            let text = self.flags.get(setting.name)?.clone();
            Some(Given { text, origin: Origin::Flag })
        };
        let file = || {
            let (path, _) = self.file.as_ref()?;
            let FileValue { text, place } = keys.get(setting.name)?.clone();
            Some(Given { text, origin: Origin::File { path: path.clone(), place } })
        };
        let default = || Some(Given { text: setting.default?.to_string(), origin: Origin::Default });
        // What most DaemonSets pass from the downward API; ours beats it, the file does not.
        let node = || if setting.name == "node-name" { variable("NODE_NAME") } else { None };
        flag().or_else(|| variable(&setting.variable())).or_else(node).or_else(file).or_else(default)
    }

    /// Variables that look like ours and are not. An error would be wrong: a Service named `meshward-…` puts such
    /// variables into every pod of its namespace.
    fn remarks(&self) -> Vec<String> {
        let known: Vec<String> = SETTINGS.iter().map(Setting::variable).collect();
        let odd = self.environment.keys().filter(|name| {
            name.starts_with("MESHWARD_") && *name != "MESHWARD_CONFIG" && !known.contains(name)
        });
        odd.filter_map(|name| {
            let near = nearest(name, known.iter().map(String::as_str))?;
            Some(format!("environment variable {name} is not ours and ignored; did you mean {near}?"))
        })
        .collect()
    }
}

/// A problem of a value that was given.
pub(super) fn problem(name: &str, given: &Given, message: String) -> Problem {
    let place = match &given.origin {
        Origin::Flag => format!("flag --{name}"),
        Origin::Default => format!("setting {name}"),
        Origin::File { .. } => format!("{}: {name}", given.origin),
        Origin::Environment(_) => given.origin.to_string(),
    };
    Problem { place, message }
}
