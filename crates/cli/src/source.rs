//! Where a verb's rules come from: a mesh's own flags (`istio --istio-inbound-ports '*'`) or a pod (`pod FILE`). The
//! subcommands for the meshes are made from the dialects' own tables, so `--help` lists exactly what is accepted.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgMatches, Command, FromArgMatches, Subcommand, value_parser};
use meshward_manifest::{Document, Place};
use meshward_redirect::dialect::{self, Effect, Flag, Origin, Settings, Surroundings, flags, kuma};
use meshward_redirect::{Mesh, RuleSet};

use crate::exit::Failure;
use crate::input::Input;
use crate::kyverno;
use crate::terminal;

/// What the rules are to be made from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A mesh and its flags.
    Flags(MeshFlags),
    /// The pods of a file.
    Pod(PodSource),
}

/// `pod FILE [--namespace FILE]`
#[derive(Debug, Clone)]
pub(crate) struct PodSource {
    /// The manifest; `-` for standard input.
    pub(crate) file: PathBuf,
    /// A manifest that holds the namespace object.
    pub(crate) namespace: Option<PathBuf>,
}

/// Letters and long names that our own verbs use; a peer's flag of that name keeps its other form, or has none: all of
/// these change no rule, except `-o`, whose long form stays.
const TAKEN_SHORT: [char; 2] = ['o', 'h'];
const TAKEN_LONG: [&str; 2] = ["netns", "dry-run"];

impl Subcommand for Source {
    fn augment_subcommands(command: Command) -> Command {
        let command =
            Mesh::ALL.into_iter().fold(command, |command, mesh| command.subcommand(mesh_command(mesh)));
        command.subcommand(pod_command())
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        name == "pod" || Mesh::ALL.into_iter().any(|mesh| mesh.name() == name)
    }
}

fn mesh_command(mesh: Mesh) -> Command {
    let about = match mesh {
        Mesh::Istio => "From the flags of istio-iptables",
        Mesh::Linkerd => "From the flags of linkerd's proxy-init",
        Mesh::Kuma => "From the flags of kumactl install transparent-proxy",
        Mesh::Consul => "From the flags of consul connect redirect-traffic",
    };
    let arguments = flags::args(dialect::flags_of(mesh), &TAKEN_SHORT)
        .into_iter()
        .filter(|argument| !TAKEN_LONG.contains(&argument.get_id().as_str()));
    Command::new(mesh.name()).about(about).args(arguments)
}

fn pod_command() -> Command {
    Command::new("pod")
        .about("From a manifest: Pod, any workload kind, List, several documents")
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .required(true)
                .value_parser(value_parser!(PathBuf))
                .help("The manifest, YAML or JSON; - for standard input"),
        )
        .arg(
            Arg::new("namespace")
                .long("namespace")
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .help("A manifest with the namespace object, whose annotations count too"),
        )
}

impl FromArgMatches for Source {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, matches) = matches.subcommand().ok_or_else(|| {
            clap::Error::raw(clap::error::ErrorKind::MissingSubcommand, "a mesh or `pod FILE` is needed\n")
        })?;
        match Mesh::ALL.into_iter().find(|mesh| mesh.name() == name) {
            Some(mesh) => Ok(Source::Flags(MeshFlags { mesh, matches: matches.clone() })),
            None => Ok(Source::Pod(PodSource {
                file: matches.get_one::<PathBuf>("file").cloned().unwrap_or_default(),
                namespace: matches.get_one::<PathBuf>("namespace").cloned(),
            })),
        }
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A mesh with the flags it was given.
#[derive(Debug, Clone)]
pub(crate) struct MeshFlags {
    pub(crate) mesh: Mesh,
    matches: ArgMatches,
}

impl MeshFlags {
    /// The settings, in the peers' order: configuration files, over them the environment, over it the flags.
    fn settings(&self) -> Result<Settings, Failure> {
        let flags = dialect::flags_of(self.mesh);
        let mut settings = Settings::new(flags);
        if self.mesh == Mesh::Kuma {
            self.kuma_files(&mut settings)?;
        }
        flags::environment(&process_environment(flags), &mut settings, |variable| Origin::Variable {
            variable: variable.into(),
        });
        flags::collect(flags, &self.matches, &mut settings, |flag| Origin::Flag {
            flag: format!("--{flag}"),
        });
        Ok(settings)
    }

    fn kuma_files(&self, settings: &mut Settings) -> Result<(), Failure> {
        let given = self.matches.get_many::<String>("config").into_iter().flatten();
        for file in given.flat_map(|files| files.split(',')).filter(|file| !file.is_empty()) {
            let input = Input::read(Path::new(file))?;
            for document in &input.documents {
                let origin = |path: &str| Origin::File { file: input.name.clone(), path: path.into() };
                let lints = kuma::config::apply(&document.value, settings, origin).map_err(|error| {
                    Failure::Reported(input.error(&error.to_string(), config_place(document, &error.origin)))
                })?;
                lints.iter().for_each(|lint| terminal::warning(&format!("{}: {lint}", input.name)));
            }
        }
        Ok(())
    }

    /// The rules; lints are told to the user.
    pub(crate) fn build(&self, surroundings: Surroundings) -> Result<RuleSet, Failure> {
        Ok(self.build_from(surroundings)?.0)
    }

    /// The rules with the settings they are made from.
    pub(crate) fn build_from(&self, surroundings: Surroundings) -> Result<(RuleSet, Settings), Failure> {
        let settings = self.settings()?;
        let built = dialect::build(self.mesh, &settings, surroundings).map_err(Failure::input)?;
        built.lints.iter().for_each(|lint| terminal::warning(&lint.to_string()));
        Ok((built.rules, settings))
    }
}

/// The line of a configuration file that a setting stands on.
fn config_place(document: &Document, origin: &Origin) -> Option<Place> {
    let Origin::File { path, .. } = origin else { return None };
    document.object().nearest(&format!("/{}", path.replace('.', "/"))).map(|(place, _)| place)
}

/// The variables of this process that the table names. Flags without effect stay out: theirs may hold secrets.
fn process_environment(flags: &[Flag]) -> Vec<(String, String)> {
    let names = flags.iter().filter(|flag| flag.effect == Effect::Rules).flat_map(|flag| flag.environment);
    names.filter_map(|name| Some(((*name).to_string(), std::env::var(name).ok()?))).collect()
}

/// The command line with Consul's one-dash long flags (`-proxy-uid 5995`, as Go's flag package takes them) written with
/// two, as everybody else's parsers want them, and with the values of Kyverno's switches (`--table=true`) resolved.
pub(crate) fn command_line() -> Vec<OsString> {
    let known = |word: &str| {
        let name = word.split('=').next().unwrap_or(word);
        dialect::flags_of(Mesh::Consul).iter().any(|flag| flag.long == name)
    };
    let (mut consul, mut kyverno) = (false, false);
    std::env::args_os()
        .enumerate()
        .filter_map(|(index, word)| {
            let Some(text) = word.to_str() else { return Some(word) };
            consul |= text == Mesh::Consul.name();
            kyverno |= index == 1 && ["apply", "test"].contains(&text);
            match text.strip_prefix('-') {
                Some(flag) if consul && known(flag) => Some(format!("--{flag}").into()),
                Some(_) if kyverno => kyverno::flags::switch(text).unwrap_or(Some(word)),
                _ => Some(word),
            }
        })
        .collect()
}
