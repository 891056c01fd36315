//! What exemptions take out of the findings about one pod.

use super::near::Miss;
use super::select::Trait;
use super::{Entry, Exemption, Subjects};
use crate::go::time::Moment;
use crate::pss::{Check, CheckResult, Container, Finding, Holder, Pod};
use crate::wildcard;
use serde_json::{Map, Value};

/// Whose pod it is.
#[derive(Debug, Clone, Copy)]
pub struct Who<'a> {
    /// The pod's namespace.
    pub namespace: &'a str,
    /// The pod's labels.
    pub labels: Option<&'a Map<String, Value>>,
    /// The pod's service account.
    pub service_account: &'a str,
}

impl<'a> Who<'a> {
    /// Reads a pod or pod template, which is of a namespace that it need not name itself.
    #[must_use]
    pub fn of(pod: &Pod<'a>, namespace: &'a str) -> Who<'a> {
        Who { namespace, labels: pod.labels(), service_account: pod.service_account() }
    }
}

/// A finding that an exemption took out.
#[derive(Debug, Clone)]
pub struct Removed<'a> {
    /// The check.
    pub check: &'static Check,
    /// What it had found.
    pub finding: Finding<'a>,
    /// The exemption, by its place in the list.
    pub exemption: usize,
    /// Its entry.
    pub entry: usize,
    /// What of the entry's `allow` is about the finding, the first if several are.
    pub allow: usize,
}

/// Takes out of the results every finding that an exemption allows, one value at a time, and says which. Several
/// exemptions add up by findings, never by their parts; of several that allow the same finding the first is named.
/// Expired ones do nothing.
pub fn apply<'a>(
    results: &mut [CheckResult<'a>],
    pod: &Pod<'a>,
    who: &Who<'_>,
    exemptions: &[Exemption],
    now: Moment,
) -> Vec<Removed<'a>> {
    let valid: Vec<(usize, &Exemption)> = exemptions
        .iter()
        .enumerate()
        .filter(|(_, exemption)| !exemption.expired(now) && exemption.is_about(who))
        .collect();
    let mut removed = Vec::new();
    if valid.is_empty() {
        return removed;
    }
    for result in results {
        let check = result.check;
        result.retain(|finding| {
            let by = valid.iter().find_map(|(index, exemption)| {
                let mut entries = exemption.entries.iter().enumerate();
                entries.find_map(|(entry, of)| Some((*index, entry, of.allows(check, finding, pod)?)))
            });
            if let Some((exemption, entry, allow)) = by {
                removed.push(Removed { check, finding: *finding, exemption, entry, allow });
            }
            by.is_none()
        });
    }
    removed
}

impl Exemption {
    fn is_about(&self, who: &Who<'_>) -> bool {
        let mut misses = Vec::new();
        self.subject_misses(who, &mut misses);
        misses.is_empty()
    }

    /// The parts of the subjects that do not hold.
    pub(super) fn subject_misses(&self, who: &Who<'_>, found: &mut Vec<Miss>) {
        let Subjects { namespaces, labels, service_accounts } = &self.subjects;
        let any =
            |patterns: &[String], text: &str| patterns.iter().any(|pattern| wildcard::matches(pattern, text));
        let mut miss = |part, is: &str, wanted: String| {
            found.push(Miss { part, found: is.to_owned(), wanted });
        };
        if !self.namespace.is_empty() && self.namespace != who.namespace {
            miss(Trait::Namespace, who.namespace, self.namespace.clone());
        }
        if !namespaces.is_empty() && !any(namespaces, who.namespace) {
            miss(Trait::Namespace, who.namespace, namespaces.join(", "));
        }
        if let Some(selector) = labels {
            let own = who.labels.cloned().map_or(Value::Null, Value::Object);
            if !selector.matches(&own) {
                miss(Trait::PodLabels, &own.to_string(), selector.to_string());
            }
        }
        if !service_accounts.is_empty() && !any(service_accounts, who.service_account) {
            miss(Trait::ServiceAccount, who.service_account, service_accounts.join(", "));
        }
    }
}

impl Entry {
    /// What of the entry allows a finding of a check, by its place in `allow`.
    fn allows(&self, check: &Check, finding: &Finding<'_>, pod: &Pod<'_>) -> Option<usize> {
        if !self.allow.iter().any(|allow| allow.is_about(check.control, finding)) {
            return None;
        }
        if let (Some(selector), Some(container)) = (&self.containers, finding.container())
            && !selector.selects(&container)
        {
            return None;
        }
        let meant = |allow: &super::Allow| {
            let mut misses = Vec::new();
            allow.is_about(check.control, finding) && {
                allow.misses(finding, &mut misses);
                misses.is_empty()
            }
        };
        let allow = self.allow.iter().position(meant)?;
        let mut misses = Vec::new();
        self.holder_misses(finding, pod, &mut misses);
        misses.is_empty().then_some(allow)
    }

    /// Whether the holder of a finding is one that the entry is about. A field of the pod acts on every container, and a
    /// volume on all that mount it, so that all of those must be selected.
    pub(super) fn holder_misses(&self, finding: &Finding<'_>, pod: &Pod<'_>, found: &mut Vec<Miss>) {
        let own = finding.container();
        let Some(selector) = &self.containers else {
            if let Some(container) = own {
                let wanted = "the pod".to_owned();
                found.push(Miss { part: Trait::ContainerName, found: container.name.to_owned(), wanted });
            }
            return;
        };
        if let Some(container) = own {
            selector.misses(&container, found);
            return;
        }
        let concerned: Vec<&Container<'_>> = match finding.holder {
            Holder::Volume { name, .. } => pod.containers().iter().filter(|c| mounts(c, name)).collect(),
            _ => pod.containers().iter().collect(),
        };
        let other = concerned.iter().find(|container| !selector.selects(container));
        if concerned.is_empty() || other.is_some() {
            let found_name = other.map_or("no container", |container| container.name).to_owned();
            let wanted = "only containers of the entry".to_owned();
            found.push(Miss { part: Trait::OtherContainers, found: found_name, wanted });
        }
    }
}

/// Whether a container mounts a volume, as files or as a device.
fn mounts(container: &Container<'_>, volume: &str) -> bool {
    ["volumeMounts", "volumeDevices"].iter().any(|list| {
        let mounts = container.object.and_then(|object| object.get(*list)?.as_array());
        mounts.is_some_and(|mounts| {
            mounts.iter().any(|mount| mount.get("name").is_some_and(|name| name == volume))
        })
    })
}
