//! What exemptions do for the pods that are there: exact numbers for their status. A pod is kept as a few small numbers,
//! so that ten thousand mesh pods cost less than a megabyte.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use meshward_policy::exemption::Removed;
use serde_json::Value;

use crate::live::Origin;

/// How exemptions write a field that is not set.
const UNSET: &str = "unset";

/// A value that an exemption took out of the findings about an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Use {
    /// The exemption.
    pub exemption: Arc<Origin>,
    /// Its entry.
    pub entry: usize,
    /// The part of the entry's `allow`.
    pub allow: usize,
    /// The field, as exemptions name it.
    pub field: String,
    /// The value.
    pub value: String,
}

impl Use {
    pub(super) fn of(removed: &Removed<'_>, origins: &[Arc<Origin>]) -> Option<Self> {
        Some(Self {
            exemption: origins.get(removed.exemption)?.clone(),
            entry: removed.entry,
            allow: removed.allow,
            field: removed.finding.restricted_field(),
            value: match removed.finding.value {
                None | Some(Value::Null) => UNSET.to_owned(),
                Some(_) => removed.finding.value_text().into_owned(),
            },
        })
    }

    fn order(&self) -> (&str, i64, usize, usize, &str, &str) {
        let Origin { uid, generation, .. } = &*self.exemption;
        (uid, *generation, self.entry, self.allow, &self.field, &self.value)
    }
}

impl Ord for Use {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.order().cmp(&other.order())
    }
}

impl PartialOrd for Use {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// What an exemption is good for at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Saved {
    /// Pods that would have been found at fault without it.
    pub pods: u64,
    /// When the newest of them was made, in seconds since 1970.
    pub newest: i64,
    /// For each entry and part of `allow` that did something, the fields with their values.
    pub needed: BTreeMap<(usize, usize), BTreeMap<String, BTreeSet<String>>>,
}

/// All pods that exemptions did something for.
#[derive(Debug, Default)]
pub struct Uses {
    numbers: HashMap<Use, u32>,
    known: Vec<Use>,
    pods: HashMap<Box<str>, Pod>,
    /// The exemptions (uid and generation) that every pod was judged with.
    complete: HashSet<(String, i64)>,
}

#[derive(Debug)]
struct Pod {
    made: i64,
    uses: Box<[u32]>,
}

impl Uses {
    /// What exemptions do for a pod now, that was made so many seconds after 1970.
    pub fn put(&mut self, uid: &str, made: i64, uses: &[Use]) {
        if uses.is_empty() {
            self.pods.remove(uid);
            return;
        }
        let uses = uses.iter().map(|one| self.number(one)).collect();
        self.pods.insert(uid.into(), Pod { made, uses });
    }

    /// A pod is gone.
    pub fn remove(&mut self, uid: &str) {
        self.pods.remove(uid);
    }

    /// Only these pods are there, and each was judged with these exemptions. What no pod uses any more is forgotten.
    pub fn complete(&mut self, seen: &HashSet<Box<str>>, exemptions: &[Arc<Origin>]) {
        self.pods.retain(|uid, _| seen.contains(uid));
        let old = std::mem::take(self);
        for (uid, pod) in old.pods {
            let uses: Vec<Use> =
                pod.uses.iter().filter_map(|number| old.known.get(*number as usize)).cloned().collect();
            self.put(&uid, pod.made, &uses);
        }
        self.complete = exemptions.iter().map(|origin| (origin.uid.clone(), origin.generation)).collect();
    }

    /// Whether every pod was judged with this version of an exemption, so that what is known of it is all.
    pub fn is_complete(&self, exemption: &Origin) -> bool {
        self.complete.contains(&(exemption.uid.clone(), exemption.generation))
    }

    /// What each exemption is good for, by its uid and generation. One that does nothing is not there.
    pub fn saved(&self) -> HashMap<(String, i64), Saved> {
        let key = |one: &Use| (one.exemption.uid.clone(), one.exemption.generation);
        let mut all: HashMap<(String, i64), Saved> = HashMap::new();
        let mut used: HashSet<u32> = HashSet::new();
        for pod in self.pods.values() {
            let mut exemptions = Vec::new();
            for number in &pod.uses {
                used.insert(*number);
                let Some(one) = self.known.get(*number as usize) else { continue };
                if !exemptions.contains(&key(one)) {
                    exemptions.push(key(one));
                }
            }
            for exemption in exemptions {
                let saved = all.entry(exemption).or_default();
                saved.pods += 1;
                saved.newest = saved.newest.max(pod.made);
            }
        }
        for one in used.iter().filter_map(|number| self.known.get(*number as usize)) {
            let saved = all.entry(key(one)).or_default();
            let fields = saved.needed.entry((one.entry, one.allow)).or_default();
            fields.entry(one.field.clone()).or_default().insert(one.value.clone());
        }
        all
    }

    fn number(&mut self, one: &Use) -> u32 {
        if let Some(number) = self.numbers.get(one) {
            return *number;
        }
        let number = u32::try_from(self.known.len()).unwrap_or(u32::MAX);
        self.numbers.insert(one.clone(), number);
        self.known.push(one.clone());
        number
    }
}
