//! The `meshward` command: a thin shell over the libraries. Parsing is clap's, the work is theirs; what is left here is
//! reading files, printing, and exit codes.

mod exit;
mod input;
mod kinds;
mod kyverno;
mod load;
mod pods;
mod results;
mod source;
mod standards;
mod terminal;
mod verb;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use exit::Outcome;

// Documents are read, judged and dropped by the thousand.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLES: &str = "\
Examples:
  meshward rules istio --istio-inbound-ports '*' --istio-service-cidr '*'
  meshward rules pod deployment.yaml -o json
  meshward trace deployment.yaml --out tcp 10.0.0.7:443 --uid 1000
  meshward program --netns /run/netns/web pod deployment.yaml
  meshward swap deployment.yaml -o diff
  meshward check --level restricted manifests/
  meshward explain pod.yaml
  meshward status
  meshward apply policies/ -r deployment.yaml
  meshward test policies/
  meshward demo

Exit codes: 0 fine, 1 drift or a violation was found, 2 wrong input, 3 could not be done here";

/// Service-mesh redirection without privileges in the pod.
#[derive(Parser)]
#[command(name = "meshward", version, after_help = EXAMPLES, max_term_width = 110, disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    Rules(verb::rules::Arguments),
    Trace(Box<verb::trace::Arguments>),
    Program(verb::program::Arguments),
    Demo(verb::demo::Arguments),
    Swap(verb::swap::Arguments),
    Check(verb::check::Arguments),
    Apply(Box<verb::apply::Arguments>),
    Test(verb::test::Arguments),
    Explain(verb::explain::Arguments),
    Lint(verb::lint::Arguments),
    Migrate(verb::migrate::Arguments),
    Jp(verb::jp::Arguments),
    Status(verb::status::Arguments),
    Version(verb::version::Arguments),
    Completions(verb::completions::Arguments),
    Generate(verb::generate::Arguments),
}

/// The whole command line, for completions and the reference.
pub(crate) fn command() -> clap::Command {
    Cli::command()
}

fn run(verb: Verb) -> Outcome {
    match verb {
        Verb::Rules(arguments) => verb::rules::run(arguments),
        Verb::Trace(arguments) => verb::trace::run(*arguments),
        Verb::Program(arguments) => verb::program::run(arguments),
        Verb::Demo(arguments) => verb::demo::run(arguments),
        Verb::Swap(arguments) => verb::swap::run(arguments),
        Verb::Check(arguments) => verb::check::run(arguments),
        Verb::Apply(arguments) => verb::apply::run(*arguments),
        Verb::Test(arguments) => verb::test::run(arguments),
        Verb::Explain(arguments) => verb::explain::run(arguments),
        Verb::Lint(arguments) => verb::lint::run(arguments),
        Verb::Migrate(arguments) => verb::migrate::run(arguments),
        Verb::Jp(arguments) => verb::jp::run(arguments),
        Verb::Status(arguments) => verb::status::run(arguments),
        Verb::Version(arguments) => verb::version::run(arguments),
        Verb::Completions(arguments) => verb::completions::run(arguments),
        Verb::Generate(arguments) => verb::generate::run(arguments),
    }
}

fn main() -> ExitCode {
    // clap prints its own errors and ends with 2, the code for wrong input.
    match run(Cli::parse_from(source::command_line()).verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
