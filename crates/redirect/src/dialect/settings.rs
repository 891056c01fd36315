//! What was asked for, before it is understood: one text per option, each with where it came from. Flags, the
//! environment, annotations and a configuration file all end up here, so an error can always name its source and
//! `rules pod -o json` can list every value's origin.

use std::fmt;

use serde::Serialize;

use super::flags::{Flag, FlagKind};
use crate::net::{InvalidValue, visible};

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// The mesh's own default.
    Default,
    /// The command line: the flag as written, with dashes.
    Flag {
        /// `--istio-inbound-ports`
        flag: String,
    },
    /// An argument of a container in the pod.
    Argument {
        /// The container's name.
        container: String,
        /// The flag as written, with dashes.
        flag: String,
    },
    /// An environment variable of a container in the pod.
    Environment {
        /// The container's name.
        container: String,
        /// The variable.
        variable: String,
    },
    /// An environment variable of the command itself.
    Variable {
        /// The variable.
        variable: String,
    },
    /// An annotation (or label, for the few a mesh reads).
    Annotation {
        /// `pod`, `namespace` or `workload`
        object: &'static str,
        /// The whole key.
        key: String,
        /// A path inside the annotation's own document, where it holds one.
        #[serde(skip_serializing_if = "Option::is_none")]
        path: Option<String>,
    },
    /// A field of the pod's specification, as a path: `spec.containers[istio-proxy].securityContext.runAsUser`.
    Field {
        /// The path.
        path: String,
    },
    /// A configuration file given on the command line.
    File {
        /// The file as the user named it.
        file: String,
        /// The path inside it.
        path: String,
    },
    /// A value the mesh derives from others (a gid that follows the uid, ports it always excludes).
    Derived {
        /// From what, in a few words.
        from: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Flag { flag } => f.write_str(flag),
            Origin::Argument { container, flag } => {
                write!(f, "argument {flag} of container {}", visible(container))
            }
            Origin::Environment { container, variable } => {
                write!(f, "environment variable {variable} of container {}", visible(container))
            }
            Origin::Variable { variable } => write!(f, "environment variable {variable}"),
            Origin::Annotation { object, key, path: None } => {
                write!(f, "annotation {} of the {object}", visible(key))
            }
            Origin::Annotation { object, key, path: Some(path) } => {
                write!(f, "{} in annotation {} of the {object}", visible(path), visible(key))
            }
            Origin::Field { path } => f.write_str(&visible(path)),
            Origin::File { file, path } => write!(f, "{} in {}", visible(path), visible(file)),
            Origin::Derived { from } => write!(f, "derived from {}", visible(from)),
        }
    }
}

/// One option as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// The option's long name.
    pub option: &'static str,
    /// Its text.
    pub value: String,
    /// Where that came from.
    pub origin: Origin,
}

/// An option whose value is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{origin}: {problem}{}", self.option_note())]
pub struct InvalidOption {
    /// The option's long name.
    pub option: &'static str,
    /// Where the value came from.
    pub origin: Origin,
    /// What is wrong: found and accepted, or a contradiction.
    pub problem: String,
}

impl InvalidOption {
    /// Names the option when the origin does not.
    fn option_note(&self) -> String {
        let origin = self.origin.to_string();
        if origin.contains(self.option) { String::new() } else { format!(" (option {})", self.option) }
    }
}

/// Every option of one dialect: those that were set, over the peer's defaults.
#[derive(Debug, Clone)]
pub struct Settings {
    flags: &'static [Flag],
    set: Vec<Option<Setting>>,
}

impl Settings {
    /// Nothing set yet.
    pub fn new(flags: &'static [Flag]) -> Self {
        Self { flags, set: vec![None; flags.len()] }
    }

