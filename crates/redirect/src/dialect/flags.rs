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
    /// A flag that takes one value, called `name` in `--help`.
    pub const fn value(long: &'static str, name: &'static str, help: &'static str) -> Self {
        Self::new(long, FlagKind::Value(name), help)
    }

    /// A flag that may be given several times.
    pub const fn list(long: &'static str, name: &'static str, help: &'static str) -> Self {
        Self::new(long, FlagKind::List(name), help)
    }

    /// A switch, off by default.
    pub const fn switch(long: &'static str, help: &'static str) -> Self {
        Self::new(long, FlagKind::Switch, help).default("false")
    }

    pub(super) const fn new(long: &'static str, kind: FlagKind, help: &'static str) -> Self {
        Self {
            long,
            aliases: &[],
            short: None,
            environment: &[],
            kind,
            default: "",
            effect: Effect::Rules,
            help,
        }
    }

    /// With the peer's one-letter form.
    pub const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    /// With other long names.
    pub const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    /// With the environment variables that set it, the strongest first.
    pub const fn env(mut self, variables: &'static [&'static str]) -> Self {
        self.environment = variables;
        self
    }

    /// With the peer's default.
    pub const fn default(mut self, text: &'static str) -> Self {
        self.default = text;
        self
    }

    /// Without influence on rules, for this reason.
    pub const fn no_effect(mut self, why: &'static str) -> Self {
        self.effect = Effect::None(why);
        self
    }

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
        // A command line that has a use of its own for a name leaves that flag out.
        let Ok(Some(values)) = matches.try_get_many::<String>(flag.long) else { continue };
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

/// Puts a container's environment into `settings`, each variable that a flag names with `origin(variable)`. Flags
/// given as arguments are stronger than the environment in every peer, so read those afterwards.
///
/// Of several variables for one flag the strongest counts; of one variable set twice the later, as in Kubernetes. An
/// empty switch counts as not set: Go's `strconv.ParseBool` refuses the empty text, and the peers ignore that.
pub fn environment(variables: &[(String, String)], settings: &mut Settings, origin: impl Fn(&str) -> Origin) {
    for flag in settings.flags() {
        let counts = |value: &str| flag.kind != FlagKind::Switch || !value.is_empty();
        let found = flag.environment.iter().find_map(|name| {
            variables.iter().rev().find(|(variable, value)| variable == name && counts(value))
        });
        if let Some((variable, value)) = found {
            settings.set(flag.long, value.clone(), origin(variable));
        }
    }
}
