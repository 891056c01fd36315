//! The values that a satisfied check has seen: which of its fields are set in the object, where, and to what. That is
//! the answer to "why does this pass".

use meshward_policy::pss::{CheckResult, Field, Scope};
use serde_json::Value;

use super::account::{ValueAccount, ValueVerdict};
use crate::results::FieldValue;
use crate::standards::Written;

/// The set fields of a check that found nothing.
pub(super) fn set(result: &CheckResult<'_>, written: Written<'_>) -> Vec<ValueAccount> {
    let mut found = Vec::new();
    for field in result.revision.fields {
        for holder in holders(field, written) {
            let search = Search { field, written, found: &mut found };
            search.run(holder);
        }
    }
    found
}

/// The JSON pointers, from the root of the view's object, of what may hold a field.
fn holders(field: &Field, written: Written<'_>) -> Vec<String> {
    let pod = &written.pod.pod;
    let base = pod.base();
    match field.scope {
        Scope::Annotation => vec![format!("{base}/metadata/annotations")],
        Scope::Pod => vec![format!("{base}/spec")],
        Scope::Container => {
            let containers = pod.containers().iter();
            containers
                .map(|container| format!("{base}/spec/{}/{}", container.kind.list(), container.index))
                .collect()
        }
        Scope::Volume => {
            let volumes = pod.spec().and_then(|spec| spec.get("volumes")).and_then(Value::as_array);
            (0..volumes.map_or(0, Vec::len)).map(|index| format!("{base}/spec/volumes/{index}")).collect()
        }
    }
}

struct Search<'s, 'a> {
    field: &'static Field,
    written: Written<'a>,
    found: &'s mut Vec<ValueAccount>,
}

impl Search<'_, '_> {
    fn run(mut self, holder: String) {
        let Some(value) = self.written.pod.root.pointer(&holder) else { return };
        if self.field.scope == Scope::Annotation {
            return self.annotations(&holder, value);
        }
        let steps: Vec<&str> = self.field.path.split('.').filter(|step| !step.is_empty()).collect();
        if !steps.is_empty() {
            self.descend(value, holder, &steps);
        }
    }

    fn annotations(&mut self, holder: &str, annotations: &Value) {
        let prefix = self.field.path.trim_end_matches('*');
        for (key, value) in annotations.as_object().into_iter().flatten() {
            let is_meant = if prefix == self.field.path { key == prefix } else { key.starts_with(prefix) };
            if is_meant {
                let step = key.replace('~', "~0").replace('/', "~1");
                self.add(format!("{holder}/{step}"), value);
            }
        }
    }

    fn descend(&mut self, value: &Value, pointer: String, steps: &[&str]) {
        let Some((step, rest)) = steps.split_first() else {
            return self.add(pointer, value);
        };
        let key = step.strip_suffix("[*]").unwrap_or(step);
        let Some(member) = value.get(key).filter(|member| !member.is_null()) else { return };
        let pointer = format!("{pointer}/{key}");
        if key.len() == step.len() {
            return self.descend(member, pointer, rest);
        }
        for (index, element) in member.as_array().into_iter().flatten().enumerate() {
            self.descend(element, format!("{pointer}/{index}"), rest);
        }
    }

    fn add(&mut self, pointer: String, value: &Value) {
        let whole = format!("{}{pointer}", self.written.pod.base);
        let place = self.written.object.get(&whole);
        let field = FieldValue {
            path: path(&whole),
            value: value.clone(),
            position: place.map(|place| self.written.source.position(place.value)),
            remark: String::new(),
        };
        let accepted = self.field.allowed.to_owned();
        self.found.push(ValueAccount { field, accepted, verdict: ValueVerdict::Fine });
    }
}

/// A pointer as field errors write it: numbers of list elements in brackets.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    let mut annotation = false;
    for step in pointer.split('/').skip(1) {
        let name = step.replace("~1", "/").replace("~0", "~");
        if annotation || step.bytes().all(|byte| byte.is_ascii_digit()) {
            path += &format!("[{name}]");
        } else {
            path += if path.is_empty() { "" } else { "." };
            path += &name;
        }
        annotation = step == "annotations";
    }
    path
}
