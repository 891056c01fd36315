//! The command line of the agent, made from the table.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command};

use super::table::{SETTINGS, Setting};
use super::value::{Sources, Values};
use super::{Settings, SettingsError};

const CONFIG: &str = "config";
const CONFIG_VARIABLE: &str = "MESHWARD_CONFIG";
const PRINT: &str = "print-settings";

const ABOUT: &str =
    "The node agent: programs mesh pods' network namespaces from outside, proves the rules and keeps them";

const MORE: &str = "\
Every setting is a flag, an environment variable (--nri-socket is MESHWARD_NRI_SOCKET) and a key
of the file given with --config (`nri-socket: /run/nri.sock`). A flag beats the environment, which
beats the file, which beats the default. The file is looked at every few seconds; settings marked
(reload) apply at once, the others at the next start.

Examples:
  meshward-node --node-name worker-1
  meshward-node --config /etc/meshward/node.yaml --log-level debug
  meshward-node --node-name worker-1 --nri=off --cri-socket /run/crio/crio.sock
  meshward-node --config node.yaml --print-settings

Exit codes: 0 ended on request, 2 wrong settings, 3 could not be done here";

/// The command line.
pub fn command() -> Command {
    let config = Arg::new(CONFIG)
        .long(CONFIG)
        .value_name("FILE")
        .help(format!("Configuration file (YAML) [env: {CONFIG_VARIABLE}]"));
    let print = Arg::new(PRINT)
        .long(PRINT)
        .action(ArgAction::SetTrue)
        .help("Print the settings in force as YAML, each with its origin, and end");
    Command::new("meshward-node")
        .version(env!("CARGO_PKG_VERSION"))
        .about(ABOUT)
        .after_help(MORE)
        .max_term_width(110)
        .args([config, print])
        .args(SETTINGS.iter().map(argument))
}

fn argument(setting: &'static Setting) -> Arg {
    let reload = if setting.reloadable { " (reload)" } else { "" };
    let default = setting.default.map_or_else(String::new, |default| format!(" [default: {default}]"));
    let argument = Arg::new(setting.name)
        .long(setting.name)
        .value_name(setting.value)
        .help_heading(setting.section)
        .help(format!("{}{reload}{default}", setting.help));
    if setting.is_switch() {
        // `--proc` is on, `--proc=off` is off; a space would read the next word as the value.
        argument.num_args(0..=1).require_equals(true).default_missing_value("on")
    } else {
        argument
    }
}

/// How the process was called.
#[derive(Debug, Clone)]
pub struct Invocation {
    flags: BTreeMap<String, String>,
    environment: BTreeMap<String, String>,
    config: Option<PathBuf>,
    /// Whether the settings are only to be printed.
    pub print: bool,
}

/// Settings that can be used, and what they were made from.
#[derive(Debug, Clone)]
pub struct Started {
    /// Checked.
    pub settings: Settings,
    /// The text and origin of each.
    pub values: Values,
    /// For the log.
    pub remarks: Vec<String>,
    /// The file's bytes, to see a change.
    pub(super) file: Option<Vec<u8>>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {cause}")]
    ReadFile {
        /// Its path.
        path: String,
        /// The error.
        cause: std::io::Error,
    },
    /// Values are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

impl Invocation {
    /// Reads arguments (the first is the program's name) and environment.
    ///
    /// # Errors
    /// What clap says about the arguments; also its answer to `--help` and `--version`.
    pub fn parse(
        arguments: impl IntoIterator<Item = OsString>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, clap::Error> {
        let matches = command().try_get_matches_from(arguments)?;
        let environment: BTreeMap<String, String> = environment
            .into_iter()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .filter(|(name, _)| name == "NODE_NAME" || name.starts_with("MESHWARD_"))
            .collect();
        let flags = SETTINGS.iter().filter_map(|setting| {
            Some((setting.name.to_string(), matches.get_one::<String>(setting.name)?.clone()))
        });
        let config = matches.get_one::<String>(CONFIG).or_else(|| environment.get(CONFIG_VARIABLE));
        let config = config.filter(|path| !path.is_empty()).map(PathBuf::from);
        Ok(Self { flags: flags.collect(), config, print: matches.get_flag(PRINT), environment })
    }

    /// Reads the file and checks everything.
    ///
    /// # Errors
    /// A file that cannot be read, and every wrong value at once.
    pub fn load(&self) -> Result<Started, StartError> {
        let bytes = match &self.config {
            None => None,
            Some(path) => Some(
                std::fs::read(path)
                    .map_err(|cause| StartError::ReadFile { path: path.display().to_string(), cause })?,
            ),
        };
        let sources = Sources {
            flags: self.flags.clone(),
            environment: self.environment.clone(),
            file: self.config.clone().zip(bytes.clone()),
        };
        let (settings, values, remarks) = sources.resolve()?;
        Ok(Started { settings, values, remarks, file: bytes })
    }

    /// The configuration file, when there is one.
    pub fn config(&self) -> Option<&std::path::Path> {
        self.config.as_deref()
    }
}

/// [`Invocation::parse`] for the running process; prints what clap has to say and ends with its code.
pub fn start() -> Invocation {
    Invocation::parse(std::env::args_os(), std::env::vars_os()).unwrap_or_else(|error| error.exit())
}
