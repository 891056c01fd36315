//! `meshward trace`: which rule decides about a packet, and where the packet goes. Pure: nothing is sent.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use meshward_redirect::RuleSet;
use meshward_redirect::dialect::{self, Origin, Setting, Settings, Surroundings};
use meshward_redirect::net::Family;
use meshward_redirect::trace::{Direction, Environment, InvalidPacket, PacketSpec, Trace};
use serde_json::{Value, json};

use crate::exit::{Failure, Outcome};
use crate::input::Input;
use crate::pods;
use crate::source::{PodSource, Source};
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  meshward trace deployment.yaml --out tcp 10.0.0.7:443 --uid 1000
  meshward trace deployment.yaml --in tcp 10.1.2.3:8080 --from 10.9.9.9
  meshward trace --out udp 10.96.0.10:53 istio --istio-service-cidr '*' --redirect-dns
  meshward rules kuma --kuma-dp-user 5678 -o json > rules.json && meshward trace --rules rules.json --out tcp 10.0.0.7:80";

/// Explain what a mesh's rules do with one packet
#[derive(Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = false, subcommand_precedence_over_arg = true)]
pub(crate) struct Arguments {
    /// The manifest whose pod's rules are meant; - for standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// A manifest with the namespace object, whose annotations count too
    #[arg(long = "namespace-file", value_name = "FILE", requires = "file")]
    namespace: Option<PathBuf>,
    /// Rules that `meshward rules … -o json` printed
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    rules: Option<PathBuf>,
    #[command(flatten)]
    packet: Packet,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text, global = true)]
    output: Form,
    /// Also list the rules that did not match, and why
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    source: Option<Source>,
}

#[derive(Args)]
#[command(next_help_heading = "The packet")]
struct Packet {
    /// A process of the pod sends it: tcp or udp, and ADDRESS:PORT
    #[arg(long, num_args = 2, value_names = ["PROTOCOL", "DESTINATION"], global = true)]
    out: Option<Vec<String>>,
    /// It arrives at the pod: tcp or udp, and ADDRESS:PORT
    #[arg(long = "in", id = "arrives", num_args = 2, value_names = ["PROTOCOL", "DESTINATION"], global = true, conflicts_with = "out")]
    arrives: Option<Vec<String>>,
    /// Where it comes from: ADDRESS or ADDRESS:PORT
    #[arg(long, value_name = "SOURCE", global = true)]
    from: Option<String>,
    /// User of the sending process; none for a packet that no process sent [default: 1000, an application]
    #[arg(long, value_name = "UID", global = true)]
    uid: Option<String>,
    /// Group of the sending process [default: the uid]
    #[arg(long, value_name = "GID", global = true)]
    gid: Option<String>,
    /// Interface it leaves or arrives by
    #[arg(long, visible_alias = "iface", value_name = "NAME", global = true)]
    interface: Option<String>,
    /// Packet mark, decimal or 0x and hexadecimal
    #[arg(long, value_name = "MARK", global = true)]
    mark: Option<String>,
    /// Mark of its connection
    #[arg(long, value_name = "MARK", global = true)]
    connection_mark: Option<String>,
    /// State of its connection: new, established, related, invalid
    #[arg(long, value_name = "STATE", global = true)]
    state: Option<String>,
    /// The pod's own addresses
    #[arg(long = "pod-ip", value_name = "ADDRESS", value_delimiter = ',', global = true, value_parser = super::parse_address)]
    pod_ips: Vec<IpAddr>,
    /// No transparent socket listens on the proxy's port (TPROXY)
    #[arg(long, global = true)]
    no_listener: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// Every step as data
    Json,
}

