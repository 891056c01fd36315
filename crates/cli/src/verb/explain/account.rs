//! The whole story of one object as a value: text and JSON are made of it.

use meshward_policy::exemption::NearMiss;
use meshward_policy::pss::{
    Aggregate, CHECKS, Check, CheckResult, Level, LevelVersion, Relaxation, Version, active,
};
use serde_json::{Value, json};

use super::fields;
use super::policies::RuleAccount;
use crate::results::{FieldValue, ObjectReference};
use crate::standards::{Examined, Judge, Written, advice};

/// One object.
pub(super) struct Account {
    pub(super) object: ObjectReference,
    /// What was asked of its pod; `None` if it has none.
    pub(super) policy: Option<LevelVersion>,
    /// Upstream's sentence, if the pod is refused.
    pub(super) sentence: Option<String>,
    /// Every check that there is.
    pub(super) checks: Vec<CheckAccount>,
    /// The rules of the policies.
    pub(super) rules: Vec<RuleAccount>,
}

/// One check.
pub(super) struct CheckAccount {
    pub(super) check: &'static Check,
    pub(super) state: State,
    /// The values that it looked at.
    pub(super) values: Vec<ValueAccount>,
}

/// What came of a check.
pub(super) enum State {
    /// It forbids the pod: upstream's reason and detail.
    Fail(&'static str, String),
    /// It would, but for exemptions.
    Exempted,
    /// It has nothing against the pod; a note if that is not for the values' sake.
    Pass(Option<&'static str>),
    /// It did not run.
    NotRun(String),
}

impl State {
    pub(super) fn word(&self) -> &'static str {
        match self {
            State::Fail(..) => "fail",
            State::Exempted => "exempted",
            State::Pass(_) => "pass",
            State::NotRun(_) => "not run",
        }
    }
}

/// One value.
pub(super) struct ValueAccount {
    pub(super) field: FieldValue,
    /// What the field may hold.
    pub(super) accepted: String,
    pub(super) verdict: ValueVerdict,
}

/// What is said about a value.
pub(super) enum ValueVerdict {
    /// Accepted.
    Fine,
    /// Forbidden, with why each exemption about it did not apply, and in how many parts it did not.
    Forbidden(Vec<(usize, String)>),
    /// Taken out by an exemption, for its reason.
    Exempted { by: String, reason: String },
}

impl Account {
    /// An object without a pod.
    pub(super) fn of_rules(object: ObjectReference, rules: Vec<RuleAccount>) -> Self {
        Self { object, policy: None, sentence: None, checks: Vec::new(), rules }
    }

    /// An object with a pod.
    pub(super) fn of_pod(
        object: ObjectReference,
        policy: LevelVersion,
        judge: &Judge,
        written: Written<'_>,
    ) -> Self {
        let examined = judge.examine(policy, written);
        let aggregate = Aggregate::new(&examined.results);
        let checks = CHECKS.iter().map(|check| {
            match examined.results.iter().find(|result| result.check.id == check.id) {
                Some(result) => Explained { judge, examined: &examined, written, result }.account(),
                None => {
                    CheckAccount { check, state: State::NotRun(why_not(check, policy)), values: Vec::new() }
                }
            }
        });
        Self {
            checks: checks.collect(),
            object,
            policy: Some(policy),
            sentence: (!aggregate.allowed()).then(|| aggregate.violates(policy)),
            rules: Vec::new(),
        }
    }

    /// Whether a check or a rule is against the object.
    pub(super) fn is_refused(&self) -> bool {
        self.sentence.is_some() || self.rules.iter().any(RuleAccount::is_failure)
    }
}

/// Why a check did not run at a level and version.
fn why_not(check: &'static Check, policy: LevelVersion) -> String {
    let since = check.revisions.first().map_or(0, |revision| revision.minimum);
    let overriding = || {
        let mut others = active(policy.level, policy.version);
        others.find(|(_, revision)| revision.overrides.contains(&check.id)).map(|(other, _)| other.id)
    };
    match policy.version {
        _ if policy.level == Level::Privileged => "no check runs at level privileged".into(),
        _ if check.level > policy.level => format!("only at level {}", check.level),
        Version::Minor(minor) if minor < since => format!("it exists from v1.{since} on"),
        _ => match overriding() {
            Some(other) => format!("{other} takes its place at level {}", policy.level),
            None => "it does not exist at this version".into(),
        },
    }
}

/// One check that ran, with everything it takes to explain it.
struct Explained<'e, 'a> {
    judge: &'e Judge,
    examined: &'e Examined<'a>,
    written: Written<'a>,
    result: &'e CheckResult<'a>,
}

impl Explained<'_, '_> {
    fn account(&self) -> CheckAccount {
        let (check, mut values) = (self.result.check, self.exempted());
        let state = match self.result.text() {
            Some((reason, detail)) => State::Fail(reason, detail),
            None if !values.is_empty() => State::Exempted,
            None => State::Pass(self.relaxed()),
        };
        values.extend(self.forbidden());
        if values.is_empty() {
            values = fields::set(self.result, self.written);
        }
        CheckAccount { check, state, values }
    }

