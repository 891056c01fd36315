//! The webhook configurations as they should be: a pure function of what is in force, with every field written out that
//! the API server would fill in, so that what is there can be compared with it.

use std::collections::{BTreeMap, BTreeSet};

use meshward_policy::go::base64;
use meshward_policy::kyverno::policy::Policy;
use serde_json::{Map, Value, json};

use super::apis::Apis;
use super::rules::{Sent, rule};
use super::standards::Standards;
use crate::admission::{DEFAULT_TIMEOUT, Group};
use crate::live::{Definitions, KINDS};
use crate::settings::FailureMode;

/// The timeout of policies that name none, and of everything else.
const TIMEOUT: i32 = DEFAULT_TIMEOUT;
/// What every namespace is labelled with by the API server.
const NAME: &str = "kubernetes.io/metadata.name";

/// How the API server reaches us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Client {
    /// By our Service.
    Service {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Its port.
        port: u16,
    },
    /// By a URL, without a slash at its end.
    Url(String),
}

/// What does not change while we run.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// How we are reached.
    pub client: Client,
    /// Namespaces that are never looked at, our own among them.
    pub excluded_namespaces: Vec<String>,
    /// What else must hold of a namespace: expressions of a label selector.
    pub namespace_selector: Vec<Value>,
    /// Kinds that are never sent.
    pub excluded_kinds: Vec<String>,
    /// Let requests through whenever nobody answers.
    pub force_ignore: bool,
    /// Whether pods are swapped, and what becomes of them when nobody answers.
    pub swap: Option<FailureMode>,
    /// Pod Security.
    pub standards: Standards,
}

/// A configuration as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// `MutatingWebhookConfiguration` or `ValidatingWebhookConfiguration`.
    pub kind: &'static str,
    /// The name that it has in a release with the usual names.
    pub name: &'static str,
    /// Its webhooks, at least one.
    pub webhooks: Vec<Value>,
    /// Whether requests are let through for now whenever nobody answers.
    pub starting: bool,
}

/// The configuration of policies with match conditions.
pub(super) const CONDITIONS: &str = "meshward-conditions";
const MUTATING: &str = "MutatingWebhookConfiguration";
const VALIDATING: &str = "ValidatingWebhookConfiguration";

/// All configurations. `bundle` holds the authorities by which the API server knows us, PEM; it is empty for those of its
/// machine.
pub fn desired<'p>(
    policies: impl Iterator<Item = &'p Policy>,
    apis: &Apis,
    definitions: &Definitions,
    wishes: &Wishes,
    bundle: &str,
) -> Vec<Desired> {
    let writer = Writer { wishes, bundle };
    let (conditional, plain): (Vec<&Policy>, Vec<&Policy>) =
        policies.partition(|policy| !policy.settings().match_conditions.is_empty());
    let all = [
        ("meshward-swap", MUTATING, writer.swap().into_iter().collect()),
        ("meshward-policies", VALIDATING, writer.policies(plain, apis)),
        // By itself: a condition that the API server cannot read must be in nobody else's way.
        (CONDITIONS, VALIDATING, writer.policies(conditional, apis)),
        ("meshward-standards", VALIDATING, writer.standards()),
        ("meshward-objects", VALIDATING, writer.objects(definitions).into_iter().collect()),
    ];
    let wanted =
        |(name, kind, webhooks): (_, _, Vec<Value>)| Desired { kind, name, webhooks, starting: false };
    all.map(wanted).into_iter().filter(|desired| !desired.webhooks.is_empty()).collect()
}

struct Writer<'a> {
    wishes: &'a Wishes,
    bundle: &'a str,
}

/// What differs between webhooks.
struct Webhook<'a> {
    name: String,
    path: &'a str,
    rules: Value,
    failure: FailureMode,
    timeout: i32,
    namespaces: Vec<Value>,
    /// `None` or `NoneOnDryRun`: reports are written.
    side_effects: &'static str,
}