    /// The table these settings are for.
    pub fn flags(&self) -> &'static [Flag] {
        self.flags
    }

    fn index(&self, option: &str) -> Option<usize> {
        self.flags.iter().position(|flag| flag.long == option)
    }

    /// Sets an option, over whatever was there. An option the dialect does not have is a mistake of our own
    /// tables, not of a user; it is ignored in release builds and caught by debug assertions in tests.
    pub fn set(&mut self, option: &str, value: impl Into<String>, origin: Origin) {
        let index = self.index(option);
        debug_assert!(index.is_some(), "no option {option} in this dialect");
        if let Some(index) = index {
            self.set[index] = Some(Setting { option: self.flags[index].long, value: value.into(), origin });
        }
    }

    /// Sets an option only where nothing set it before.
    pub fn set_default(&mut self, option: &str, value: impl Into<String>, origin: Origin) {
        if !self.is_set(option) {
            self.set(option, value, origin);
        }
    }

    /// Puts an option back to the peer's default.
    pub fn reset(&mut self, option: &str) {
        if let Some(index) = self.index(option) {
            self.set[index] = None;
        }
    }

    /// Whether something other than the peer's default is in force.
    pub fn is_set(&self, option: &str) -> bool {
        self.index(option).is_some_and(|index| self.set[index].is_some())
    }

    /// The option's value, the peer's default where nothing was set.
    pub fn get(&self, option: &str) -> Setting {
        match self.index(option) {
            Some(index) => self.set[index].clone().unwrap_or_else(|| Self::default_of(&self.flags[index])),
            None => {
                debug_assert!(false, "no option {option} in this dialect");
                Setting { option: "", value: String::new(), origin: Origin::Default }
            }
        }
    }

    /// All options in the table's order, defaults included.
    pub fn all(&self) -> impl Iterator<Item = Setting> + '_ {
        self.flags
            .iter()
            .zip(&self.set)
            .map(|(flag, set)| set.clone().unwrap_or_else(|| Self::default_of(flag)))
    }

    fn default_of(flag: &Flag) -> Setting {
        Setting { option: flag.long, value: flag.default.to_string(), origin: Origin::Default }
    }

    /// Parses an option's whole text.
    ///
    /// # Errors
    /// [`InvalidOption`] with what was found and what is accepted.
    pub fn parse<T>(
        &self,
        option: &str,
        parse: impl FnOnce(&str) -> Result<T, InvalidValue>,
    ) -> Result<T, InvalidOption> {
        let setting = self.get(option);
        parse(&setting.value).map_err(|problem| setting.invalid(problem.to_string()))
    }

    /// Parses a comma-separated option, element by element; empty elements and surrounding space do not count, as
    /// in the peers. At most 1024 elements.
    ///
    /// # Errors
    /// [`InvalidOption`] with the first element that is not accepted.
    pub fn parse_list<T>(
        &self,
        option: &str,
        mut parse: impl FnMut(&str) -> Result<T, InvalidValue>,
    ) -> Result<Vec<T>, InvalidOption> {
        const MOST: usize = 1024;
        let setting = self.get(option);
        let elements: Vec<&str> = setting.elements().collect();
        if elements.len() > MOST {
            return Err(
                setting.invalid(format!("found {} elements, accepted: at most {MOST}", elements.len()))
            );
        }
        elements
            .into_iter()
            .map(|element| parse(element).map_err(|problem| setting.invalid(problem.to_string())))
            .collect()
    }

    /// As [`Self::parse_list`], without repetitions, which would only repeat rules.
    ///
    /// # Errors
    /// [`InvalidOption`] with the first element that is not accepted.
    pub fn parse_distinct<T: PartialEq>(
        &self,
        option: &str,
        parse: impl FnMut(&str) -> Result<T, InvalidValue>,
    ) -> Result<Vec<T>, InvalidOption> {
        let mut distinct = Vec::new();
        for element in self.parse_list(option, parse)? {
            if !distinct.contains(&element) {
                distinct.push(element);
            }
        }
        Ok(distinct)
    }

    /// Reads every switch of the table, those without influence on rules too: a peer refuses to start with
    /// `--dry-run=maybe`, so nobody means anything by it.
    ///
    /// # Errors
    /// [`InvalidOption`] for the first one that is neither true nor false.
    pub fn check_switches(&self) -> Result<(), InvalidOption> {
        self.flags
            .iter()
            .filter(|flag| flag.kind == FlagKind::Switch)
            .try_for_each(|flag| self.switch(flag.long).map(drop))
    }

    /// Parses a switch: Go's spellings of true and false (`strconv.ParseBool`), empty for false.
    ///
    /// # Errors
    /// [`InvalidOption`] for any other text.
    pub fn switch(&self, option: &str) -> Result<bool, InvalidOption> {
        self.parse(option, |text| match text {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
            _ => Err(InvalidValue::new(text, "true or false")),
        })
    }
}

impl Setting {
    /// The elements of a comma-separated value.
    pub fn elements(&self) -> impl Iterator<Item = &str> {
        self.value.split(',').map(str::trim).filter(|element| !element.is_empty())
    }

    /// An error about this setting.
    pub fn invalid(&self, problem: impl Into<String>) -> InvalidOption {
        InvalidOption { option: self.option, origin: self.origin.clone(), problem: problem.into() }
    }
}
