//! What surrounds the program of a container. The same image and command do something else where a variable makes the
//! loader load another library, where a file lies that the program reads, or where a probe runs a command of its own: an
//! exemption that is to mean one program has to say what may be there.

use crate::pss::Container;
use crate::wildcard;
use serde_json::{Map, Value};
use std::fmt;

/// Names or patterns of what may be there, and of what may not, which are written with `!`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Names {
    allowed: Vec<String>,
    forbidden: Vec<String>,
}

impl Names {
    pub(super) fn new(written: &[String]) -> Names {
        let (forbidden, allowed): (Vec<_>, Vec<_>) =
            written.iter().cloned().partition(|name| name.starts_with('!'));
        let forbidden = forbidden.iter().map(|name| name[1..].to_owned()).collect();
        Names { allowed, forbidden }
    }

    fn allows(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| wildcard::matches(pattern, name));
        any(&self.allowed) && !any(&self.forbidden)
    }

    /// Whether names that nobody knows are allowed.
    fn allows_all(&self) -> bool {
        self.forbidden.is_empty() && self.allowed.iter().any(|pattern| pattern == "*")
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forbidden = self.forbidden.iter().map(|name| format!("!{name}"));
        let names: Vec<String> = self.allowed.iter().cloned().chain(forbidden).collect();
        write!(f, "[{}]", names.join(", "))
    }
}

/// The variables of a container that `names` do not allow. `envFrom` brings names that the pod does not tell.
pub(super) fn other_variables(container: &Container<'_>, names: &Names) -> Vec<String> {
    let Some(object) = container.object else { return Vec::new() };
    let mut others = others(object, "env", "name", |name| names.allows(name));
    if !is_empty(object.get("envFrom")) && !names.allows_all() {
        others.push("envFrom".to_owned());
    }
    others
}

/// The paths of volumes and devices that `names` do not allow. A path with `..` in it is none of them: the runtime
/// resolves it, so that `/run/*` would allow everything.
pub(super) fn other_mounts(container: &Container<'_>, names: &Names) -> Vec<String> {
    let Some(object) = container.object else { return Vec::new() };
    let allows = |path: &str| names.allows(path) && !path.split('/').any(|step| step == "..");
    let mut found = others(object, "volumeMounts", "mountPath", allows);
    found.extend(others(object, "volumeDevices", "devicePath", allows));
    found
}

/// What probes and lifecycle hooks run in the container and `names` do not allow. A pattern is about the words of the
/// command with a space between them, and stands for nothing that a shell would make a further command of.
pub(super) fn other_commands(container: &Container<'_>, names: &Names) -> Vec<String> {
    let Some(object) = container.object else { return Vec::new() };
    let lifecycle = |hook: &str| object.get("lifecycle").and_then(|lifecycle| lifecycle.get(hook));
    let probes = ["startupProbe", "livenessProbe", "readinessProbe"].map(|probe| object.get(probe));
    let hooks = probes.into_iter().chain([lifecycle("postStart"), lifecycle("preStop")]).flatten();
    let run = hooks.filter_map(|hook| hook.get("exec").filter(|exec| !exec.is_null()));
    let command = |exec: &Value| -> Option<String> {
        let words = exec.get("command").and_then(Value::as_array)?;
        Some(words.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?.join(" "))
    };
    let refused = |exec: &Value| match command(exec) {
        Some(command) if is_plain(&command) && names.allows(&command) => None,
        Some(command) => Some(command),
        None => Some("not a list of texts".to_owned()),
    };
    run.filter_map(refused).collect()
}

/// Whether a shell makes no further command of a word.
pub(super) fn is_plain(word: &str) -> bool {
    let joined = word.replace("\\\n", " ");
    !joined.contains([';', '&', '|', '<', '>', '`', '\n', '\r']) && !joined.contains("$(")
}

/// The texts at `name` of a list's elements that are not allowed; an element that has none is not allowed either.
fn others(object: &Map<String, Value>, list: &str, name: &str, allows: impl Fn(&str) -> bool) -> Vec<String> {
    match object.get(list) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(elements)) => {
            let texts = elements.iter().map(|element| element.get(name).and_then(Value::as_str));
            let other = texts.filter(|text| !text.is_some_and(&allows));
            other.map(|text| text.unwrap_or("not a text").to_owned()).collect()
        }
        Some(_) => vec!["not a list".to_owned()],
    }
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => true,
        Some(Value::Array(elements)) => elements.is_empty(),
        Some(_) => false,
    }
}
