//! `meshward program`: rules put in force in a network namespace, checked, or taken away.

mod watch;

use std::error::Error;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use meshward_redirect::dialect::Surroundings;
use meshward_redirect::netns::{GuardError, NetNs, OpenNetNs, guard};
use meshward_redirect::nft::Lock;
use meshward_redirect::program::{self, Backend, Options, ProgramError, Programmed};
use meshward_redirect::rtnl::RouteSocket;
use meshward_redirect::{Mesh, RuleSet, render};

use crate::exit::{Failure, Outcome};
use crate::pods;
use crate::source::{PodSource, Source};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  meshward program --netns /run/netns/web pod deployment.yaml
  meshward program --pid 4242 istio --istio-inbound-ports '*' --istio-service-cidr '*'
  meshward program --netns /run/netns/web --check pod deployment.yaml
  meshward program --netns /run/netns/web --watch --lock on pod deployment.yaml
  meshward program --netns /run/netns/web --cleanup

Exit codes: 0 in force (or, with --check, unchanged), 1 --check found a difference, 2 wrong input, 3 could not be done";

/// Put a mesh's rules in force in a network namespace, check them, or remove them
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How rules get into the kernel
    #[arg(long, global = true, default_value = "auto", value_parser = parse_backend, value_name = "auto|nft|iptables-nft|iptables-legacy")]
    backend: Backend,
    /// Stay, and put right what somebody changes, until interrupted
    #[arg(long, global = true, conflicts_with_all = ["check", "cleanup", "preview"])]
    watch: bool,
    /// Whether the table is locked against everybody else while --watch stays (nft backend, Linux 6.9 or newer)
    #[arg(long, global = true, value_enum, default_value_t = LockChoice::Auto)]
    lock: LockChoice,
    /// Refuse a namespace that holds none of these addresses
    #[arg(long = "expect-ip", global = true, value_name = "ADDRESS", value_delimiter = ',', value_parser = super::parse_address)]
    expect_ips: Vec<IpAddr>,
    /// Leave rules that the mesh's own init container set up before
    #[arg(long, global = true)]
    keep_older: bool,
    /// Change nothing: compare what is in force with what is wanted, print the difference
    #[arg(long, global = true, conflicts_with_all = ["cleanup", "preview"])]
    check: bool,
    /// Remove our rules: of the mesh that is named, or of every mesh
    #[arg(long, global = true, conflicts_with = "preview")]
    cleanup: bool,
    /// Change nothing: print what would be put in force
    #[arg(long = "dry-run", id = "preview", global = true)]
    preview: bool,
    #[command(subcommand)]
    source: Option<Source>,
}