    fn exempted(&self) -> Vec<ValueAccount> {
        let of_check =
            self.examined.removed.iter().filter(|removed| removed.check.id == self.result.check.id);
        of_check
            .map(|removed| ValueAccount {
                field: self.written.field(self.result, &removed.finding),
                accepted: advice::accepted(self.result, &removed.finding),
                verdict: ValueVerdict::Exempted {
                    by: self.judge.exemptions.title(removed.exemption),
                    reason: self.judge.exemptions.reason(removed.exemption),
                },
            })
            .collect()
    }

    fn forbidden(&self) -> impl Iterator<Item = ValueAccount> {
        let Examined { who, .. } = self.examined;
        self.result.findings.iter().map(move |finding| {
            let pod = &self.written.pod.pod;
            let near = self.judge.exemptions.near_misses(self.result.check, finding, pod, who);
            ValueAccount {
                field: self.written.field(self.result, finding),
                accepted: advice::accepted(self.result, finding),
                verdict: ValueVerdict::Forbidden(
                    near.iter().map(|near| (near.misses.len(), self.near(near))).collect(),
                ),
            }
        })
    }

    /// Why an exemption did not apply, in words.
    fn near(&self, near: &NearMiss) -> String {
        let misses: Vec<String> = near
            .misses
            .iter()
            .map(|miss| {
                let found = if miss.found.is_empty() { "none" } else { &miss.found };
                format!("{} is {found}, it wants {}", miss.part, miss.wanted)
            })
            .collect();
        format!(
            "{}, entry {}: {}",
            self.judge.exemptions.title(near.exemption),
            near.entry,
            misses.join("; ")
        )
    }

    /// Why the check leaves this pod alone whatever it holds.
    fn relaxed(&self) -> Option<&'static str> {
        let spec = self.written.pod.pod.spec()?;
        match self.result.revision.relaxation? {
            Relaxation::Windows => {
                let windows =
                    spec.get("os").and_then(|os| os.get("name")).is_some_and(|name| name == "windows");
                windows.then_some("Windows pods are left alone (spec.os.name)")
            }
            Relaxation::UserNamespace => {
                let own = spec.get("hostUsers").is_some_and(|users| users == false);
                own.then_some("pods in a user namespace of their own are left alone (spec.hostUsers)")
            }
        }
    }
}

/// The accounts as JSON: an array with one entry an object.
pub(super) fn to_value(accounts: &[Account]) -> Value {
    accounts.iter().map(account).collect()
}

fn account(account: &Account) -> Value {
    let ObjectReference { file, position, kind, namespace, name, .. } = &account.object;
    let rules: Vec<Value> = account.rules.iter().map(RuleAccount::to_value).collect();
    json!({
        "file": **file,
        "line": position.map(|position| position.line),
        "kind": kind,
        "namespace": namespace,
        "name": name,
        "policy": account.policy.map(|policy| policy.to_string()),
        "allowed": !account.is_refused(),
        "sentence": account.sentence,
        "checks": account.checks.iter().map(check).collect::<Vec<_>>(),
        "rules": rules,
    })
}

fn check(account: &CheckAccount) -> Value {
    let (reason, detail) = match &account.state {
        State::Fail(reason, detail) => (Some(*reason), Some(detail.as_str())),
        State::Pass(note) => (None, *note),
        State::NotRun(why) => (None, Some(why.as_str())),
        State::Exempted => (None, None),
    };
    json!({
        "check": account.check.id.as_str(),
        "control": account.check.control,
        "level": account.check.level.as_str(),
        "status": account.state.word(),
        "reason": reason,
        "detail": detail,
        "fields": account.values.iter().map(value).collect::<Vec<_>>(),
    })
}

fn value(account: &ValueAccount) -> Value {
    let mut value = json!({
        "path": account.field.path,
        "value": account.field.value,
        "line": account.field.position.map(|position| position.line),
        "column": account.field.position.map(|position| position.column),
        "accepted": account.accepted,
    });
    match &account.verdict {
        ValueVerdict::Fine => value["status"] = "pass".into(),
        ValueVerdict::Forbidden(near) => {
            value["status"] = "fail".into();
            value["nearMisses"] = near.iter().map(|(_, text)| text.as_str()).collect();
        }
        ValueVerdict::Exempted { by, reason } => {
            value["status"] = "exempted".into();
            value["by"] = by.as_str().into();
            value["reason"] = reason.as_str().into();
        }
    }
    value
}
