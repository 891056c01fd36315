//! Both sides' verdicts about the same resources.

use serde_json::Value;

use super::{Given, Migration, namespaces};
use crate::exemption::{Exemption, Who, apply};
use crate::go::time::Moment;
use crate::kyverno::policy::{Action, Exception, Policy, Status};
use crate::lint::documents::{exceptions, policies};
use crate::lint::namespaces::OWN;
use crate::lint::used::{kyverno::input, namespace_of};
use crate::psa::{Configuration, Mode, Policy as Labels};
use crate::pss::{Aggregate, LevelVersion, Pod, evaluate, extract};

/// How the two sides compare.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    /// How many resources have a pod and were compared.
    pub compared: usize,
    /// Those whose verdicts differ.
    pub differences: Vec<Difference>,
}

/// A resource about which the two sides differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// The resource, by its place in the list.
    pub resource: usize,
    /// What differs: whether it is refused (enforce), or reported (audit).
    pub mode: Mode,
    /// What the given documents say against it; `None` if nothing.
    pub before: Option<String>,
    /// What the new objects say against it; `None` if nothing.
    pub after: Option<String>,
}

/// Compares what the documents say about the resources with what the migrated objects say.
#[must_use]
pub fn prove(given: &Given<'_>, migration: &Migration) -> Proof {
    let before = Before {
        policies: policies(given.documents).into_iter().map(|(_, policy)| policy).collect(),
        exceptions: exceptions(given.documents).into_iter().map(|(_, exception)| exception).collect(),
        configuration: namespaces::configuration(given.documents).map(|(_, configuration)| configuration),
    };
    let after = After {
        objects: &migration.objects,
        exemptions: migration.objects.iter().filter_map(|object| Exemption::parse(object).ok()).collect(),
        now: given.environment.now().unwrap_or(Moment { seconds: i64::MIN, nanoseconds: 0, offset: 0 }),
    };
    let mut proof = Proof::default();
    for (index, resource) in given.resources.iter().enumerate() {
        let Ok(Some(pod)) = extract(resource) else { continue };
        proof.compared += 1;
        let (was, is) = (before.verdict(given, resource, &pod), after.verdict(resource, &pod));
        for (mode, before, after) in [(Mode::Enforce, was.0, is.0), (Mode::Audit, was.1, is.1)] {
            if before.is_some() != after.is_some() {
                proof.differences.push(Difference { resource: index, mode, before, after });
            }
        }
    }
    proof
}

/// What is said against a resource: refused, and reported.
type Verdict = (Option<String>, Option<String>);

struct Before {
    policies: Vec<Policy>,
    exceptions: Vec<Exception>,
    configuration: Option<Configuration>,
}

impl Before {
    fn verdict(&self, given: &Given<'_>, resource: &Value, pod: &Pod<'_>) -> Verdict {
        let namespace = namespace_of(resource);
        let labels = namespaces::namespace(given.documents, namespace)
            .pointer("/metadata/labels")
            .unwrap_or(&Value::Null);
        let mut verdict: Verdict = (None, None);
        // A policy matches the namespace that the object will be in.
        let mut placed = resource.clone();
        placed["metadata"]["namespace"] = Value::from(namespace);
        for policy in &self.policies {
            for result in policy.evaluate(&input(given, &placed, &self.exceptions)) {
                if !matches!(result.status, Status::Fail | Status::Error) {
                    continue;
                }
                let enforced = policy.action(&result.rule, namespace, labels) == Action::Enforce;
                let side = if enforced { &mut verdict.0 } else { &mut verdict.1 };
                side.get_or_insert_with(|| format!("{}/{}: {}", result.policy, result.rule, result.message));
            }
        }
        let configuration = self.configuration.as_ref();
        let class = configuration
            .is_some_and(|configuration| configuration.exemptions.runtime_class(pod.runtime_class()));
        if !class {
            let policy = namespaces::policy(given.documents, namespace, configuration);
            modes(&policy, &mut verdict, |level| sentence(level, pod, |_| {}));
        }
        verdict
    }
}

struct After<'a> {
    objects: &'a [Value],
    exemptions: Vec<Exemption>,
    now: Moment,
}

impl After<'_> {
    fn verdict(&self, resource: &Value, pod: &Pod<'_>) -> Verdict {
        let namespace = namespace_of(resource);
        let object = namespaces::namespace(self.objects, namespace);
        let (policy, _) = Labels::from_labels(object, &Labels::default(), OWN);
        let mut verdict: Verdict = (None, None);
        modes(&policy, &mut verdict, |level| {
            sentence(level, pod, |results| {
                apply(results, pod, &Who::of(pod, namespace), &self.exemptions, self.now);
            })
        });
        verdict
    }
}

/// What the three modes say: refused, and reported.
fn modes(policy: &Labels, verdict: &mut Verdict, says: impl Fn(LevelVersion) -> Option<String>) {
    verdict.0 = verdict.0.take().or_else(|| says(policy.enforce));
    verdict.1 = verdict.1.take().or_else(|| says(policy.audit)).or_else(|| says(policy.warn));
}

fn sentence<'a>(
    level: LevelVersion,
    pod: &Pod<'a>,
    exempt: impl Fn(&mut Vec<crate::pss::CheckResult<'a>>),
) -> Option<String> {
    let mut results = evaluate(level.level, level.version, pod);
    exempt(&mut results);
    let aggregate = Aggregate::new(&results);
    (!aggregate.allowed()).then(|| aggregate.violates(level))
}