impl Writer<'_> {
    fn webhook(&self, webhook: Webhook<'_>) -> Value {
        let Webhook { name, path, rules, failure, timeout, namespaces, side_effects } = webhook;
        let failure = if self.wishes.force_ignore { FailureMode::Ignore } else { failure };
        let selector =
            if namespaces.is_empty() { json!({}) } else { json!({"matchExpressions": namespaces}) };
        json!({
            "name": format!("{name}.meshward.dev"),
            "clientConfig": self.client_config(path),
            "rules": rules,
            "failurePolicy": failure.as_str(),
            "matchPolicy": "Equivalent",
            "namespaceSelector": selector,
            "objectSelector": {},
            "sideEffects": side_effects,
            "timeoutSeconds": timeout,
            "admissionReviewVersions": ["v1"],
        })
    }

    fn client_config(&self, path: &str) -> Value {
        let mut config = match &self.wishes.client {
            Client::Service { namespace, name, port } => {
                json!({"service": {"namespace": namespace, "name": name, "path": path, "port": port}})
            }
            Client::Url(url) => json!({"url": format!("{url}{path}")}),
        };
        if !self.bundle.is_empty() {
            config["caBundle"] = json!(base64::encode(self.bundle.as_bytes()));
        }
        config
    }

    /// Namespaces that are looked at, with further expressions.
    fn looked_at(&self, mut expressions: Vec<Value>) -> Vec<Value> {
        expressions.extend(self.wishes.namespace_selector.iter().cloned());
        if !self.wishes.excluded_namespaces.is_empty() {
            let excluded = &self.wishes.excluded_namespaces;
            expressions.push(json!({"key": NAME, "operator": "NotIn", "values": excluded}));
        }
        expressions
    }

    /// A namespace with the label `meshward.dev/swap: disabled` is not left out here: its pods may say otherwise.
    fn swap(&self) -> Option<Value> {
        let failure = self.wishes.swap?;
        let mut webhook = self.webhook(Webhook {
            name: "swap".into(),
            path: "/mutate/pods",
            rules: json!([rule("", "v1", &["CREATE"], ["pods"], "Namespaced")]),
            failure,
            timeout: TIMEOUT,
            namespaces: self.looked_at(Vec::new()),
            side_effects: "None",
        });
        // An injector that runs after us brings its init container then.
        webhook["reinvocationPolicy"] = json!("IfNeeded");
        Some(webhook)
    }

    fn policies(&self, policies: Vec<&Policy>, apis: &Apis) -> Vec<Value> {
        let mut groups: BTreeMap<Group, Vec<&Policy>> = BTreeMap::new();
        for policy in policies.into_iter().filter(|policy| policy.settings().admission) {
            groups.entry(Group::of(policy.settings())).or_default().push(policy);
        }
        groups.into_iter().flat_map(|(group, policies)| self.group(group, &policies, apis)).collect()
    }

    /// One webhook for what is asked about everywhere, and one for what Policies, and ClusterPolicies that name all their
    /// namespaces, are about there: while we are away, what fails closed is refused where it is needed and nowhere else.
    fn group(&self, group: Group, policies: &[&Policy], apis: &Apis) -> Vec<Value> {
        let failure = if group.ignore { FailureMode::Ignore } else { FailureMode::Fail };
        let (word, path) = (failure.as_str().to_lowercase(), group.path());
        let name = match (group.timeout, group.conditions) {
            (TIMEOUT, None) => word,
            (timeout, None) => format!("{word}-{timeout}"),
            (timeout, Some(conditions)) => format!("{word}-{timeout}-{conditions:016x}"),
        };
        let conditions = policies.first().map(|policy| &policy.settings().match_conditions);
        let conditions = conditions.filter(|conditions| !conditions.is_empty());
        let of = |namespaced: bool| {
            let policies = policies.iter().copied();
            policies.filter(move |policy| policy.namespaces().is_some() == namespaced)
        };
        let sent = |namespaced| Sent::of(of(namespaced), apis, &self.wishes.excluded_kinds);
        let everywhere = sent(false);
        let only_there = sent(true).beyond(&everywhere);
        let excluded = &self.wishes.excluded_namespaces;
        let theirs: BTreeSet<&str> = of(true)
            .filter_map(Policy::namespaces)
            .flatten()
            .filter(|namespace| !excluded.iter().any(|name| name == namespace))
            .collect();
        let webhook = |name: String, sent: &Sent, namespaces| {
            let mut webhook = self.webhook(Webhook {
                name: format!("{name}.policies"),
                path: &path,
                rules: sent.rules(),
                failure,
                timeout: group.timeout,
                namespaces,
                side_effects: "NoneOnDryRun",
            });
            if let Some(conditions) = conditions {
                webhook["matchConditions"] = json!(conditions);
            }
            webhook
        };
        let mut all = Vec::new();
        if !everywhere.is_empty() {
            all.push(webhook(name.clone(), &everywhere, self.looked_at(Vec::new())));
        }
        if !only_there.is_empty() && !theirs.is_empty() {
            let mut there = vec![json!({"key": NAME, "operator": "In", "values": theirs})];
            there.extend(self.wishes.namespace_selector.iter().cloned());
            all.push(webhook(format!("{name}.namespaced"), &only_there, there));
        }
        all
    }

    fn standards(&self) -> Vec<Value> {
        let all = self.wishes.standards.webhooks().into_iter().map(|standard| {
            let mut webhook = self.webhook(Webhook {
                name: format!("{}.standards", standard.name),
                path: standard.path,
                rules: standard.rules,
                failure: standard.failure,
                timeout: standard.timeout,
                namespaces: self.looked_at(standard.selected),
                side_effects: "NoneOnDryRun",
            });
            if !standard.conditions.is_empty() {
                webhook["matchConditions"] = json!(standard.conditions);
            }
            webhook
        });
        all.collect()
    }

    /// Policies and exemptions themselves. Nobody is kept from writing one while we are away: what is wrong with it is
    /// found when it is read, and then it is not used.
    fn objects(&self, definitions: &Definitions) -> Option<Value> {
        let mut groups: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for kind in KINDS {
            let served = definitions.get(&format!("{}.{}", kind.plural, kind.group));
            let served = served.into_iter().flatten();
            let readable = served.filter(|version| kind.versions.contains(&version.as_str()));
            for version in readable {
                groups.entry((kind.group, version)).or_default().insert(kind.plural);
            }
        }
        let operations = ["CREATE", "UPDATE"];
        let rules = groups
            .into_iter()
            .map(|((group, version), plurals)| rule(group, version, &operations, plurals, "*"))
            .collect::<Vec<_>>();
        (!rules.is_empty()).then(|| {
            self.webhook(Webhook {
                name: "objects".into(),
                path: "/validate/objects",
                rules: rules.into(),
                failure: FailureMode::Ignore,
                timeout: TIMEOUT,
                namespaces: Vec::new(),
                side_effects: "None",
            })
        })
    }
}

impl Desired {
    /// The same, letting requests through whenever nobody answers: the API server cannot reach us yet.
    #[must_use]
    pub fn starting(mut self) -> Self {
        for webhook in &mut self.webhooks {
            webhook["failurePolicy"] = json!(FailureMode::Ignore.as_str());
        }
        Self { starting: true, ..self }
    }

    /// The object, without what says whose it is.
    pub fn object(&self, name: &str) -> Value {
        let mut object = Map::new();
        object.insert("apiVersion".into(), "admissionregistration.k8s.io/v1".into());
        object.insert("kind".into(), self.kind.into());
        object.insert("metadata".into(), json!({"name": name}));
        object.insert("webhooks".into(), self.webhooks.clone().into());
        object.into()
    }
}

#[cfg(test)]
mod tests;
