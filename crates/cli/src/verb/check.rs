//! `meshward check`: what Pod Security Admission would say about the pods and controllers of files, without a cluster.

mod json;
mod namespaces;

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use meshward_manifest::Object;
use meshward_policy::psa::{Mode, Policy};
use meshward_policy::pss::{Level, LevelVersion, Version};

use crate::exit::Outcome;
use crate::kinds::{Subject, subject};
use crate::load::{self, Part, Told};
use crate::results::{self, Form, Listed, ObjectReference, Results, Screen, Status, Verdict};
use crate::standards::{Exemptions, Judge, Written, malformed, policy_name, reference};
use crate::terminal;
use namespaces::Namespaces;

const EXAMPLES: &str = "\
Examples:
  meshward check --level restricted deployment.yaml
  meshward check --level baseline --version v1.29 manifests/ -o sarif > baseline.sarif
  helm template . | meshward check --level restricted -
  meshward check --namespace namespace.yaml manifests/
  meshward check --level restricted --exemptions exemptions.yaml manifests/ -o json

Exit codes: 0 all allowed, 1 a violation, 2 something could not be read (the rest is still checked)";

/// Check pods and controllers against the Pod Security Standards, as the API server would
#[derive(Args)]
#[command(after_help = EXAMPLES, group = ArgGroup::new("policy").required(true).args(["level", "namespace"]))]
pub(crate) struct Arguments {
    /// Manifests or folders of them (files ending in .yaml, .yml, .json); - for standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// The level: privileged, baseline or restricted
    #[arg(long, value_name = "LEVEL", value_parser = parse_level)]
    level: Option<Level>,
    /// The version of the standards: latest, or v1.N for those of Kubernetes 1.N
    #[arg(long, value_name = "VERSION", value_parser = parse_version, requires = "level", default_value = "latest")]
    version: Version,
    /// A manifest with namespaces, whose pod-security.kubernetes.io labels say the level of each mode
    #[arg(long, value_name = "FILE", alias = "namespace-labels", conflicts_with = "level")]
    namespace: Vec<PathBuf>,
    /// Exemptions and mesh presets, in manifests or folders of them
    #[arg(long, value_name = "FILE")]
    exemptions: Vec<PathBuf>,
    /// The namespace of objects that name none
    #[arg(long, value_name = "NAME", default_value = "default")]
    default_namespace: String,
    /// List objects without a pod too
    #[arg(long)]
    all: bool,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Table)]
    output: Form,
}

fn parse_level(text: &str) -> Result<Level, String> {
    text.parse().map_err(|_| "accepted: privileged, baseline, restricted".into())
}

fn parse_version(text: &str) -> Result<Version, String> {
    text.parse().map_err(|_| "accepted: latest, or v1.N such as v1.29".into())
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let mut problems = Vec::new();
    let policies = match arguments.level {
        Some(level) => Policies::Level(LevelVersion { level, version: arguments.version }),
        None => Policies::Namespaces(Namespaces::read(&arguments.namespace, &mut problems)?),
    };
    let exemptions = Exemptions::read(&arguments.exemptions, &mut problems);
    let judge = Judge { exemptions, namespace: arguments.default_namespace };
    let check = Check { policies, judge, all: arguments.all, form: arguments.output };
    let loaded = load::each_document(&arguments.files, |part, told| check.document(part, told));
    loaded.told.warnings.iter().for_each(|warning| eprintln!("{warning}"));
    problems.extend(loaded.told.problems);
    let objects = loaded.values.into_iter().flatten().collect();
    let results = Results { verb: "check", objects, problems };
    terminal::print(&check.render(&results));
    results::end(&results)
}

/// Where the level comes from.
enum Policies {
    /// The same for all objects.
    Level(LevelVersion),
    /// Their namespaces' labels.
    Namespaces(Namespaces),
}

struct Check {
    policies: Policies,
    judge: Judge,
    all: bool,
    form: Form,
}

impl Check {
    fn document(&self, part: &Part<'_>, told: &mut Told) -> Vec<Listed> {
        part.document.objects().filter_map(|object| self.object(part, &object, told)).collect()
    }

