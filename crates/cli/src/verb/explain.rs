//! `meshward explain`: every check of one object with the fields it looked at, and what an exemption did or why it did
//! not. `check` says what is wrong; this is for whoever asks why, also why something passed.

mod account;
mod fields;
mod policies;
mod text;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use meshward_manifest::Object;
use meshward_policy::pss::{Level, LevelVersion, Version};

use crate::exit::{Failure, Outcome};
use crate::kinds::{Subject, subject};
use crate::kyverno::problem::Problems;
use crate::load::{self, Part, Told};
use crate::results::{self, Results, Screen};
use crate::standards::{Exemptions, Judge, Written, malformed, past, reference};
use crate::terminal;
use account::Account;
use policies::Policies;

const EXAMPLES: &str = "\
Examples:
  meshward explain pod.yaml
  meshward explain app.yaml --object Deployment/shop/web --level baseline --version v1.29
  meshward explain app.yaml --exemptions exemptions.yaml
  meshward explain app.yaml --policy require-labels.yaml -o json
  meshward explain app.yaml --policy policies/ -f values.yaml -e exceptions.yaml

Exit codes: 0 all allowed, 1 a violation, 2 something could not be read";

/// Explain every check of an object: fields, values, lines, exemptions
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Manifests or folders of them; - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Only this object: KIND, KIND/NAME or KIND/NAMESPACE/NAME
    #[arg(long, value_name = "OBJECT")]
    object: Option<String>,
    /// The level: privileged, baseline or restricted
    #[arg(long, value_name = "LEVEL", value_parser = super::check::parse_level, default_value = "restricted")]
    level: Level,
    /// The version of the standards: latest, or v1.N for those of Kubernetes 1.N
    #[arg(long, value_name = "VERSION", value_parser = super::check::parse_version, default_value = "latest")]
    version: Version,
    #[command(flatten)]
    policies: policies::Asked,
    /// Exemptions and mesh presets, in manifests or folders of them
    #[arg(long, value_name = "FILE")]
    exemptions: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(long, value_name = "NAME", default_value = "default")]
    default_namespace: String,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// One entry an object
    Json,
    /// The same as YAML
    Yaml,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let mut problems = Vec::new();
    // What is wrong with policies and what they are asked with is told as it is read.
    let mut told = Problems::default();
    let exemptions = Exemptions::read(&arguments.exemptions, &mut problems);
    let explain = Explain {
        policy: LevelVersion { level: arguments.level, version: arguments.version },
        judge: Judge { exemptions, namespace: arguments.default_namespace },
        policies: Policies::read(&arguments.policies, &mut told)?,
        wanted: arguments.object.as_deref().map(Wanted::parse).transpose()?,
    };
    let loaded = load::each_document(&arguments.files, |part, told| explain.document(part, told));
    loaded.told.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    problems.extend(loaded.told.problems);
    let accounts: Vec<Account> = loaded.values.into_iter().flatten().collect();
    if accounts.is_empty() && problems.is_empty() && told.is_empty() {
        let wanted =
            arguments.object.map_or_else(|| "an object with a pod".into(), |object| format!("{object:?}"));
        return Err(Failure::input(format!(
            "found no {wanted} in the files; `meshward check --all` lists them"
        )));
    }
    terminal::print(&match arguments.output {
        Form::Text => text::render(&accounts, Screen::standard_output()),
        Form::Json => serde_json::to_string_pretty(&account::to_value(&accounts)).unwrap_or_default() + "\n",
        Form::Yaml => meshward_manifest::to_yaml(&account::to_value(&accounts)),
    });
    let refused = accounts.iter().any(Account::is_refused);
    match results::end(&Results { verb: "explain", objects: Vec::new(), problems }) {
        Ok(()) | Err(Failure::Found) if !told.is_empty() => Err(Failure::Told),
        Ok(()) if refused => Err(Failure::Found),
        ended => ended,
    }
}

/// Which object is meant.
struct Wanted {
    kind: String,
    namespace: Option<String>,
    name: Option<String>,
}

impl Wanted {
    fn parse(text: &str) -> Result<Self, Failure> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind] => (kind, None, None),
            [kind, name] => (kind, None, Some(name)),
            [kind, namespace, name] => (kind, Some(namespace), Some(name)),
            _ => ("", None, None),
        };
        if parts.contains(&"") || kind.is_empty() {
            let accepted = "KIND, KIND/NAME or KIND/NAMESPACE/NAME";
            return Err(Failure::input(format!("--object: found {text:?}, accepted: {accepted}")));
        }
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Ok(Self { kind: kind.to_owned(), namespace: owned(namespace), name: owned(name) })
    }

    fn is(&self, object: &results::ObjectReference) -> bool {
        self.kind.eq_ignore_ascii_case(&object.kind)
            && self.name.as_ref().is_none_or(|name| *name == object.name)
            && self.namespace.as_ref().is_none_or(|namespace| *namespace == object.namespace)
    }
}

struct Explain {
    policy: LevelVersion,
    judge: Judge,
    policies: Policies,
    wanted: Option<Wanted>,
}

impl Explain {
    fn document(&self, part: &Part<'_>, told: &mut Told) -> Vec<Account> {
        part.document.objects().filter_map(|object| self.object(part, &object, told)).collect()
    }

    fn object(&self, part: &Part<'_>, object: &Object<'_>, told: &mut Told) -> Option<Account> {
        let reference = reference(part, object);
        if self.wanted.as_ref().is_some_and(|wanted| !wanted.is(&reference)) {
            return None;
        }
        let pod = match subject(&object.value) {
            Ok(Subject::Pod(pod)) => pod,
            // Without a pod there is nothing but the policies' rules to explain, and only where somebody asks.
            Ok(Subject::Nothing) if self.policies.is_empty() => return None,
            Ok(Subject::Nothing) => {
                let rules = self.policies.rules(&object.value);
                return Some(Account::of_rules(reference, rules));
            }
            Err(error) => {
                let place = object.get(error.pointer).or_else(|| object.place());
                told.problems.push(part.problem(&error.message, place.map(|place| place.value)));
                return None;
            }
        };
        told.problems.extend(malformed(part, object, &pod));
        told.warnings.extend(past(part, object, &pod));
        let written = Written { source: part.source, object, pod: &pod };
        let mut account = Account::of_pod(reference, self.policy, &self.judge, written);
        account.rules = self.policies.rules(&object.value);
        Some(account)
    }
}
