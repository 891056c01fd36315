//! Which webhook asks which policies. The API server has one failure policy and one timeout for a webhook, so that
//! policies with others need one of their own.

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

/// Policies that are asked by one webhook: those of one failure policy and timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Whether requests are let through that cannot be decided.
    pub ignore: bool,
    /// Seconds.
    pub timeout: i32,
}

impl Group {
    /// The group of a policy with these settings.
    pub fn of(settings: &Settings) -> Self {
        Self {
            ignore: settings.failure_policy == FailurePolicy::Ignore,
            timeout: settings.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT),
        }
    }

    /// The path of its webhook.
    pub fn path(&self) -> String {
        let failure = if self.ignore { "ignore" } else { "fail" };
        match self.timeout {
            DEFAULT_TIMEOUT => format!("{ROOT}{failure}"),
            timeout => format!("{ROOT}{failure}/{timeout}"),
        }
    }

    /// The group whose webhook has these steps of a path after `/validate/policies/`.
    pub(in crate::admission) fn parse(failure: &str, timeout: Option<&str>) -> Option<Self> {
        let ignore = match failure {
            "fail" => false,
            "ignore" => true,
            _ => return None,
        };
        let timeout = timeout.map_or(Ok(DEFAULT_TIMEOUT), str::parse).ok()?;
        (1..=30).contains(&timeout).then_some(Self { ignore, timeout })
    }
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
    webhooks.filter_map(|webhook| {
        let text = |pointer: &str| webhook.pointer(pointer).and_then(Value::as_str);
        let path = text("/clientConfig/service/path").or_else(|| text("/clientConfig/url"))?;
        let mut steps = path.split_once(ROOT)?.1.split('/');
        Group::parse(steps.next()?, steps.next())
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    #[test]
    fn groups_have_paths() {
        for (ignore, timeout) in [(false, 10), (true, 10), (false, 1), (true, 30)] {
            let group = Group { ignore, timeout };
            let path = group.path();
            let mut steps = path.strip_prefix(ROOT).unwrap().split('/');
            assert_eq!(Group::parse(steps.next().unwrap(), steps.next()), Some(group), "{path}");
        }
        let refused = [("other", None), ("fail", Some("0")), ("fail", Some("31")), ("fail", Some("x"))];
        for (failure, timeout) in refused {
            assert_eq!(Group::parse(failure, timeout), None);
        }
    }

    #[test]
    fn webhooks_have_groups() {
        let served = Asked::default();
        let (fail, late) = (Group { ignore: false, timeout: 10 }, Group { ignore: true, timeout: 15 });
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
