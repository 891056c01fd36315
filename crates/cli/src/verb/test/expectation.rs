//! What a test expects of a policy's rule and some objects, and whether it is so.

use meshward_policy::wildcard;
use serde_json::Value;

use super::suite::Bench;
use crate::kyverno::resource::{list, text};
use crate::kyverno::session::is_of_rule;

/// One entry of a test's `results`.
#[derive(Debug, Clone, Default)]
pub(super) struct Expectation {
    /// The policy, with its namespace before a slash if it has one.
    pub(super) policy: String,
    /// The rule; empty for all of them.
    pub(super) rule: String,
    /// `pass`, `fail`, `skip`, `warn` or `error`.
    pub(super) result: String,
    /// The kind of the objects; empty for any.
    pub(super) kind: String,
    /// Names of objects, with the namespace before a slash or without it.
    pub(super) resources: Vec<String>,
    pub(super) specs: Vec<Value>,
    pub(super) operation: Option<&'static str>,
    /// Why it is about something that is not evaluated here, if it says so itself.
    pub(super) out_of_scope: Option<&'static str>,
}

/// What has become of an expectation for one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is so.
    Held,
    /// It is not.
    Broken,
    /// It is about something that is not evaluated here.
    NotJudged(String),
}

/// One line of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// From 1 in each suite.
    pub(super) id: usize,
    pub(super) policy: String,
    pub(super) rule: String,
    /// `v1/Pod/default/web`
    pub(super) resource: String,
    pub(super) outcome: Outcome,
    pub(super) reason: String,
    pub(super) message: String,
}

/// Entries that only rules of other kinds can meet.
const OTHERS: [(&str, &str); 6] = [
    ("isValidatingAdmissionPolicy", "ValidatingAdmissionPolicy"),
    ("isMutatingAdmissionPolicy", "MutatingAdmissionPolicy"),
    ("isDeletingPolicy", "DeletingPolicy"),
    ("isImageValidatingPolicy", "ImageValidatingPolicy"),
    ("isGeneratingPolicy", "GeneratingPolicy"),
    ("isMutatingPolicy", "MutatingPolicy"),
];

const EXCLUDED: &str = "Excluded";
const NOT_FOUND: &str = "Not found";

impl Expectation {
    /// Reads an entry, also one as written before Kyverno 1.12.
    ///
    /// # Errors
    /// The field, and in words what is wrong with it.
    pub(super) fn of(value: &Value) -> Result<Self, (&'static str, String)> {
        let policy = text(value, "/policy").to_owned();
        let result = [text(value, "/result"), text(value, "/status")];
        let result = result.into_iter().find(|word| !word.is_empty()).unwrap_or_default().to_lowercase();
        if !["pass", "fail", "skip", "warn", "error"].contains(&result.as_str()) {
            let found = format!("found result {result:?}, accepted: pass, fail, skip, warn, error");
            return Err((if value["result"].is_null() { "/status" } else { "/result" }, found));
        }
        let operation = match text(value, "/operation") {
            "" => None,
            "CREATE" => Some("CREATE"),
            "UPDATE" => Some("UPDATE"),
            "DELETE" => Some("DELETE"),
            found => {
                let found = format!("found operation {found:?}, accepted: CREATE, UPDATE, DELETE");
                return Err(("/operation", found));
            }
        };
        let names = list(&value["resources"]).filter_map(Value::as_str);
        let names = names.chain(value["resource"].as_str());
        let namespace = text(value, "/namespace");
        let qualified = |name: &str| match namespace {
            "" => name.to_owned(),
            namespace => format!("{namespace}/{name}"),
        };
        let flagged = OTHERS.iter().find(|(flag, _)| value[*flag] == true).map(|(_, kind)| *kind);
        let made = ["patchedResources", "patchedResource"]
            .iter()
            .any(|field| !text(value, &format!("/{field}")).is_empty());
        Ok(Self {
            policy,
            rule: text(value, "/rule").to_owned(),
            result,
            kind: text(value, "/kind").rsplit('/').next().unwrap_or_default().to_owned(),
            resources: names.map(qualified).collect(),
            specs: list(&value["resourceSpecs"]).cloned().collect(),
            operation,
            out_of_scope: flagged.or(made.then_some("mutate")),
        })
    }

