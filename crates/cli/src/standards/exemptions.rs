//! Exemptions from files: read, told where they are wrong or expired, and applied.

use std::path::{Path, PathBuf};

use meshward_manifest::Object;
use meshward_policy::exemption::{self, Exemption, GROUP, NearMiss, Removed, Who};
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Environment;
use meshward_policy::pss::{Check, CheckResult, Finding, Pod};
use serde_json::Value;

use crate::load::{self, Part, Told};
use crate::results::Problem;
use crate::terminal;
use meshward_kit::machine::Machine;

/// The exemptions that hold, and the moment at which they do.
#[derive(Debug)]
pub(crate) struct Exemptions {
    list: Vec<Exemption>,
    now: Moment,
}

impl Exemptions {
    /// Reads exemptions and mesh presets. One with a slip in it exempts nothing and is told; one that has expired is
    /// told too, because whoever relies on it has to renew it.
    pub(crate) fn read(files: &[PathBuf], problems: &mut Vec<Problem>) -> Self {
        let now = Machine.now().unwrap_or(Moment { seconds: i64::MAX, nanoseconds: 0, offset: 0 });
        if files.is_empty() {
            return Self { list: Vec::new(), now };
        }
        let loaded = load::each_document(files, exemptions);
        loaded.told.warnings.iter().for_each(|warning| eprintln!("{warning}"));
        problems.extend(loaded.told.problems);
        let exemptions = Self { list: loaded.values.into_iter().flatten().collect(), now };
        exemptions.tell_expired(files);
        exemptions
    }

    fn tell_expired(&self, files: &[PathBuf]) {
        for exemption in self.list.iter().filter(|exemption| exemption.expired(self.now)) {
            let when = exemption.expires().map(|expires| format!(" on {expires}")).unwrap_or_default();
            let owner = match exemption.owner() {
                "" => String::new(),
                owner => format!("; {owner} answers for it"),
            };
            terminal::warning(&format!("{} expired{when}: it exempts nothing{owner}", title(exemption)));
        }
        if self.list.is_empty() && files.iter().all(|file| file == Path::new("-") || file.exists()) {
            terminal::warning("no exemption was read");
        }
    }

    /// How messages call an exemption.
    pub(crate) fn title(&self, index: usize) -> String {
        self.list.get(index).map(title).unwrap_or_default()
    }

    /// Why it is there.
    pub(crate) fn reason(&self, index: usize) -> String {
        self.list.get(index).map(|exemption| exemption.reason().to_owned()).unwrap_or_default()
    }

    /// Takes exempted findings out of the results and says which.
    pub(crate) fn apply<'a>(
        &self,
        results: &mut [CheckResult<'a>],
        pod: &Pod<'a>,
        who: &Who<'_>,
    ) -> Vec<Removed<'a>> {
        exemption::apply(results, pod, who, &self.list, self.now)
    }

    /// Why a finding that is left was not taken out, the nearest exemption first.
    pub(crate) fn near_misses(
        &self,
        check: &'static Check,
        finding: &Finding<'_>,
        pod: &Pod<'_>,
        who: &Who<'_>,
    ) -> Vec<NearMiss> {
        exemption::near_misses(check, finding, pod, who, &self.list, self.now)
    }
}

fn title(exemption: &Exemption) -> String {
    format!("{} {}", exemption.kind(), exemption.key())
}

fn exemptions(part: &Part<'_>, told: &mut Told) -> Vec<Exemption> {
    let mut found = Vec::new();
    for object in part.document.objects() {
        match Exemption::parse(&object.value) {
            Ok(exemption) => found.push(exemption),
            Err(errors) => {
                let name = name(&object.value);
                for error in errors {
                    let place = object.nearest(&pointer(&error.path)).map(|(place, _)| place.value);
                    told.problems
                        .push(part.problem(&format!("{name}{error}"), place.or_else(|| whole(&object))));
                }
            }
        }
    }
    found
}

/// What a message about an exemption begins with: its name, where it is an exemption at all.
fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    match text("/apiVersion").starts_with(GROUP) {
        true => format!("{} {}: ", text("/kind"), text("/metadata/name")),
        false => String::new(),
    }
}

fn whole(object: &Object<'_>) -> Option<meshward_manifest::Span> {
    object.place().map(|place| place.value)
}

/// `spec.entries[0].allow` as a JSON pointer.
fn pointer(path: &str) -> String {
    let mut pointer = String::with_capacity(path.len() + 1);
    pointer.push('/');
    for character in path.chars() {
        match character {
            '.' | '[' => pointer.push('/'),
            ']' => {}
            other => pointer.push(other),
        }
    }
    pointer
}