/// Something whose packet is traced.
struct Subject {
    title: Option<String>,
    rules: Result<RuleSet, String>,
    /// What the rules were made from; not known of rules from a file.
    settings: Option<Settings>,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let (spec, environment) = arguments.packet.read()?;
    let subjects = subjects(&arguments, surroundings(&spec, &environment))?;
    let mut values = Vec::new();
    for subject in &subjects {
        let traced = match &subject.rules {
            Ok(rules) => Ok(spec.trace(rules, &environment).map_err(Failure::input)?),
            Err(reason) => Err(reason),
        };
        match arguments.output {
            Form::Json => values.push(json(subject, traced)),
            Form::Text => terminal::print(&text(subject, traced, arguments.verbose, subjects.len() > 1)),
        }
    }
    if arguments.output == Form::Json {
        let value = if values.len() == 1 { values.remove(0) } else { Value::Array(values) };
        terminal::print(&format!("{value:#}\n"));
    }
    Ok(())
}

fn text(subject: &Subject, traced: Result<Trace, &String>, verbose: bool, titled: bool) -> String {
    let title =
        subject.title.as_ref().filter(|_| titled).map(|title| format!("# {title}\n")).unwrap_or_default();
    match traced {
        Ok(trace) => title + &trace.explain(verbose) + &rules_met(subject, &trace),
        Err(reason) => {
            format!("{title}verdict  goes where it was sent\nbecause  there are no rules: {reason}\n")
        }
    }
}

/// The rules that matched: why each is there, and where the option behind it was set.
fn rules_met(subject: &Subject, trace: &Trace) -> String {
    let Ok(rules) = &subject.rules else { return String::new() };
    let mut met: Vec<(&str, Option<&str>)> = Vec::new();
    for step in trace.rules().filter(|step| step.matched) {
        let one = (&*step.rule, step.option.as_deref());
        if !met.contains(&one) {
            met.push(one);
        }
    }
    let mut text = String::new();
    for (name, option) in met {
        let explanation = dialect::explain(rules.mesh, name).unwrap_or("a rule of your own");
        text.push_str(&format!("  {name}: {explanation}\n"));
        if let Some((option, settings)) = option.zip(subject.settings.as_ref()) {
            text.push_str(&format!("    {}\n", origin(&settings.get(option))));
        }
    }
    if text.is_empty() { text } else { format!("rules\n{text}") }
}

/// `--envoy-port 15001: argument --envoy-port of container istio-init`
fn origin(setting: &Setting) -> String {
    let value = if setting.value.is_empty() { "(empty)" } else { &setting.value };
    let from = match &setting.origin {
        Origin::Flag { .. } => "given on the command line".to_string(),
        other => other.to_string(),
    };
    format!("--{} {value}: {from}", setting.option)
}

fn json(subject: &Subject, traced: Result<Trace, &String>) -> Value {
    let mut value = match traced {
        Ok(trace) => json!(trace),
        Err(reason) => json!({ "verdict": { "kind": "untouched" }, "reason": reason }),
    };
    let steps = value.get_mut("steps").and_then(Value::as_array_mut);
    for step in steps.into_iter().flatten().filter_map(Value::as_object_mut) {
        let option = step.get("option").and_then(Value::as_str);
        if let Some((option, settings)) = option.zip(subject.settings.as_ref()) {
            step.insert("from".into(), settings.get(option).origin.to_string().into());
        }
    }
    if let (Some(title), Some(fields)) = (&subject.title, value.as_object_mut()) {
        fields.insert("object".into(), title.clone().into());
    }
    value
}

fn subjects(arguments: &Arguments, surroundings: Surroundings) -> Result<Vec<Subject>, Failure> {
    let of_pods = |source: &PodSource| -> Result<Vec<Subject>, Failure> {
        let judged = pods::judge(source, surroundings)?;
        Ok(judged
            .into_iter()
            .map(|pod| {
                let settings = pod.rules.as_ref().ok().map(|(plan, _)| plan.settings.clone());
                let rules = pod.rules.map(|(_, rules)| rules).map_err(|reason| reason.to_string());
                Subject { title: Some(pod.title), rules, settings }
            })
            .collect())
    };
    match (&arguments.source, &arguments.file, &arguments.rules) {
        (Some(_), Some(_), _) | (Some(_), _, Some(_)) => Err(Failure::input(
            "rules of two sources: accepted is one of FILE, --rules FILE, a mesh and its flags",
        )),
        (Some(Source::Flags(flags)), ..) => {
            let (rules, settings) = flags.build_from(surroundings)?;
            Ok(vec![Subject { title: None, rules: Ok(rules), settings: Some(settings) }])
        }
        (Some(Source::Pod(source)), ..) => of_pods(source),
        (None, Some(file), _) => {
            of_pods(&PodSource { file: file.clone(), namespace: arguments.namespace.clone() })
        }
        (None, None, Some(file)) => {
            Ok(vec![Subject { title: None, rules: Ok(read_rules(file)?), settings: None }])
        }
        (None, None, None) => Err(Failure::input(
            "whose rules? Accepted: a manifest FILE, --rules FILE, or a mesh and its flags",
        )),
    }
}