    /// A row for every object that is meant.
    pub(super) fn judge(&self, bench: &mut Bench, lenient: bool) -> Vec<Row> {
        if let Some(what) = self.unsupported(bench) {
            return self.not_judged(&what);
        }
        let Some(policies) = self.policies(bench) else { return self.no_policy(bench, lenient) };
        let mut rows = Vec::new();
        let mut targets = Vec::new();
        for name in &self.resources {
            let found = self.objects(bench, name, lenient);
            if found.is_empty() && !lenient {
                let message = format!("no object of this name among the resources{}", self.of_kind());
                rows.push(self.row(name.clone(), Outcome::Broken, NOT_FOUND, message));
            }
            targets.extend(found);
        }
        targets.extend(self.specified(bench, lenient));
        let listed = !(self.resources.is_empty() && self.specs.is_empty());
        if targets.is_empty() && (!listed || lenient) {
            targets = self.kind_of(bench, (0..bench.objects.len()).collect(), lenient);
        }
        let judged: Vec<(Row, bool)> = targets
            .iter()
            .flat_map(|object| self.judge_object(bench, &policies, *object, lenient || !listed))
            .collect();
        if !listed && !lenient && !judged.iter().any(|(_, reached)| *reached) {
            let message = format!(
                "no object among the resources is one that the rule has a result for{}",
                self.of_kind()
            );
            rows.push(self.row(String::new(), Outcome::Broken, EXCLUDED, message));
        }
        rows.extend(judged.into_iter().map(|(row, _)| row));
        rows
    }

    fn of_kind(&self) -> String {
        if self.kind.is_empty() { String::new() } else { format!(" (kind {})", self.kind) }
    }

