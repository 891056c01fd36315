//! Predicates about volumes.

use serde_json::{Map, Value};

use crate::pss::{
    Defaults, Pod, fields,
    finding::Holder,
    pod::{list, member, text},
};

use super::Found;

pub(super) fn host_paths<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for (index, volume) in list(pod.spec, "volumes").iter().enumerate() {
        let object = volume.as_object();
        if let Some(source) = member(object, fields::HOST_PATH.path) {
            let holder = Holder::Volume { index, name: text(object, "name") };
            found.push(fields::HOST_PATH, holder, None, Some(path_of(source)));
        }
    }
}

pub(super) fn volume_types<'a>(pod: &Pod<'a>, found: &mut Found<'a>) {
    for (index, volume) in list(pod.spec, "volumes").iter().enumerate() {
        let object = volume.as_object();
        if fields::ALLOWED_VOLUMES.iter().any(|name| member(object, name).is_some()) {
            continue;
        }
        let holder = Holder::Volume { index, name: text(object, "name") };
        let restricted = fields::VOLUME_TYPES
            .iter()
            .find_map(|kind| member(object, kind.name).map(|source| (&kind.field, source)));
        match restricted {
            Some((field, source)) => found.push(field, holder, None, Some(path_of(source))),
            None if pod.defaults == Defaults::ApiServer && sourceless(object) => {}
            // A type that a release after the newest known one added, or a misspelt one.
            None => found.push(&fields::UNKNOWN_VOLUME, holder, None, Some(volume)),
        }
    }
}

fn sourceless(volume: Option<&Map<String, Value>>) -> bool {
    volume.into_iter().flatten().all(|(key, value)| key == "name" || value.is_null())
}

/// The path on the host, which is what exemptions compare; the whole source where there is none.
fn path_of(source: &Value) -> &Value {
    source.get("path").filter(|path| path.is_string()).unwrap_or(source)
}
