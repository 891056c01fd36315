//! What Pod Security says about an object, as a line of its report.

use std::collections::BTreeMap;

use meshward_policy::kyverno::pod_security::FailedControl;
use meshward_policy::kyverno::policy::Standard;
use meshward_policy::psa::{self, Mode};
use meshward_policy::pss::{Aggregate, CheckResult, LevelVersion};

use super::uses::Use;
use crate::admission::OWN_PREFIX;
use crate::report::{Line, PodImages, Severity};

/// What the labels of a namespace ask for, each level and version once.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) policy: LevelVersion,
    /// The modes that ask for it, the strictest first.
    pub(super) modes: Vec<Mode>,
}

impl Asked {
    pub(super) fn by(policy: &psa::Policy) -> Vec<Asked> {
        let mut all: Vec<Asked> = Vec::new();
        for mode in Mode::ALL {
            let asked = policy.mode(mode);
            match all.iter_mut().find(|known| known.policy == asked) {
                Some(known) => known.modes.push(mode),
                None => all.push(Asked { policy: asked, modes: vec![mode] }),
            }
        }
        all
    }
}

/// The line for one level and version.
pub(super) fn line(
    prefix: &str,
    asked: &Asked,
    results: &[CheckResult<'_>],
    uses: &[Use],
    images: PodImages<'_>,
) -> Line {
    let aggregate = Aggregate::new(results);
    let exemptions: Vec<String> = {
        let mut all: Vec<String> =
            uses.iter().map(|one| format!("{} {}", one.exemption.kind, one.exemption.key())).collect();
        all.sort();
        all.dedup();
        all
    };
    let (result, message) = match (aggregate.allowed(), exemptions.is_empty()) {
        (false, _) => ("fail", aggregate.violates(asked.policy)),
        (true, true) => ("pass", format!("complies with PodSecurity \"{}\"", asked.policy)),
        (true, false) => (
            "skip",
            format!("complies with PodSecurity \"{}\" but for {}", asked.policy, exemptions.join(", ")),
        ),
    };
    let modes: Vec<&str> = asked.modes.iter().map(|mode| mode.as_str()).collect();
    let standard = Standard {
        level: asked.policy.level.as_str().to_owned(),
        version: asked.policy.version.to_string(),
        controls: results.iter().filter(|result| !result.allowed()).map(control).collect(),
    };
    let mut properties: BTreeMap<String, String> = BTreeMap::new();
    properties.insert("process".to_owned(), "background scan".to_owned());
    properties.insert("modes".to_owned(), modes.join(","));
    if !exemptions.is_empty() {
        properties.insert("exemptions".to_owned(), exemptions.join(","));
    }
    let told = standard.properties(|container| images.of(container)).into_iter();
    properties.extend(told.map(|(name, text)| (name.to_owned(), text)));
    Line {
        source: "meshward".to_owned(),
        policy: if prefix == OWN_PREFIX { "pod-security" } else { "pod-security.kubernetes.io" }.to_owned(),
        rule: asked.policy.to_string(),
        category: "Pod Security Standards".to_owned(),
        severity: Some(if asked.modes.contains(&Mode::Enforce) { Severity::High } else { Severity::Medium }),
        result: result.to_owned(),
        scored: true,
        message,
        properties,
        timestamp: None,
    }
    .bounded()
}

fn control(result: &CheckResult<'_>) -> FailedControl {
    let mut containers: Vec<String> = Vec::new();
    for finding in &result.findings {
        if let Some(container) = finding.container()
            && !containers.iter().any(|name| name == container.name)
        {
            containers.push(container.name.to_owned());
        }
    }
    FailedControl { id: result.check.id.as_str(), control: result.check.control, containers }
}
