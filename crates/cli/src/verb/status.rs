//! `meshward status`: how the agents and the pods stand, from the cluster or from the agent of one node. What needs
//! somebody comes first, with its reason.

mod cluster;
mod render;
mod socket;
mod view;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use meshward_kit::client::Access;
use meshward_manifest::to_yaml;
use serde::Serialize;

use crate::exit::{Failure, Outcome};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  meshward status
  meshward status -n shop -o json
  meshward status --waiting-limit 5m
  sudo meshward status --socket /run/meshward/admin.sock

Exit codes: 1 when a pod is refused, failed or waits too long or an agent is not ready, 3 when nothing can be learned";

/// Show how agents and pods stand: who waits, who is refused, and why
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Ask the agent of this node over its unix socket, not the cluster; every waiting pod counts as waiting too long
    #[arg(long, value_name = "PATH", conflicts_with_all = ["kubeconfig", "context", "namespace", "waiting_limit"])]
    socket: Option<PathBuf>,
    /// Only the pods of this namespace
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Kubeconfig in place of KUBECONFIG, the service account and ~/.kube/config
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// A context of the kubeconfig other than its current one
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// How long a pod may wait before it counts as a problem: 90s, 5m, 1h
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = parse_limit)]
    waiting_limit: Duration,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For people
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
}

fn parse_limit(text: &str) -> Result<Duration, String> {
    let accepted = || "accepted: a duration such as 90s, 5m or 1h".to_string();
    let (digits, unit) =
        text.split_at(text.len() - text.bytes().rev().take_while(u8::is_ascii_alphabetic).count());
    let number: u64 = digits.parse().map_err(|_| accepted())?;
    let factor = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(accepted()),
    };
    number.checked_mul(factor).map(Duration::from_secs).ok_or_else(accepted)
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    // Only this verb talks to others; the rest of the command starts without a runtime.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::impossible(format!("cannot start: {error}")))?;
    let bad = match &arguments.socket {
        Some(path) => {
            let status = runtime.block_on(socket::ask(path)).map_err(Failure::impossible)?;
            print(arguments.output, &status, render::node)?;
            !status.ready || status.pods.iter().any(|pod| view::is_bad(pod.phase) || view::waits(pod.phase))
        }
        None => {
            let access = Access {
                kubeconfig: arguments.kubeconfig,
                context: arguments.context,
                user_agent: format!("meshward/{}", env!("CARGO_PKG_VERSION")),
            };
            let found = runtime.block_on(cluster::read(&access, arguments.namespace.as_deref()));
            let found = found.map_err(Failure::impossible)?;
            for note in &found.notes {
                terminal::warning(note);
            }
            let view = view::view(&found, now(), arguments.waiting_limit);
            print(arguments.output, &view, render::cluster)?;
            view.problems > 0
        }
    };
    if bad { Err(Failure::Found) } else { Ok(()) }
}

/// Seconds since 1970.
fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

fn print<T: Serialize>(form: Form, value: &T, table: impl Fn(&T) -> String) -> Outcome {
    let json = || serde_json::to_value(value).map_err(Failure::impossible);
    let text = match form {
        Form::Table => table(value),
        Form::Json => format!("{:#}\n", json()?),
        Form::Yaml => to_yaml(&json()?),
    };
    terminal::print(&text);
    Ok(())
}
