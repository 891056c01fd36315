//! Kyverno's rules about an object: which were about it, what they said, and what became of the exceptions that name them.

use std::path::PathBuf;

use clap::Args;
use meshward_policy::kyverno::policy::{Exception, RuleReport, Status};
use meshward_policy::kyverno::quirk::Mode;
use meshward_policy::wildcard;
use serde_json::{Value, json};

use crate::exit::Failure;
use crate::kyverno::policies::{self, Care, Library, Loaded};
use crate::kyverno::problem::Problems;
use crate::kyverno::resource::prepared;
use crate::kyverno::session::Session;
use crate::kyverno::user;
use crate::kyverno::values::Values;

/// What policies are asked with: as `apply` has it.
#[derive(Args)]
pub(super) struct Asked {
    /// Kyverno policies, whose validate rules are explained too
    #[arg(long, value_name = "FILE")]
    policy: Vec<PathBuf>,
    /// PolicyExceptions, in files or folders of them
    #[arg(short, long, value_name = "FILE", requires = "policy")]
    exception: Vec<PathBuf>,
    /// Values for variables of the policies, by policy, rule and object
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "set", requires = "policy")]
    values_file: Option<PathBuf>,
    /// Value of a variable of the policies
    #[arg(short, long, value_name = "NAME=VALUE", value_delimiter = ',', requires = "policy")]
    set: Vec<String>,
    /// Who asks: user, groups, roles
    #[arg(short, long, value_name = "FILE", requires = "policy")]
    userinfo: Option<PathBuf>,
}

/// Compiled policies, and everything they are asked with.
pub(super) struct Policies {
    library: Library,
    session: Session,
}

/// What one rule says.
pub(super) struct RuleAccount {
    pub(super) policy: String,
    pub(super) rule: String,
    /// `None` for a rule that is not about the object, or is not evaluated.
    pub(super) status: Option<Status>,
    pub(super) message: String,
    /// What became of the exceptions that name the policy.
    pub(super) exceptions: Vec<String>,
}

impl RuleAccount {
    pub(super) fn is_failure(&self) -> bool {
        matches!(self.status, Some(Status::Fail | Status::Error))
    }

    pub(super) fn word(&self) -> &'static str {
        self.status.map_or("no match", Status::as_str)
    }

    pub(super) fn to_value(&self) -> Value {
        let Self { policy, rule, message, .. } = self;
        let mut value = json!({ "policy": policy, "rule": rule, "status": self.word(), "message": message });
        if !self.exceptions.is_empty() {
            value["exceptions"] = json!(self.exceptions);
        }
        value
    }
}

impl Policies {
    /// Reads policies and what they are asked with; what cannot be used is told.
    ///
    /// # Errors
    /// [`Failure`] for a setting on the command line that cannot be used.
    pub(super) fn read(arguments: &Asked, problems: &mut Problems) -> Result<Self, Failure> {
        let care = Care { thorough: true, mode: Mode::Kyverno };
        let mut values = match &arguments.values_file {
            Some(path) => Values::read(path, problems),
            None => Values::default(),
        };
        for setting in &arguments.set {
            values.set(setting).map_err(|error| Failure::input(format!("--set: {error}")))?;
        }
        let user = arguments.userinfo.as_ref().map(|path| user::read(path, problems)).unwrap_or_default();
        let exceptions = policies::exceptions(&arguments.exception, care, problems);
        let session = Session { values, user, exceptions, reports: true, ..Session::default() };
        Ok(Self { library: Library::read(&arguments.policy, care, problems), session })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.library.policies.is_empty() && self.library.out_of_scope.is_empty()
    }

    /// What every rule says about a new object.
    pub(super) fn rules(&self, object: &Value) -> Vec<RuleAccount> {
        if self.is_empty() {
            return Vec::new();
        }
        let object = prepared(object.clone(), &[]);
        let policies = self.library.policies.iter();
        let mut accounts: Vec<RuleAccount> =
            policies.flat_map(|loaded| self.rules_of(loaded, &object)).collect();
        accounts.extend(self.library.out_of_scope.iter().map(|one| RuleAccount {
            policy: one.policy.clone(),
            rule: if one.rule.is_empty() { "*".to_owned() } else { one.rule.clone() },
            status: None,
            message: format!("not evaluated: {} is not supported", one.what),
            exceptions: Vec::new(),
        }));
        accounts
    }

    fn rules_of(&self, loaded: &Loaded, object: &Value) -> Vec<RuleAccount> {
        let reports = self.session.evaluate(loaded, object, None);
        // Of generated rules only those that speak are told: nobody wrote the others.
        let silent = loaded.policy.rule_names().filter(|name| {
            !name.starts_with("autogen-") && !reports.iter().any(|report| *report.result.rule == **name)
        });
        let silent = silent.map(|name| RuleAccount {
            policy: loaded.key.clone(),
            rule: name.to_owned(),
            status: None,
            message: "the rule is not about this object".to_owned(),
            exceptions: Vec::new(),
        });
        let said = reports.iter().map(|report| RuleAccount {
            policy: loaded.key.clone(),
            rule: report.result.rule.to_string(),
            status: Some(report.result.status),
            message: report.result.message.clone(),
            exceptions: self.exceptions(loaded, report),
        });
        said.chain(silent).collect()
    }

    /// Of each exception that names the policy, what it did to a rule's result.
    fn exceptions(&self, loaded: &Loaded, report: &RuleReport) -> Vec<String> {
        let of_policy = self.session.exceptions.iter().filter_map(|exception| {
            let names: Vec<&String> = exception
                .rules()
                .iter()
                .filter(|(policy, _)| *policy == loaded.key)
                .flat_map(|(_, rules)| rules)
                .collect();
            (!names.is_empty()).then(|| fate(exception, &names, report))
        });
        of_policy.flatten().collect()
    }
}

/// What an exception that names a policy did to the result of one of its rules; nothing to be told if it neither did
/// anything nor was meant to.
fn fate(exception: &Exception, names: &[&String], report: &RuleReport) -> Option<String> {
    let (key, rule) = (exception.key(), &*report.result.rule);
    let named = |rule: &str| names.iter().any(|pattern| wildcard::matches(pattern, rule));
    let failed = matches!(report.result.status, Status::Fail | Status::Warn | Status::Error);
    if report.exceptions.iter().any(|applied| applied == key) {
        return Some(format!("exception {key} applies"));
    }
    if !failed {
        return None;
    }
    let own = rule.strip_prefix("autogen-cronjob-").or_else(|| rule.strip_prefix("autogen-"));
    match own {
        _ if named(rule) && exception.exclusions().is_empty() => Some(format!(
            "exception {key} names the rule, but its match or its conditions do not fit the object"
        )),
        _ if named(rule) => Some(format!(
            "exception {key} names the rule, but its match, its conditions or its podSecurity leave something of it"
        )),
        Some(own) if named(own) => Some(format!(
            "exception {key} names {own}, but not {rule}, which is made from it for controllers"
        )),
        _ => None,
    }
}
