//! Which reports of ours are there, without their results: enough to know, for each object, that nothing has to be
//! written, and for each report, that its object is still looked at.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::Value;

use super::render::{ADMITTED, CONTENT};
use crate::observed::Subject;

/// One report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Its namespace; empty for one of the cluster.
    pub namespace: Arc<str>,
    /// The kind of its object, with the group: `apps/Deployment`.
    pub kind: Arc<str>,
    /// What the scan's results hash to.
    pub scan: Box<str>,
    /// Whether it has results that came from requests.
    pub admitted: bool,
}

/// All of them, by the uid of their object.
#[derive(Debug, Default)]
pub struct Index {
    reports: HashMap<Box<str>, Present>,
    /// Few, and each is that of thousands.
    names: HashSet<Arc<str>>,
}

impl Index {
    /// The one of an object.
    pub fn get(&self, uid: &str) -> Option<&Present> {
        self.reports.get(uid)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.reports.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
    }

    /// One was written.
    pub fn put(&mut self, subject: &Subject, scan: &str, admitted: bool) {
        let (namespace, kind) = (self.name(&subject.namespace), self.name(&kind_of(subject)));
        let present = Present { namespace, kind, scan: scan.into(), admitted };
        self.reports.insert(subject.uid.as_str().into(), present);
    }

    /// One was found: its metadata alone. One that is not named for its owner is none of ours.
    pub fn found(&mut self, metadata: &Value) {
        let text = |pointer: &str| metadata.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let owner = |name: &str| text(&format!("/ownerReferences/0/{name}")).to_owned();
        let annotation = |name: &str| metadata.get("annotations").and_then(|all| all.get(name)?.as_str());
        let subject = Subject {
            api_version: owner("apiVersion"),
            kind: owner("kind"),
            namespace: text("/namespace").to_owned(),
            name: owner("name"),
            uid: text("/name").to_owned(),
        };
        self.put(&subject, annotation(CONTENT).unwrap_or_default(), annotation(ADMITTED).is_some());
    }

    /// One is not there any more.
    pub fn remove(&mut self, uid: &str) {
        self.reports.remove(uid);
    }

    /// Those with results of the scan, of a kind, whose object was not seen.
    pub fn unseen(&self, kind: &str, seen: &HashSet<Box<str>>) -> Vec<Box<str>> {
        let of = |present: &Present| &*present.kind == kind && !present.scan.is_empty();
        let of = self.reports.iter().filter(|(uid, present)| of(present) && !seen.contains(*uid));
        of.map(|(uid, _)| uid.clone()).collect()
    }

    /// Those with results of the scan, of kinds that nobody looks at.
    pub fn unfollowed(&self, followed: &HashSet<String>) -> Vec<Box<str>> {
        let of = |present: &Present| !followed.contains(&*present.kind) && !present.scan.is_empty();
        let of = self.reports.iter().filter(|(_, present)| of(present));
        of.map(|(uid, _)| uid.clone()).collect()
    }

    /// Those with results that came from requests.
    pub fn admitted(&self) -> Vec<Box<str>> {
        self.reports.iter().filter(|(_, present)| present.admitted).map(|(uid, _)| uid.clone()).collect()
    }

    fn name(&mut self, text: &str) -> Arc<str> {
        match self.names.get(text) {
            Some(known) => known.clone(),
            None => {
                let name: Arc<str> = text.into();
                self.names.insert(name.clone());
                name
            }
        }
    }
}

/// Group and kind: an object has one report, whatever version it is read in.
pub(crate) fn kind_of(subject: &Subject) -> String {
    let group = subject.api_version.split_once('/').map_or("", |(group, _)| group);
    group_kind(group, &subject.kind)
}

/// Group and kind as one text.
pub(crate) fn group_kind(group: &str, kind: &str) -> String {
    format!("{group}/{kind}")
}