#[derive(Args)]
struct Target {
    /// The network namespace, as a path such as /run/netns/NAME
    #[arg(long, global = true, value_name = "PATH", conflicts_with = "pid")]
    netns: Option<PathBuf>,
    /// The network namespace of this process
    #[arg(long, global = true, value_name = "N")]
    pid: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LockChoice {
    /// Locked where the kernel can
    Auto,
    /// Locked, or an error
    On,
    /// Not locked
    Off,
}

impl From<LockChoice> for Lock {
    fn from(choice: LockChoice) -> Self {
        match choice {
            LockChoice::Auto => Lock::IfAvailable,
            LockChoice::On => Lock::Required,
            LockChoice::Off => Lock::Off,
        }
    }
}

fn parse_backend(text: &str) -> Result<Backend, String> {
    text.parse().map_err(|error: meshward_redirect::net::InvalidValue| error.to_string())
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    if matches!(arguments.lock, LockChoice::On) && !arguments.watch {
        return Err(Failure::input(
            "--lock on needs --watch: a lock lasts as long as the process that holds it",
        ));
    }
    let namespace = open(&arguments.target)?;
    // Before anything enters it, so that a wrong namespace is told apart from a missing privilege.
    guard(&namespace, &[]).map_err(|error| failure(error.into()))?;
    let options = Options {
        backend: arguments.backend,
        // A lock ends with the process that holds it.
        lock: if arguments.watch { arguments.lock.into() } else { Lock::Off },
        expect_ips: arguments.expect_ips.clone(),
        remove_older: !arguments.keep_older,
    };
    if arguments.cleanup {
        return clean(&namespace, mesh_of(arguments.source)?, &options);
    }
    let Some(source) = arguments.source else {
        return Err(Failure::input(
            "what to put in force is missing: `pod FILE`, or a mesh and its flags (see --help)",
        ));
    };
    let Some(rules) = wanted(source, &namespace)? else { return Ok(()) };
    if arguments.check {
        return check(&namespace, &rules, &options);
    }
    if arguments.preview {
        return preview(&namespace, &rules, &options);
    }
    if arguments.watch {
        return watch::run(namespace, rules, options);
    }
    let done = program::program(&namespace, &rules, &options).map_err(failure)?;
    report(&namespace, &rules, &done, false);
    Ok(())
}

fn open(target: &Target) -> Result<NetNs, Failure> {
    let namespace = match (&target.netns, target.pid) {
        (Some(path), _) => NetNs::open(path),
        (None, Some(pid)) => NetNs::of_pid(pid),
        (None, None) => return Err(Failure::input("no network namespace given: --netns PATH or --pid N")),
    };
    namespace.map_err(|error| match error {
        OpenNetNs::Gone { .. } | OpenNetNs::NotANamespace { .. } => Failure::input(chain(&error)),
        _ => Failure::impossible(chain(&error)),
    })
}

/// The rules asked for; nothing for a pod that wants none.
fn wanted(source: Source, namespace: &NetNs) -> Result<Option<RuleSet>, Failure> {
    let addresses = namespace
        .run(|| RouteSocket::open().and_then(|mut socket| socket.global_addresses()))
        .map_err(|error| Failure::impossible(chain(&error)))?
        .map_err(|error| Failure::impossible(chain(&error)))?;
    let surroundings = Surroundings::of(&addresses);
    match source {
        Source::Flags(flags) => flags.build(surroundings).map(Some),
        Source::Pod(source) => one_pod(&source, surroundings),
    }
}

fn one_pod(source: &PodSource, surroundings: Surroundings) -> Result<Option<RuleSet>, Failure> {
    let mut pods = pods::judge(source, surroundings)?;
    match (pods.pop(), pods.len()) {
        (Some(pod), 0) => match pod.rules {
            Ok((_, rules)) => Ok(Some(rules)),
            Err(reason) => {
                terminal::note(&format!("{}: no rules: {reason}", pod.title));
                Ok(None)
            }
        },
        (_, others) => Err(Failure::input(format!(
            "{}: found {} pods, accepted: one, because a network namespace is one pod's",
            source.file.display(),
            others + 1
        ))),
    }
}

fn mesh_of(source: Option<Source>) -> Result<Option<Mesh>, Failure> {
    match source {
        None => Ok(None),
        Some(Source::Flags(flags)) => Ok(Some(flags.mesh)),
        Some(Source::Pod(source)) => {
            let pods = pods::judge(&source, Surroundings::default())?;
            Ok(pods.iter().find_map(|pod| pod.rules.as_ref().ok().map(|(plan, _)| plan.mesh)))
        }
    }
}

fn check(namespace: &NetNs, rules: &RuleSet, options: &Options) -> Outcome {
    match program::check(namespace, rules, options).map_err(failure)? {
        None => {
            terminal::print(&format!("{namespace}: unchanged, {} in force\n", count(rules)));
            Ok(())
        }
        Some(drift) => {
            terminal::print(&format!("{namespace}: {drift}\n"));
            Err(Failure::Found)
        }
    }
}

fn preview(namespace: &NetNs, rules: &RuleSet, options: &Options) -> Outcome {
    let text = match options.backend {
        Backend::Auto | Backend::Nft => render::nft::render(rules),
        Backend::IptablesNft | Backend::IptablesLegacy => render::iptables::render(rules),
    };
    terminal::print(&text);
    match program::check(namespace, rules, options).map_err(failure)? {
        None => terminal::note(&format!("{namespace}: these rules are in force already")),
        Some(drift) => terminal::note(&format!("{namespace}: now {drift}")),
    }
    Ok(())
}

fn clean(namespace: &NetNs, mesh: Option<Mesh>, options: &Options) -> Outcome {
    let removed = program::cleanup(namespace, mesh, options).map_err(failure)?;
    if removed.is_empty() {
        terminal::print(&format!("{namespace}: nothing of ours was there\n"));
    }
    let routing = removed.routing.iter().map(ToString::to_string);
    for item in removed.rules.iter().cloned().chain(routing) {
        terminal::print(&format!("{namespace}: removed {item}\n"));
    }
    Ok(())
}

fn report(namespace: &NetNs, rules: &RuleSet, done: &Programmed, stays: bool) {
    let what = if done.changed { "put in force and read back" } else { "in force already, nothing written" };
    let lock = if stays { format!(", {}", done.lock) } else { String::new() };
    let number = count(rules);
    let mut text = format!("{namespace}: {number} of {} {what} ({}{lock})\n", rules.mesh, done.backend);
    for item in &done.routing {
        text.push_str(&format!("  added {item}\n"));
    }
    for older in &done.older {
        text.push_str(&format!("  {older}\n"));
    }
    terminal::print(&text);
    for foreign in &done.foreign {
        terminal::warning(&format!(
            "{namespace}: {foreign} is on the same hooks and could decide before our rules"
        ));
    }
}

fn count(rules: &RuleSet) -> String {
    match rules.rules().count() {
        1 => "1 rule".into(),
        number => format!("{number} rules"),
    }
}

/// A namespace that is nobody's pod is wrong input; everything else is about what can be done here.
fn failure(error: ProgramError) -> Failure {
    match error {
        ProgramError::Guard(GuardError::HostNamespace { .. } | GuardError::OtherPod { .. }) => {
            Failure::input(chain(&error))
        }
        _ => Failure::impossible(chain(&error)),
    }
}

/// An error with its causes on one line.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}
