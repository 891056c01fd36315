//! Which sandboxes there are, as several sources see them: the same one twice, in another order, or in a list that was
//! made before another source told of it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::super::desired::{self, Desired};
use super::Ask;
use crate::located::{Located, Sighting, Source};

/// How many stopped sandboxes are remembered. A list that was made before the stop may still name them.
const MOST_STOPPED: usize = 1024;
/// How many sandboxes may wait for somebody to say whose they are.
const MOST_NAMELESS: usize = 1024;

/// One sandbox.
#[derive(Debug)]
pub(super) struct Sandbox {
    pub(super) located: Arc<Located>,
    /// Somebody saw it start, so its containers may still be to come.
    pub(super) started: bool,
    /// It was seen before any of its containers could run.
    pub(super) early: bool,
    /// What the annotations that the runtime knows say.
    pub(super) recorded: Option<Desired>,
    seen_by: BTreeSet<Source>,
    /// Sources that should know it and did not name it in their last list.
    missed_by: BTreeSet<Source>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Sandboxes {
    /// By id; with the uid of the pod.
    known: BTreeMap<String, (String, Sandbox)>,
    of_pod: BTreeMap<String, BTreeSet<String>>,
    nameless: BTreeMap<String, (Located, Option<String>)>,
    /// What is to be asked about them.
    asks: BTreeSet<Ask>,
    stopped: VecDeque<String>,
}

/// What tells a sandbox from others.
pub(super) fn id(located: &Located) -> String {
    if located.sandbox.is_empty() {
        format!("netns:{}", located.netns.display())
    } else {
        located.sandbox.clone()
    }
}

fn is_path(id: &str) -> bool {
    id.starts_with("netns:")
}

impl Sandboxes {
    pub(super) fn get(&self, id: &str) -> Option<&(String, Sandbox)> {
        self.known.get(id)
    }

    pub(super) fn is_nameless(&self, id: &str) -> bool {
        self.nameless.get(id).is_some_and(|(_, trouble)| trouble.is_none())
    }

    pub(super) fn has(&self, pod: &str) -> bool {
        self.of_pod.get(pod).is_some_and(|ids| !ids.is_empty())
    }

    /// The sandboxes of a pod. One that is known by its path only is the same as one that has an id.
    pub(super) fn of(&self, pod: &str) -> Vec<(&String, &Sandbox)> {
        let all = self.of_pod.get(pod).into_iter().flatten();
        let mut found: Vec<_> = all
            .filter_map(|id| self.known.get_key_value(id))
            .map(|(id, (_, sandbox))| (id, sandbox))
            .collect();
        if found.iter().any(|(id, _)| !is_path(id)) {
            found.retain(|(id, _)| !is_path(id));
        }
        found
    }

    /// Takes a sighting in; the pods that it is about.
    pub(super) fn sighted(&mut self, sighting: Sighting) -> BTreeSet<String> {
        match sighting {
            Sighting::Started(located) => self.add(located, true).into_iter().collect(),
            Sighting::Stopped { sandbox } => {
                self.nameless.remove(&sandbox);
                if !self.stopped.contains(&sandbox) {
                    self.stopped.push_back(sandbox.clone());
                    if self.stopped.len() > MOST_STOPPED {
                        self.stopped.pop_front();
                    }
                }
                self.remove(&sandbox).into_iter().collect()
            }
            Sighting::All(source, list) => self.list(source, list),
        }
    }

    fn list(&mut self, source: Source, list: Vec<Located>) -> BTreeSet<String> {
        let there: BTreeSet<String> = list.iter().map(id).collect();
        // A runtime knows every sandbox; what it has never named may be younger than its list, but not younger than two.
        let whole = matches!(source, Source::Nri | Source::Cri);
        let mut gone = Vec::new();
        for (id, (_, sandbox)) in &mut self.known {
            if there.contains(id) {
                continue;
            }
            let seen = sandbox.seen_by.contains(&source);
            if seen || (whole && !is_path(id) && !sandbox.missed_by.insert(source)) {
                gone.push(id.clone());
            }
        }
        let mut touched: BTreeSet<String> = gone.iter().filter_map(|id| self.remove(id)).collect();
        self.nameless.retain(|id, (located, _)| located.source != source || there.contains(id));
        touched.extend(list.into_iter().filter_map(|located| self.add(located, false)));
        touched
    }

