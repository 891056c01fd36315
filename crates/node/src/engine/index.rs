//! Joins what pods should have with where their sandboxes are. A plain value that events change: no cluster, no kernel,
//! no clock, so every order of events can be tried. It answers each event with the orders that follow from it.
//!
//! ```text
//! Input (sighting, pod, namespace, answer, state) ─► Index ─► Order (begin, pursue, end, fetch, tell, forget)
//! ```
//!
//! Each sandbox is a unit of work of its own, so a new sandbox of a pod never takes over what was done in an old one.

mod sandboxes;
mod settle;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meshward_mesh::{Phase, PodRecord};
use serde_json::Value;

use super::aim::{Aim, Goal, State};
use super::desired::{self, Desired, Facts};
use super::pod::PodView;
use crate::located::{Located, Outcome, Sighting};
use sandboxes::Sandboxes;

/// Ticks after which a pod that waits is told of in its status. Every pod does for a moment, and after a restart of the
/// agent those that have their rules do.
const LONG_WAIT: u32 = 2;

/// One sandbox of one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitKey {
    /// The pod's uid in the runtime.
    pub pod: String,
    /// The sandbox's id; its namespace's path where it has none.
    pub sandbox: String,
}

/// What the index is told.
#[derive(Debug)]
pub enum Input {
    /// A source saw something.
    Sighting(Sighting),
    /// All pods of the node, at one moment.
    Pods(Vec<PodView>),
    /// A pod is there, or changed.
    Pod(PodView),
    /// A pod is gone from the API.
    PodGone(PodView),
    /// All namespaces, by name.
    Namespaces(Vec<(String, Value)>),
    /// A namespace is there, or changed.
    Namespace(String, Value),
    /// A namespace is gone.
    NamespaceGone(String),
    /// The answer to [`Order::Fetch`].
    Fetched {
        /// What was asked for.
        ask: Ask,
        /// The pod and its namespace; none when there is no such pod.
        answer: Result<Option<(PodView, Option<Value>)>, String>,
    },
    /// The namespaces whose pods are never touched.
    Excluded(BTreeSet<String>),
    /// What a unit has come to.
    State(UnitKey, Box<State>),
    /// Time has passed: what failed may be asked again.
    Tick,
}

/// A question about one pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ask {
    /// The pod's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, where it is known.
    pub uid: String,
}

/// What follows from an input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    /// Look after a sandbox.
    Begin(UnitKey, Goal),
    /// Its goal has changed.
    Pursue(UnitKey, Goal),
    /// Let go of it; what is in force stays.
    End(UnitKey),
    /// Ask the API server for one pod.
    Fetch(Ask),
    /// What is known of a pod has changed. Not announced: for the list only.
    Tell {
        /// The pod's uid in the runtime.
        key: String,
        /// The pod.
        record: Arc<PodRecord>,
        /// Whether the pod's status is to be written.
        announce: bool,
    },
    /// There is nothing more to tell of this pod.
    Forget {
        /// The pod's uid in the runtime.
        key: String,
    },
    /// A container of this pod runs although its rules are not in force, and its sandbox is not even known.
    Unredirected {
        /// The pod's uid in the runtime.
        key: String,
    },
}

#[derive(Debug, Default)]
struct Pod {
    view: Option<PodView>,
    /// Gone from the API; its sandboxes may still be there.
    deleted: bool,
    desired: Option<Desired>,
    facts: Facts,
    /// The answer to a question about it, where that was none.
    trouble: Option<String>,
    fetching: bool,
    ask_again: bool,
    told: Option<(Arc<PodRecord>, bool)>,
    /// How many ticks it has been exposed without a sandbox that is known.
    lost: u32,
    /// How many ticks it has been waiting for.
    waiting: u32,
}

/// All there is to know about the pods of this node.
#[derive(Debug, Default)]
pub(super) struct Index {
    pods: BTreeMap<String, Pod>,
    namespaces: BTreeMap<String, Value>,
    /// Whether the lists have been seen whole.
    pods_listed: bool,
    namespaces_listed: bool,
    excluded: BTreeSet<String>,
    sandboxes: Sandboxes,
    units: BTreeMap<UnitKey, (Goal, Option<State>)>,
    numbers: u64,
}

