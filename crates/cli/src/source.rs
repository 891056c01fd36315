//! Where a verb's rules come from: a mesh's own flags (`istio --istio-inbound-ports '*'`) or a pod (`pod FILE`). The
//! subcommands for the meshes are made from the dialects' own tables, so `--help` lists exactly what is accepted.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, FromArgMatches, Subcommand, value_parser};
use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Origin, Settings, flags};

/// What the rules are to be made from.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// A mesh and its flags.
    Flags(Mesh, Settings),
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
const TAKEN_LONG: [&str; 1] = ["netns"];

impl Subcommand for Source {
    fn augment_subcommands(command: Command) -> Command {
        let command = command.subcommand_required(true).arg_required_else_help(true);
        let command = Mesh::ALL.into_iter().fold(command, |command, mesh| command.subcommand(mesh_command(mesh)));
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
        let (name, matches) = matches
            .subcommand()
            .ok_or_else(|| clap::Error::raw(clap::error::ErrorKind::MissingSubcommand, "a mesh or `pod FILE` is needed\n"))?;
        match Mesh::ALL.into_iter().find(|mesh| mesh.name() == name) {
            Some(mesh) => Ok(Source::Flags(mesh, settings(mesh, matches))),
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

/// The environment first, then the flags over it, as in the peers.
fn settings(mesh: Mesh, matches: &ArgMatches) -> Settings {
    let flags = dialect::flags_of(mesh);
    let mut settings = Settings::new(flags);
    settings.environment(|variable| std::env::var(variable).ok(), |variable| Origin::Variable { variable: variable.into() });
    flags::collect(flags, matches, &mut settings, |flag| Origin::Flag { flag: format!("--{flag}") });
    settings
}
