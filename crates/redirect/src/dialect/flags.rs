//! A peer's flags as a table. The same rows make the command line of `meshward rules <mesh>` and read the arguments
//! of a mesh's own init container, so the two cannot drift apart. Parsing itself is clap's.

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::settings::{Origin, Settings};

/// One flag of a peer's program.
#[derive(Debug, Clone, Copy)]
pub struct Flag {
    /// Long name without dashes; also the key under which settings are kept.
    pub long: &'static str,
    /// Other long names that mean the same.
    pub aliases: &'static [&'static str],
    /// The peer's one-letter form.
    pub short: Option<char>,
    /// Environment variables that set it, the strongest first.
    pub environment: &'static [&'static str],
    /// What it takes.
    pub kind: FlagKind,
    /// The peer's default, as it would be written.
    pub default: &'static str,
    /// Whether it changes rules.
    pub effect: Effect,
    /// One sentence for `--help`.
    pub help: &'static str,
}

/// What a flag takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagKind {
    /// `--flag`, `--flag=true`, `--flag=false`
    Switch,
    /// One value; the last one given counts. The text names it in `--help`.
    Value(&'static str),
    /// May be given several times; values are joined by commas.
    List(&'static str),
    /// May be given several times; values have commas of their own, so they are joined by semicolons.
    Items(&'static str),
}

/// Whether a flag changes rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Rules,
    /// It is accepted so that a peer's command lines keep working, and has no effect here, for this reason.
    None(&'static str),
}

impl Flag {
    /// The clap argument for this flag; `hide_short` where our own command line uses the letter for something else.
    fn arg(&self, taken: &[char]) -> Arg {
        let mut arg =
            Arg::new(self.long).long(self.long).visible_aliases(self.aliases).help(self.help_text());
        if let Some(short) = self.short.filter(|short| !taken.contains(short)) {
            arg = arg.short(short);
        }
        match self.kind {
            FlagKind::Switch => arg
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .value_name("BOOL")
                .action(ArgAction::Append),
            FlagKind::Value(name) | FlagKind::List(name) | FlagKind::Items(name) => {
                arg.value_name(name).allow_hyphen_values(true).action(ArgAction::Append)
            }
        }
    }

    fn help_text(&self) -> String {
        let mut text = self.help.to_string();
        if !self.default.is_empty() {
            text.push_str(&format!(" [default: {}]", self.default));
        }
        if let [first, ..] = self.environment {
            text.push_str(&format!(" [env: {first}]"));
        }
        if let Effect::None(why) = self.effect {
            text.push_str(&format!(" (accepted, no effect: {why})"));
        }
        text
    }
}

/// The clap arguments for a peer's flags, without the short forms in `taken`.
pub fn args(flags: &'static [Flag], taken: &[char]) -> Vec<Arg> {
    flags.iter().map(|flag| flag.arg(taken)).collect()
}

/// Puts what clap found into `settings`, each with `origin(flag as written)`.
pub fn collect(
    flags: &'static [Flag],
    matches: &ArgMatches,
    settings: &mut Settings,
    origin: impl Fn(&str) -> Origin,
) {
    for flag in flags {
        let Some(values) = matches.get_many::<String>(flag.long) else { continue };
        let values: Vec<&str> = values.map(String::as_str).collect();
        let value = match flag.kind {
            FlagKind::List(_) => values.join(","),
            FlagKind::Items(_) => values.join(";"),
            _ => values.last().copied().unwrap_or_default().to_string(),
        };
        settings.set(flag.long, value, origin(flag.long));
    }
}

/// Reads the arguments of a mesh's own program (an init container's `args`), each flag in the peer's own forms.
///
/// # Errors
/// clap's error, whose text names the argument and the nearest known one.
pub fn parse_arguments(
    program: &'static str,
    flags: &'static [Flag],
    arguments: &[String],
    settings: &mut Settings,
    origin: impl Fn(&str) -> Origin,
) -> Result<(), clap::Error> {
    let command = Command::new(program)
        .no_binary_name(true)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(args(flags, &[]));
    let matches = command.try_get_matches_from(arguments)?;
    collect(flags, &matches, settings, origin);
    Ok(())
}
