//! Which webhook asks which policies. The API server has one failure policy, one timeout and one list of match conditions
//! for a webhook, so that policies with others need one of their own.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use meshward_policy::kyverno::policy::{FailurePolicy, Settings};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::hooks::Configurations;

const ROOT: &str = "/validate/policies/";

/// What the API server waits for a webhook by default, in seconds: policies that say nothing else.
pub const DEFAULT_TIMEOUT: i32 = 10;

/// Policies that are asked by one webhook: those of one failure policy, timeout and list of match conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Whether requests are let through that cannot be decided.
    pub ignore: bool,
    /// Seconds.
    pub timeout: i32,
    /// The match conditions as a number; `None` where there are none.
    pub conditions: Option<u64>,
}

impl Group {
    /// The group of a policy with these settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            ignore: settings.failure_policy == FailurePolicy::Ignore,
            timeout: settings.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT),
            conditions: numbered(&settings.match_conditions),
        }
    }

    /// Whether policies of a group that has no webhook yet are asked by this one's: without match conditions, and only
    /// those without.
    pub(super) fn stands_in_for(self, other: Group) -> bool {
        self.timeout == DEFAULT_TIMEOUT && self.conditions.is_none() && other.conditions.is_none()
    }

    /// The path of its webhook.
    pub fn path(&self) -> String {
        let failure = if self.ignore { "ignore" } else { "fail" };
        match (self.timeout, self.conditions) {
            (DEFAULT_TIMEOUT, None) => format!("{ROOT}{failure}"),
            (timeout, None) => format!("{ROOT}{failure}/{timeout}"),
            (timeout, Some(conditions)) => format!("{ROOT}{failure}/{timeout}/{conditions:016x}"),
        }
    }

    /// The group whose webhook has these steps of a path after `/validate/policies/`.
    pub(in crate::admission) fn parse(
        failure: &str,
        timeout: Option<&str>,
        conditions: Option<&str>,
    ) -> Option<Self> {
        let ignore = match failure {
            "fail" => false,
            "ignore" => true,
            _ => return None,
        };
        let timeout = timeout.map_or(Ok(DEFAULT_TIMEOUT), str::parse).ok()?;
        let conditions = conditions.map(|text| u64::from_str_radix(text, 16)).transpose().ok()?;
        (1..=30).contains(&timeout).then_some(Self { ignore, timeout, conditions })
    }

    /// The group of a webhook, as configurations have it.
    pub(crate) fn of_webhook(webhook: &Value) -> Option<Self> {
        let text = |pointer: &str| webhook.pointer(pointer).and_then(Value::as_str);
        let path = text("/clientConfig/service/path").or_else(|| text("/clientConfig/url"))?;
        let mut steps = path.split_once(ROOT)?.1.split('/');
        Self::parse(steps.next()?, steps.next(), steps.next())
    }
}

/// Match conditions as a number: FNV-1a, so that it is the same in replicas of every version, whose webhooks it names.
fn numbered(conditions: &[Value]) -> Option<u64> {
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let text: String = conditions.iter().map(Value::to_string).collect();
    let number = text.bytes().fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    (!conditions.is_empty()).then_some(number)
}

/// The groups that the API server has webhooks for. A policy whose group is new is asked by those that are there until
/// its own is: otherwise a change of its timeout would let requests through.
#[derive(Debug, Clone, Default)]
pub struct Asked(Arc<ArcSwapOption<BTreeSet<Group>>>);

impl Asked {
    /// Whether a group has a webhook; as long as nothing is known, it has.
    pub(super) fn has(&self, group: Group) -> bool {
        self.0.load().as_ref().is_none_or(|groups| groups.contains(&group))
    }

    /// Takes the webhooks of our configurations.
    pub fn set(&self, configurations: &Configurations) {
        let groups =
            |all: &std::collections::BTreeMap<_, Value>| Arc::new(all.values().flat_map(groups_of).collect());
        self.0.store(configurations.as_ref().map(groups));
    }

    /// Keeps them as the API server has them, until `token` is cancelled.
    pub async fn follow(self, mut found: watch::Receiver<Configurations>, token: CancellationToken) {
        let follow = async {
            loop {
                self.set(&found.borrow_and_update());
                if found.changed().await.is_err() {
                    return;
                }
            }
        };
        token.run_until_cancelled(follow).await;
    }
}

fn groups_of(configuration: &Value) -> impl Iterator<Item = Group> {
    let webhooks = configuration.get("webhooks").and_then(Value::as_array).into_iter().flatten();
    webhooks.filter_map(Group::of_webhook)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn groups_have_paths() {
        let conditions = [None, Some(7), Some(u64::MAX)];
        let all = [(false, 10), (true, 10), (false, 1), (true, 30)];
        for ((ignore, timeout), conditions) in
            all.into_iter().flat_map(|one| conditions.map(|other| (one, other)))
        {
            let group = Group { ignore, timeout, conditions };
            let path = group.path();
            let mut steps = path.strip_prefix(ROOT).unwrap().split('/');
            let parsed = Group::parse(steps.next().unwrap(), steps.next(), steps.next());
            assert_eq!(parsed, Some(group), "{path}");
        }
        let refused = [
            ("other", None, None),
            ("fail", Some("0"), None),
            ("fail", Some("31"), None),
            ("fail", Some("x"), None),
            ("fail", Some("10"), Some("conditions")),
        ];
        for (failure, timeout, conditions) in refused {
            assert_eq!(Group::parse(failure, timeout, conditions), None);
        }
    }

    #[test]
    fn webhooks_have_groups() {
        let served = Asked::default();
        let group = |ignore, timeout| Group { ignore, timeout, conditions: None };
        let (fail, late) = (group(false, 10), group(true, 15));
        assert!(served.has(fail), "nothing is known");
        let webhook = |client: Value| json!({"clientConfig": client});
        let configuration = json!({"webhooks": [
            webhook(json!({"service": {"path": "/validate/policies/ignore/15"}})),
            webhook(json!({"url": "https://10.0.0.1:9443/validate/objects"})),
            webhook(json!({})),
        ]});
        let key = ("ValidatingWebhookConfiguration".to_owned(), "x".to_owned());
        served.set(&Some(BTreeMap::from([(key, configuration)])));
        assert_eq!((served.has(late), served.has(fail)), (true, false));
        served.set(&None);
        assert!(served.has(fail));
    }
}