/// Rules as `meshward rules … -o json` prints them, also with the pod's options around them.
fn read_rules(file: &Path) -> Result<RuleSet, Failure> {
    let input = Input::read(file)?;
    let value = match input.documents.as_slice() {
        [one] => &one.value,
        several => {
            let found = several.len();
            return Err(Failure::input(format!(
                "{}: found {found} documents, accepted: one rule set",
                input.name
            )));
        }
    };
    let rules = value.get("rules").filter(|_| value.get("tables").is_none()).unwrap_or(value);
    let refused = |error: String| {
        Failure::input(format!(
            "{}: no rule set: {error}; accepted: what `meshward rules … -o json` prints",
            input.name
        ))
    };
    let rules: RuleSet = serde_json::from_value(rules.clone()).map_err(|error| refused(error.to_string()))?;
    rules.validate().map_err(|error| refused(error.to_string()))?;
    Ok(rules)
}

impl Packet {
    fn read(&self) -> Result<(PacketSpec, Environment), Failure> {
        if self.out.is_none() && self.arrives.is_none() {
            return Err(Failure::input(
                "which packet? Accepted: --out PROTOCOL ADDRESS:PORT or --in PROTOCOL ADDRESS:PORT",
            ));
        }
        let spec = self.spec().map_err(|error| Failure::input(format!("the packet: {error}")))?;
        let environment = Environment {
            addresses: self.pod_ips.clone(),
            transparent_listener: !self.no_listener,
            ..Environment::default()
        };
        Ok((spec, environment))
    }

    fn spec(&self) -> Result<PacketSpec, InvalidPacket> {
        let (direction, words) = match (&self.out, &self.arrives) {
            (Some(words), _) => (Direction::Out, words.as_slice()),
            (None, words) => (Direction::In, words.as_deref().unwrap_or_default()),
        };
        let word = |index: usize| words.get(index).map(String::as_str).unwrap_or_default();
        let mut spec = PacketSpec::new(direction, word(0), word(1))?;
        let given: [(&Option<String>, Setter); 7] = [
            (&self.from, PacketSpec::from),
            (&self.uid, PacketSpec::uid),
            (&self.gid, PacketSpec::gid),
            (&self.interface, PacketSpec::interface),
            (&self.mark, PacketSpec::mark),
            (&self.connection_mark, PacketSpec::connection_mark),
            (&self.state, PacketSpec::state),
        ];
        for (value, set) in given {
            if let Some(value) = value {
                spec = set(spec, value)?;
            }
        }
        Ok(spec)
    }
}

/// A pod that sends or gets IPv6, or has such an address, is in a namespace that has IPv6; whether it has IPv4 too is
/// only known when somebody says so.
fn surroundings(spec: &PacketSpec, environment: &Environment) -> Surroundings {
    let sees_ipv6 = spec.resolve(environment).0.family() == Family::Ipv6;
    let has_ipv6 = environment.addresses.iter().any(IpAddr::is_ipv6);
    let has_ipv4 = environment.addresses.iter().any(IpAddr::is_ipv4);
    Surroundings {
        global_ipv4: has_ipv4.then_some(true),
        global_ipv6: (sees_ipv6 || has_ipv6).then_some(true),
    }
}

type Setter = fn(PacketSpec, &str) -> Result<PacketSpec, InvalidPacket>;
