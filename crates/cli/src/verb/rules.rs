//! `meshward rules`: what a mesh wants in a pod's network namespace, printed. Needs no privileges and touches nothing.

use clap::{Args, ValueEnum};
use meshward_redirect::RuleSet;
use meshward_redirect::dialect::Surroundings;
use meshward_redirect::render;
use serde_json::{Value, json};

use crate::exit::{Failure, Outcome};
use crate::pods::{self, Judged};
use crate::source::{PodSource, Source};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  meshward rules istio --istio-inbound-ports '*' --istio-service-cidr '*'
  meshward rules linkerd --inbound-ports-to-ignore 4190,4191,9000-9010 -o iptables
  meshward rules pod deployment.yaml --namespace namespace.yaml -o json
  kubectl get pod web-0 -o yaml | meshward rules pod -";

/// Print the rules a mesh wants, from its own flags or from a manifest
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Nft, global = true)]
    output: Form,
    #[command(subcommand)]
    source: Source,
}

/// How a rule set is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Form {
    /// What `nft -f` takes
    Nft,
    /// What iptables-restore takes; below a line `# ip6tables`, what ip6tables-restore takes
    Iptables,
    /// The rule set as data, with every option and where it came from
    Json,
}

impl Form {
    fn text(self, rules: &RuleSet) -> String {
        match self {
            Form::Nft => render::nft::render(rules),
            Form::Iptables => render::iptables::render(rules),
            Form::Json => pretty(&json!(rules)),
        }
    }
}

fn pretty(value: &Value) -> String {
    // A Value always serialises.
    serde_json::to_string_pretty(value).unwrap_or_default() + "\n"
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    match arguments.source {
        Source::Flags(flags) => {
            terminal::print(&arguments.output.text(&flags.build(Surroundings::default())?))
        }
        Source::Pod(source) => terminal::print(&of_pods(&source, arguments.output)?),
    }
    Ok(())
}

fn of_pods(source: &PodSource, form: Form) -> Result<String, Failure> {
    let pods = pods::judge(source, Surroundings::default())?;
    if form == Form::Json {
        // One pod is the usual case, and scripts want it without unpacking a list.
        let values: Vec<Value> = pods.iter().map(Judged::to_json).collect();
        return Ok(match values.as_slice() {
            [one] => pretty(one),
            _ => pretty(&Value::Array(values)),
        });
    }
    let mut text = String::new();
    for pod in &pods {
        if pods.len() > 1 {
            text.push_str(&format!("# {}\n", pod.title));
        }
        match &pod.rules {
            Ok((_, rules)) => text.push_str(&form.text(rules)),
            Err(reason) => terminal::note(&format!("{}: no rules: {reason}", pod.title)),
        }
    }
    Ok(text)
}
