//! Reading the command line and environment of a mesh's own init container, as that container's program would.

use meshward_redirect::dialect::flags;
use meshward_redirect::dialect::{Origin, Settings};
use meshward_redirect::net::visible;

use crate::container::{Container, MOST_TEXT, Unresolved};
use crate::problem::{Problem, Warning};
use crate::scope::Scope;

/// The container's program with its arguments.
pub(crate) struct CommandLine<'a, 'w> {
    pub(crate) program: &'static str,
    pub(crate) container: &'w Container<'a>,
    pub(crate) words: Vec<&'a str>,
}

impl CommandLine<'_, '_> {
    /// Puts environment and arguments into `settings`, arguments over environment. None (and a problem) when the
    /// command line does not parse or depends on something that cannot be known here.
    pub(crate) fn read(&self, scope: &mut Scope<'_>, settings: &mut Settings) -> Option<()> {
        self.environment(scope, settings);
        let environment = self.container.environment();
        let mut arguments = Vec::with_capacity(self.words.len());
        let mut left = MOST_TEXT;
        for word in &self.words {
            match environment.expand(word) {
                Ok(argument) if argument.len() <= left => {
                    left -= argument.len();
                    arguments.push(argument);
                }
                Ok(_) => {
                    let place = format!("arguments of container {}", visible(self.container.name()));
                    let found = format!("{place} with more than {MOST_TEXT} bytes, accepted: at most that");
                    scope.problems.push(Problem::TooLarge(found));
                    return None;
                }
                Err(Unresolved(variable)) => {
                    scope.problems.push(Problem::OutOfReach {
                        container: self.container.name().into(),
                        what: format!("variable {variable}"),
                        accepted: "a variable with a value of its own",
                    });
                    return None;
                }
            }
        }
        let container = self.container.name().to_string();
        let origin =
            |flag: &str| Origin::Argument { container: container.clone(), flag: format!("--{flag}") };
        let parsed = flags::parse_arguments(self.program, settings.flags(), &arguments, settings, origin);
        match parsed {
            Ok(()) => Some(()),
            Err(error) => {
                let problem = summary(&error.to_string());
                scope.problems.push(Problem::Arguments { container, problem });
                None
            }
        }
    }

    fn environment(&self, scope: &mut Scope<'_>, settings: &mut Settings) {
        let environment = self.container.environment();
        let name = self.container.name();
        for variable in settings.flags().iter().flat_map(|flag| flag.environment) {
            if environment.is_unresolved(variable) {
                let what = (*variable).to_string();
                scope.warnings.push(Warning::Unresolved { container: name.into(), what });
            }
        }
        if self.container.has_foreign_environment()
            && settings.flags().iter().any(|flag| !flag.environment.is_empty())
        {
            let what = "envFrom".to_string();
            scope.warnings.push(Warning::Unresolved { container: name.into(), what });
        }
        let origin =
            |variable: &str| Origin::Environment { container: name.into(), variable: variable.into() };
        flags::environment(&environment.known(), settings, origin);
    }
}

/// clap's message without its frame, on one line, at most 300 characters.
fn summary(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines = message.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let kept: Vec<&str> = lines.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    kept.join("; ").chars().filter(|c| !c.is_control()).take(300).collect()
}