    fn row(&self, resource: String, outcome: Outcome, reason: &str, message: impl Into<String>) -> Row {
        Row {
            id: 0,
            policy: self.policy.clone(),
            rule: self.rule.clone(),
            resource,
            outcome,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    /// The names of objects as they are written, for rows about none.
    fn written(&self) -> Vec<String> {
        match self.resources.is_empty() {
            true => vec![String::new()],
            false => self.resources.clone(),
        }
    }

    fn not_judged(&self, what: &str) -> Vec<Row> {
        let message = format!("{what} is not supported here");
        let row =
            |name: String| self.row(name, Outcome::NotJudged(what.to_owned()), "Unsupported", &*message);
        self.written().into_iter().map(row).collect()
    }

    fn name(&self) -> &str {
        self.policy.rsplit('/').next().unwrap_or_default()
    }

    /// What the rule or policy is that it is about, if that is not evaluated here.
    fn unsupported(&self, bench: &Bench) -> Option<String> {
        let out_of_scope = &bench.library.out_of_scope;
        let mut of_policy = out_of_scope.iter().filter(|one| one.policy == self.name());
        let found =
            of_policy.find(|one| one.rule.is_empty() || (one.rule == self.rule && !self.rule.is_empty()));
        let known = bench.library.policies.iter().any(|loaded| loaded.name == self.name());
        match (found, self.out_of_scope) {
            (Some(found), _) => Some(found.what.clone()),
            (None, Some(what)) if !known => Some(what.to_owned()),
            _ => None,
        }
    }

    /// The policies that are meant; `None` if there is none of this name.
    fn policies(&self, bench: &Bench) -> Option<Vec<usize>> {
        let all = bench.library.policies.iter().enumerate();
        let named: Vec<usize> =
            all.filter(|(_, loaded)| loaded.name == self.name()).map(|(index, _)| index).collect();
        let exact: Vec<usize> =
            named.iter().copied().filter(|index| bench.library.policies[*index].key == self.policy).collect();
        // Kyverno compares the name alone; a namespace that fits decides between several.
        match (named.is_empty(), exact.is_empty()) {
            (true, _) => None,
            (false, true) => Some(named),
            (false, false) => Some(exact),
        }
    }

    fn no_policy(&self, bench: &Bench, lenient: bool) -> Vec<Row> {
        let titles = self.resources.iter().flat_map(|name| {
            let found: Vec<String> = self
                .objects(bench, name, lenient)
                .into_iter()
                .map(|index| title(&bench.objects[index]))
                .collect();
            if found.is_empty() { vec![name.clone()] } else { found }
        });
        let titles: Vec<String> = titles.collect();
        let titles = if titles.is_empty() { vec![String::new()] } else { titles };
        let wrong = bench.library.wrong.iter().any(|name| name == self.name());
        let (outcome, reason, message) = match (wrong, lenient) {
            (true, true) => (Outcome::Held, "Invalid Policy", "the policy cannot be used"),
            (true, false) => (Outcome::Broken, "Invalid Policy", "the policy cannot be used"),
            (false, _) => (Outcome::Broken, NOT_FOUND, "no policy of this name among the policies"),
        };
        titles.into_iter().map(|title| self.row(title, outcome.clone(), reason, message)).collect()
    }

    /// Objects of a name.
    fn objects(&self, bench: &Bench, name: &str, lenient: bool) -> Vec<usize> {
        let fits = |pattern: &str, text: &str| match lenient {
            true => pattern == text,
            false => wildcard::matches(pattern, text),
        };
        let meant = |object: &Value| {
            let own = text(object, "/metadata/name");
            match name.split_once('/') {
                Some((namespace, name)) => {
                    fits(namespace, text(object, "/metadata/namespace")) && fits(name, own)
                }
                None => fits(name, own),
            }
        };
        let all = bench.objects.iter().enumerate().filter(|(_, object)| meant(object));
        let all = all.map(|(index, _)| index).collect();
        self.kind_of(bench, all, lenient)
    }

    /// Objects that `resourceSpecs` describe; Kyverno does not look at their kind.
    fn specified(&self, bench: &Bench, lenient: bool) -> Vec<usize> {
        let meant = |object: &Value, spec: &Value| {
            let version = match text(spec, "/group") {
                "" => text(spec, "/version").to_owned(),
                group => format!("{group}/{}", text(spec, "/version")),
            };
            let kind = text(spec, "/kind");
            version == text(object, "/apiVersion")
                && (lenient || kind.is_empty() || kind == text(object, "/kind"))
                && text(spec, "/namespace") == text(object, "/metadata/namespace")
                && text(spec, "/name") == text(object, "/metadata/name")
        };
        let all = bench.objects.iter().enumerate();
        let found = all.filter(|(_, object)| self.specs.iter().any(|spec| meant(object, spec)));
        found.map(|(index, _)| index).collect()
    }

    /// Those of the expected kind, which Kyverno does not look at. Where none is of it, the kind is what is wrong.
    fn kind_of(&self, bench: &Bench, objects: Vec<usize>, lenient: bool) -> Vec<usize> {
        let is_kind = |index: &usize| text(&bench.objects[*index], "/kind") == self.kind;
        if lenient || self.kind.is_empty() || !objects.iter().any(is_kind) {
            return objects;
        }
        objects.into_iter().filter(is_kind).collect()
    }

    /// Rows about one object, and whether a rule reached it. `excused`: it may have no result.
    fn judge_object(
        &self,
        bench: &mut Bench,
        policies: &[usize],
        object: usize,
        excused: bool,
    ) -> Vec<(Row, bool)> {
        let resource = title(&bench.objects[object]);
        let mut rows = Vec::new();
        for policy in policies {
            let results = bench.results(*policy, object, self.operation);
            let results = results.iter().map(|report| &report.result);
            let meant = results.filter(|result| self.rule.is_empty() || is_of_rule(&result.rule, &self.rule));
            for result in meant {
                let (outcome, reason) = match result.status.as_str() == self.result {
                    true => (Outcome::Held, "Ok".to_owned()),
                    false => (Outcome::Broken, format!("Want {}, got {}", self.result, result.status)),
                };
                let mut row = self.row(resource.clone(), outcome, &reason, &*result.message);
                row.rule = result.rule.to_string();
                rows.push((row, true));
            }
        }
        if rows.is_empty() {
            rows.push((self.unreached(bench, policies, resource, excused), false));
        }
        rows
    }

    /// An object that no rule has a result for.
    fn unreached(&self, bench: &Bench, policies: &[usize], resource: String, excused: bool) -> Row {
        let exists = self.rule.is_empty()
            || policies.iter().any(|policy| {
                let mut names = bench.library.policies[*policy].policy.rule_names();
                names.any(|name| is_of_rule(name, &self.rule))
            });
        match (excused || self.result == "skip", exists) {
            (true, true) => self.row(resource, Outcome::Held, EXCLUDED, EXCLUDED),
            (true, false) if excused => self.row(resource, Outcome::Held, EXCLUDED, EXCLUDED),
            (_, false) => {
                let message = format!("policy {} has no rule {}", self.policy, self.rule);
                self.row(resource, Outcome::Broken, NOT_FOUND, message)
            }
            (false, true) => {
                let message = format!(
                    "want {}, but no rule was applied: the object does not match, or is excluded (--kyverno-lenient \
                     lets this pass)",
                    self.result
                );
                self.row(resource, Outcome::Broken, EXCLUDED, message)
            }
        }
    }
}

/// `v1/Pod/default/web`
fn title(object: &Value) -> String {
    let part = |pointer: &str| text(object, pointer);
    let (version, kind) = (part("/apiVersion"), part("/kind"));
    format!("{version}/{kind}/{}/{}", part("/metadata/namespace"), part("/metadata/name"))
}