impl Index {
    /// Takes an input in, and says what follows.
    pub(super) fn apply(&mut self, input: Input) -> Vec<Order> {
        let mut orders = Vec::new();
        let touched = match input {
            Input::Sighting(sighting) => self.sighted(sighting),
            Input::Pods(views) => self.list_pods(views),
            Input::Pod(view) => self.see_pod(view),
            Input::PodGone(view) => self.lose_pod(&view.key),
            Input::Namespaces(all) => {
                self.namespaces = all.into_iter().collect();
                self.namespaces_listed = true;
                self.plan_all(|_| true)
            }
            Input::Namespace(name, value) => {
                let same = self.namespaces.get(&name) == Some(&value);
                self.namespaces.insert(name.clone(), value);
                self.plan_all(|view| !same && view.namespace == name)
            }
            Input::NamespaceGone(name) => {
                // Its pods go as well; until then what decided about them stays.
                self.namespaces.remove(&name);
                BTreeSet::new()
            }
            Input::Excluded(names) => {
                let former = std::mem::replace(&mut self.excluded, names);
                let now = self.excluded.clone();
                self.plan_all(|view| former.contains(&view.namespace) != now.contains(&view.namespace))
            }
            Input::Fetched { ask, answer } => self.answered(&ask, answer),
            Input::State(unit, state) => {
                let Some((_, known)) = self.units.get_mut(&unit) else { return orders };
                *known = Some(*state);
                BTreeSet::from([unit.pod])
            }
            Input::Tick => self.tick(&mut orders),
        };
        for key in touched {
            self.settle(&key, &mut orders);
        }
        orders.extend(self.sandboxes.take_asks().into_iter().map(Order::Fetch));
        orders
    }

    /// Whether all has been done about a sandbox that can be done at once; none while that goes on.
    pub(super) fn outcome(&self, located: &Located) -> Option<Outcome> {
        let id = sandboxes::id(located);
        let Some((key, _)) = self.sandboxes.get(&id) else {
            // Stopped already, or of a pod that is still asked about.
            let asked = self.sandboxes.is_nameless(&id);
            return (!asked).then_some(Outcome::Settled);
        };
        let pod = self.pods.get(key)?;
        let unit = UnitKey { pod: key.clone(), sandbox: id };
        let Some((goal, state)) = self.units.get(&unit) else {
            return Some(match (&pod.desired, &pod.trouble) {
                (Some(Desired::Unknown) | None, None) => return None,
                (Some(Desired::Unknown) | None, Some(trouble)) => Outcome::Later(trouble.clone()),
                _ => Outcome::Settled,
            });
        };
        let state = state.as_ref().filter(|state| state.number == goal.number && state.settled)?;
        if let Some(failure) = &state.failure {
            return Some(Outcome::Later(failure.clone()));
        }
        match &goal.aim {
            Aim::Wait { .. } if pod.fetching => None,
            Aim::Wait { reason } => Some(Outcome::Later(reason.clone())),
            Aim::Refused { message } => Some(Outcome::Later(message.clone())),
            Aim::Leave | Aim::Rules(_) | Aim::Nothing { .. } => Some(Outcome::Settled),
        }
    }

    fn list_pods(&mut self, views: Vec<PodView>) -> BTreeSet<String> {
        self.pods_listed = true;
        let there: BTreeSet<String> = views.iter().map(|view| view.key.clone()).collect();
        let gone: Vec<String> = self
            .pods
            .iter()
            .filter(|(key, pod)| pod.view.is_some() && !there.contains(*key))
            .map(|(key, _)| key.clone())
            .collect();
        let mut touched = BTreeSet::new();
        for key in gone {
            touched.append(&mut self.lose_pod(&key));
        }
        for view in views {
            touched.append(&mut self.see_pod(view));
        }
        touched
    }

    fn see_pod(&mut self, view: PodView) -> BTreeSet<String> {
        let key = view.key.clone();
        let pod = self.pods.entry(key.clone()).or_default();
        (pod.deleted, pod.trouble) = (false, None);
        pod.view = Some(view);
        self.plan(&key);
        BTreeSet::from([key])
    }

