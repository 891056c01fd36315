//! What was found out about one object, by a request or by the scan. Reports, Events, the status of policies and
//! exemptions and the metrics are views of it, so that they cannot disagree.

use std::sync::Arc;

use meshward_policy::kyverno::policy::{Action, RuleReport, Status};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::live::Origin;

/// The object that results are about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Subject {
    /// As the object names it, such as `apps/v1`.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its namespace; empty for objects of the cluster.
    pub namespace: String,
    /// Its name; empty where the API server has not made one up yet.
    pub name: String,
    /// Its uid; empty where it has none yet.
    pub uid: String,
}

impl Subject {
    /// Reads it from an object. What is missing is empty.
    pub fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            uid: text("/metadata/uid"),
        }
    }
}

impl Subject {
    /// The same with what is not known of it taken from the `scope` of its report; `None` if that does not say it either.
    #[must_use]
    pub fn completed(&self, report: Option<&Value>) -> Option<Self> {
        if !self.kind.is_empty() {
            return Some(self.clone());
        }
        let scope = Self::of(&serde_json::json!({
            "apiVersion": report?.pointer("/scope/apiVersion")?, "kind": report?.pointer("/scope/kind")?,
            "metadata": report?.get("scope")?,
        }));
        let whole = !scope.kind.is_empty() && !scope.name.is_empty();
        whole.then(|| Self { uid: self.uid.clone(), namespace: self.namespace.clone(), ..scope })
    }
}

/// How something came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Process {
    /// A request asked.
    Admission,
    /// The scan looked.
    Scan,
}

/// What a policy said.
#[derive(Debug, Clone)]
pub struct PolicyOutcome {
    /// The policy.
    pub policy: Arc<Origin>,
    /// What each of its rules said.
    pub rules: Vec<(RuleReport, Action)>,
    /// Whether that refused the request.
    pub blocked: bool,
    /// Whether the scan asks it as well.
    pub scanned: bool,
}

/// A finding of Pod Security that an exemption took out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExemptionUse {
    /// The exemption.
    pub exemption: Arc<Origin>,
    /// The check whose finding it was, such as `capabilities_baseline`.
    pub check: &'static str,
}

/// Everything about one object.
#[derive(Debug, Clone)]
pub struct Observed {
    /// The object.
    pub subject: Subject,
    /// How it came to be known.
    pub process: Process,
    /// `CREATE` and so on; of a scan empty.
    pub operation: String,
    /// What policies said; those that are not about the object are not there.
    pub policies: Vec<PolicyOutcome>,
    /// What exemptions took out.
    pub exemptions: Vec<ExemptionUse>,
}

impl Observed {
    /// Whether there is something in it that anybody tells: a failure, an exception that was used, or the result of a
    /// policy that the scan does not ask. Most requests pass everything, and are over with their answer.
    fn is_news(&self) -> bool {
        let told = |report: &RuleReport| {
            let failed = matches!(report.result.status, Status::Fail | Status::Warn | Status::Error);
            failed || !report.exceptions.is_empty()
        };
        let reported = self.got_in();
        let of_policy = |one: &PolicyOutcome| {
            (reported && !one.scanned) || one.rules.iter().any(|(report, _)| told(report))
        };
        self.policies.iter().any(of_policy)
    }

    /// Whether a request stored the object, so that there can be a report about it.
    pub(crate) fn got_in(&self) -> bool {
        let stored = matches!(self.operation.as_str(), "CREATE" | "UPDATE");
        stored && !self.subject.uid.is_empty() && !self.policies.iter().any(|outcome| outcome.blocked)
    }
}

/// Where requests tell what they found. Whoever reads it may be slower than requests come; what does not fit is found
/// again by the scan.
#[derive(Debug, Clone)]
pub struct Observer {
    sender: mpsc::Sender<Observed>,
    all: bool,
}

impl Observer {
    /// Passes on what is news, or `all`.
    pub fn new(sender: mpsc::Sender<Observed>, all: bool) -> Self {
        Self { sender, all }
    }

    /// False when it found no room.
    pub(crate) fn tell(&self, observed: Observed) -> bool {
        !(self.all || observed.is_news()) || self.sender.try_send(observed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use meshward_policy::kyverno::policy::RuleResult;

    use super::*;

    fn observed(status: Status, exceptions: &[&str], scanned: bool) -> Observed {
        let result = RuleResult { policy: "p".into(), rule: "r".into(), status, message: String::new() };
        let exceptions = exceptions.iter().map(|name| name.to_string()).collect();
        let report = RuleReport { result, exceptions, properties: Vec::new(), standard: None };
        let origin = Origin::of(&serde_json::json!({"kind": "ClusterPolicy", "metadata": {"name": "p"}}));
        let outcome = PolicyOutcome {
            policy: Arc::new(origin),
            rules: vec![(report, Action::Audit)],
            blocked: false,
            scanned,
        };
        Observed {
            subject: Subject::of(&serde_json::json!({"kind": "Pod", "metadata": {"name": "a", "uid": "u"}})),
            process: Process::Admission,
            operation: "CREATE".into(),
            policies: vec![outcome],
            exemptions: Vec::new(),
        }
    }

    #[test]
    fn what_passed_and_is_scanned_is_no_news() {
        let (sender, mut receiver) = mpsc::channel(8);
        let (news, all) = (Observer::new(sender.clone(), false), Observer::new(sender, true));
        let table = [
            (observed(Status::Pass, &[], true), false),
            (observed(Status::Skip, &[], true), false),
            (observed(Status::Skip, &["shop/x"], true), true),
            (observed(Status::Fail, &[], true), true),
            (observed(Status::Error, &[], true), true),
            (observed(Status::Pass, &[], false), true),
            // Nothing was stored that a report could be about.
            (Observed { operation: "DELETE".into(), ..observed(Status::Pass, &[], false) }, false),
            (Observed { subject: Subject::of(&Value::Null), ..observed(Status::Pass, &[], false) }, false),
        ];
        for (observed, expected) in table {
            assert!(news.tell(observed.clone()) && all.tell(observed.clone()));
            let mut told = 0;
            while receiver.try_recv().is_ok() {
                told += 1;
            }
            assert_eq!(told, 1 + usize::from(expected), "{observed:?}");
        }
        drop(receiver);
        assert!(
            news.tell(observed(Status::Pass, &[], true)) && !news.tell(observed(Status::Fail, &[], true))
        );
    }
}