    fn object(&self, part: &Part<'_>, object: &Object<'_>, told: &mut Told) -> Option<Listed> {
        let reference = reference(part, object);
        let pod = match subject(&object.value) {
            Ok(Subject::Pod(pod)) => pod,
            Ok(Subject::Nothing) => return self.all.then(|| not_applicable(reference)),
            Err(message) => {
                told.problems.push(part.problem(&message, object.place().map(|place| place.value)));
                return None;
            }
        };
        let malformed = malformed(part, object, &pod);
        let written = Written { source: part.source, object, pod: &pod };
        match self.listed(written, &reference) {
            Ok(mut listed) => {
                listed.object = reference;
                if !malformed.is_empty() {
                    let message = "a value of the wrong type: the API server would refuse the object";
                    listed.verdicts.push(Verdict::new("PodSecurity", "", Status::Error, message));
                }
                told.problems.extend(malformed);
                Some(listed)
            }
            Err(message) => {
                let place = object.get("/metadata/namespace").or_else(|| object.place());
                told.problems.push(part.problem(&message, place.map(|place| place.value)));
                None
            }
        }
    }

    fn listed(&self, written: Written<'_>, reference: &ObjectReference) -> Result<Listed, String> {
        let policy = match &self.policies {
            Policies::Level(policy) => return Ok(self.level(*policy, written)),
            Policies::Namespaces(namespaces) => {
                namespaces.policy(&reference.namespace, &self.judge.namespace)?
            }
        };
        Ok(self.modes(&policy, written))
    }

    /// One policy for everything: a violation is a failure.
    fn level(&self, policy: LevelVersion, written: Written<'_>) -> Listed {
        let judgement = self.judge.judge(policy, written);
        let mut listed =
            Listed { headline: judgement.sentence, verdicts: judgement.verdicts, ..Listed::default() };
        if listed.headline.is_none() {
            listed.verdicts.insert(0, Verdict::new(policy_name(policy), "", Status::Pass, "allowed"));
        }
        self.finish(listed, written)
    }

    /// A namespace's three modes: what is enforced fails, the rest warns. Like the API server, whoever is refused is not
    /// warned as well.
    fn modes(&self, policy: &Policy, written: Written<'_>) -> Listed {
        let enforced = self.judge.judge(policy.enforce, written);
        let mut listed =
            Listed { headline: enforced.sentence, verdicts: enforced.verdicts, ..Listed::default() };
        let refused = listed.headline.is_some();
        for mode in [Mode::Warn, Mode::Audit] {
            let asked = policy.mode(mode);
            if (mode == Mode::Warn && refused) || asked.equivalent(policy.enforce) {
                continue;
            }
            let would = self.judge.judge(asked, written);
            let Some(sentence) = would.sentence else { continue };
            let sentence = format!("would {}", sentence.replacen("violates", "violate", 1));
            for mut verdict in would.verdicts.into_iter().filter(Verdict::is_finding) {
                verdict.status = Status::Warn;
                verdict.properties.insert("mode".into(), mode.as_str().into());
                verdict.properties.insert("sentence".into(), sentence.clone());
                listed.verdicts.push(verdict);
            }
            listed.headline.get_or_insert(sentence);
        }
        if !refused {
            let message = format!("enforce {}: allowed", policy.enforce);
            listed.verdicts.insert(0, Verdict::new(policy_name(policy.enforce), "", Status::Pass, message));
        }
        self.finish(listed, written)
    }

    /// Keeps the lines for those who want to see them.
    fn finish(&self, mut listed: Listed, written: Written<'_>) -> Listed {
        if self.form.shows_excerpts() {
            let fields = listed.verdicts.iter().flat_map(|verdict| &verdict.fields);
            listed.excerpt = written.source.excerpt(fields.filter_map(|field| field.position));
        }
        listed
    }

    fn render(&self, results: &Results) -> String {
        match self.form {
            Form::Json => json::pretty(&json::objects(results, self.by_namespace())),
            Form::Yaml => meshward_manifest::to_yaml(&json::objects(results, self.by_namespace())),
            form => results::render(results, form, Screen::standard_output()),
        }
    }

    fn by_namespace(&self) -> bool {
        matches!(self.policies, Policies::Namespaces(_))
    }
}

fn not_applicable(object: ObjectReference) -> Listed {
    let verdicts = vec![Verdict::new("PodSecurity", "", Status::Skip, "no pod in it: not applicable")];
    Listed { object, verdicts, ..Listed::default() }
}