    /// What decided about the pod stays for as long as it has a sandbox.
    fn lose_pod(&mut self, key: &str) -> BTreeSet<String> {
        let Some(pod) = self.pods.get_mut(key) else { return BTreeSet::new() };
        pod.deleted = true;
        BTreeSet::from([key.to_string()])
    }

    fn plan_all(&mut self, which: impl Fn(&PodView) -> bool) -> BTreeSet<String> {
        let touched: BTreeSet<String> = self
            .pods
            .iter()
            .filter(|(_, pod)| pod.view.as_ref().is_some_and(&which))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &touched {
            self.plan(key);
        }
        touched
    }

    fn plan(&mut self, key: &str) {
        let Some(pod) = self.pods.get_mut(key) else { return };
        let Some(view) = &pod.view else { return };
        if self.excluded.contains(&view.namespace) {
            pod.desired = Some(Desired::Untouched { told: None });
            pod.facts = Facts::default();
            return;
        }
        let namespace = self.namespaces.get(&view.namespace);
        if namespace.is_none() && !self.namespaces_listed && !desired::is_recorded(view) {
            return;
        }
        let (desired, facts) = desired::of_view(view, namespace);
        // A pod that has ended is let be: its sandbox goes soon, and its rules with it.
        let ended = matches!(desired, Desired::Untouched { told: None });
        let excluded = matches!(pod.desired, Some(Desired::Untouched { told: None }));
        if !ended || pod.desired.is_none() || excluded {
            pod.desired = Some(desired);
            pod.facts = facts;
        } else {
            pod.facts.exposed = None;
        }
    }

    fn answered(
        &mut self,
        ask: &Ask,
        answer: Result<Option<(PodView, Option<Value>)>, String>,
    ) -> BTreeSet<String> {
        let mut touched = BTreeSet::new();
        let trouble = match answer {
            Ok(Some((view, namespace))) => {
                if let Some(value) = namespace {
                    self.namespaces.entry(view.namespace.clone()).or_insert(value);
                }
                if ask.uid.is_empty() {
                    touched.extend(self.sandboxes.name(&view.namespace, &view.name, &view.key));
                }
                let key = view.key.clone();
                // What the watch has shown is at least as new.
                if self.pods.get(&key).is_none_or(|pod| pod.view.is_none()) {
                    touched.append(&mut self.see_pod(view));
                }
                let same = ask.uid.is_empty() || ask.uid == key;
                (!same).then(|| "the API server knows another pod of this name".to_string())
            }
            Ok(None) => Some("the API server knows no such pod".to_string()),
            Err(error) => Some(error),
        };
        if let Some(pod) = self.pods.get_mut(&ask.uid) {
            pod.fetching = false;
            pod.trouble = trouble.filter(|_| pod.view.is_none());
            touched.insert(ask.uid.clone());
        } else if let Some(trouble) = trouble {
            self.sandboxes.trouble(&ask.namespace, &ask.name, &trouble);
        }
        touched
    }

    fn tick(&mut self, orders: &mut Vec<Order>) -> BTreeSet<String> {
        self.sandboxes.ask_again();
        for (key, pod) in &mut self.pods {
            let wants = matches!(pod.desired, Some(Desired::Rules(_) | Desired::Refused { .. }));
            let lost = wants && !pod.deleted && pod.facts.exposed.is_some() && !self.sandboxes.has(key);
            pod.lost = if lost { pod.lost + 1 } else { 0 };
            // The first tick may come before the sources have looked.
            if pod.lost == 2 {
                orders.push(Order::Unredirected { key: key.clone() });
            }
        }
        let mut touched = BTreeSet::new();
        for (key, pod) in &mut self.pods {
            let waits = pod.told.as_ref().is_some_and(|(record, _)| record.phase == Phase::Waiting);
            pod.waiting = if waits { pod.waiting + 1 } else { 0 };
            pod.ask_again |= pod.trouble.is_some() && pod.view.is_none();
            if pod.waiting == LONG_WAIT || pod.ask_again {
                touched.insert(key.clone());
            }
        }
        touched
    }

    fn sighted(&mut self, sighting: Sighting) -> BTreeSet<String> {
        let touched = self.sandboxes.sighted(sighting);
        for key in &touched {
            self.pods.entry(key.clone()).or_default();
        }
        touched
    }
}