    fn add(&mut self, located: Located, started: bool) -> Option<String> {
        let id = id(&located);
        if self.stopped.contains(&id) {
            return None;
        }
        if let Some((pod, sandbox)) = self.known.get_mut(&id) {
            sandbox.see(located);
            return Some(pod.clone());
        }
        if located.uid.is_empty() {
            if self.nameless.len() < MOST_NAMELESS && !self.nameless.contains_key(&id) {
                self.asks.insert(ask(&located));
                self.nameless.insert(id, (located, None));
            }
            return None;
        }
        let (located, started, early) = match self.nameless.remove(&id) {
            // Who told of it first saw it start.
            Some((first, _)) => {
                let early = is_early(first.source);
                (merge(&first, located), true, early)
            }
            None => {
                let early = started && is_early(located.source);
                (located, started, early)
            }
        };
        Some(self.insert(id, located, started, early))
    }

    fn insert(&mut self, id: String, located: Located, started: bool, early: bool) -> String {
        let pod = located.uid.clone();
        let sandbox = Sandbox {
            recorded: desired::of_runtime(&located),
            seen_by: BTreeSet::from([located.source]),
            missed_by: BTreeSet::new(),
            located: Arc::new(located),
            started,
            early,
        };
        self.of_pod.entry(pod.clone()).or_default().insert(id.clone());
        self.known.insert(id, (pod.clone(), sandbox));
        pod
    }

    fn remove(&mut self, id: &str) -> Option<String> {
        let (pod, _) = self.known.remove(id)?;
        if let Some(ids) = self.of_pod.get_mut(&pod) {
            ids.remove(id);
            if ids.is_empty() {
                self.of_pod.remove(&pod);
            }
        }
        Some(pod)
    }

    /// Asks again about those of which nobody could say whose they are.
    pub(super) fn ask_again(&mut self) {
        for (located, trouble) in self.nameless.values_mut() {
            if trouble.take().is_some() {
                self.asks.insert(ask(located));
            }
        }
    }

    /// The questions there are to ask.
    pub(super) fn take_asks(&mut self) -> BTreeSet<Ask> {
        std::mem::take(&mut self.asks)
    }

    /// The uid of a pod whose sandboxes were told of without one.
    pub(super) fn name(&mut self, namespace: &str, name: &str, uid: &str) -> BTreeSet<String> {
        let fits = |located: &Located| located.namespace == namespace && located.name == name;
        let ids: Vec<String> =
            self.nameless.iter().filter(|(_, (one, _))| fits(one)).map(|(id, _)| id.clone()).collect();
        let mut touched = BTreeSet::new();
        for id in ids {
            let Some((located, _)) = self.nameless.remove(&id) else { continue };
            let early = is_early(located.source);
            touched.insert(self.insert(id, Located { uid: uid.to_string(), ..located }, true, early));
        }
        touched
    }

    /// Why nobody can say whose a sandbox is.
    pub(super) fn trouble(&mut self, namespace: &str, name: &str, why: &str) {
        for (located, trouble) in self.nameless.values_mut() {
            if located.namespace == namespace && located.name == name {
                *trouble = Some(why.to_string());
            }
        }
    }
}

impl Sandbox {
    fn see(&mut self, located: Located) {
        self.seen_by.insert(located.source);
        self.missed_by.clear();
        let merged = merge(&self.located, located);
        if *self.located != merged {
            if self.recorded.is_none() {
                self.recorded = desired::of_runtime(&merged);
            }
            self.located = Arc::new(merged);
        }
    }
}

/// What is known of a sandbox after it was seen once more. Who saw it first is told; the newest path leads there.
fn merge(known: &Located, seen: Located) -> Located {
    let text = |known: &String, seen: String| if known.is_empty() { seen } else { known.clone() };
    Located {
        source: known.source,
        uid: text(&known.uid, seen.uid),
        namespace: text(&known.namespace, seen.namespace),
        name: text(&known.name, seen.name),
        ips: if known.ips.is_empty() { seen.ips } else { known.ips.clone() },
        labels: if known.labels.is_empty() { seen.labels } else { known.labels.clone() },
        annotations: if known.annotations.is_empty() { seen.annotations } else { known.annotations.clone() },
        sandbox: text(&known.sandbox, seen.sandbox),
        netns: if seen.netns.as_os_str().is_empty() { known.netns.clone() } else { seen.netns },
    }
}

fn ask(located: &Located) -> Ask {
    Ask { namespace: located.namespace.clone(), name: located.name.clone(), uid: String::new() }
}

/// Whether a source tells of a sandbox before its containers run.
fn is_early(source: Source) -> bool {
    matches!(source, Source::Nri | Source::Cni)
}
