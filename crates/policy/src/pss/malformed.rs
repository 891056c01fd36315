//! Values of the wrong type in the fields that the checks read. The API server refuses such an object before any
//! policy sees it; a manifest on disk has nobody to refuse it, and must not pass for want of a readable value.

use std::fmt::Write as _;

use serde_json::Value;

use super::Pod;

/// One value that the API server would not decode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: expected {expected}, found {found}")]
pub struct Malformed {
    /// Where it is, as a JSON pointer from the root of the object.
    pub pointer: String,
    /// What belongs there.
    pub expected: &'static str,
    /// What is there.
    pub found: &'static str,
}

enum Shape {
    Bool,
    Integer,
    Text,
    /// Any object: a volume's source.
    Object,
    Members(&'static [(&'static str, Shape)]),
    List(&'static Shape),
    Texts,
}

use Shape::{Bool, Integer, List, Members, Object, Text, Texts};

const ACTION: Shape = Members(&[("httpGet", HOST), ("tcpSocket", HOST)]);
const HOST: Shape = Members(&[("host", Text)]);
const PROFILE: Shape = Members(&[("type", Text)]);
const SELINUX: Shape = Members(&[("type", Text), ("user", Text), ("role", Text)]);
const WINDOWS: Shape = Members(&[("hostProcess", Bool)]);

const CONTAINER_SECURITY: Shape = Members(&[
    ("allowPrivilegeEscalation", Bool),
    ("appArmorProfile", PROFILE),
    ("capabilities", Members(&[("add", List(&Text)), ("drop", List(&Text))])),
    ("privileged", Bool),
    ("procMount", Text),
    ("runAsNonRoot", Bool),
    ("runAsUser", Integer),
    ("seLinuxOptions", SELINUX),
    ("seccompProfile", PROFILE),
    ("windowsOptions", WINDOWS),
]);

const CONTAINER: Shape = Members(&[
    ("name", Text),
    ("image", Text),
    ("restartPolicy", Text),
    ("lifecycle", Members(&[("postStart", ACTION), ("preStop", ACTION)])),
    ("livenessProbe", ACTION),
    ("readinessProbe", ACTION),
    ("startupProbe", ACTION),
    ("ports", List(&Members(&[("containerPort", Integer), ("hostPort", Integer)]))),
    ("securityContext", CONTAINER_SECURITY),
]);

const POD_SECURITY: Shape = Members(&[
    ("appArmorProfile", PROFILE),
    ("runAsNonRoot", Bool),
    ("runAsUser", Integer),
    ("seLinuxOptions", SELINUX),
    ("seccompProfile", PROFILE),
    ("sysctls", List(&Members(&[("name", Text)]))),
    ("windowsOptions", WINDOWS),
]);

const VOLUME: Shape = Members(&[
    ("name", Text),
    ("hostPath", Members(&[("path", Text)])),
    ("configMap", Object),
    ("csi", Object),
    ("downwardAPI", Object),
    ("emptyDir", Object),
    ("ephemeral", Object),
    ("image", Object),
    ("persistentVolumeClaim", Object),
    ("projected", Object),
    ("secret", Object),
]);

const SPEC: Shape = Members(&[
    ("initContainers", List(&CONTAINER)),
    ("containers", List(&CONTAINER)),
    ("ephemeralContainers", List(&CONTAINER)),
    ("hostIPC", Bool),
    ("hostNetwork", Bool),
    ("hostPID", Bool),
    ("hostUsers", Bool),
    ("os", Members(&[("name", Text)])),
    ("runtimeClassName", Text),
    ("securityContext", POD_SECURITY),
    ("volumes", List(&VOLUME)),
]);

static POD: Shape = Members(&[("metadata", Members(&[("annotations", Texts)])), ("spec", SPEC)]);

impl Pod<'_> {
    /// The values of the wrong type in `object`, which must be the object that the view was made of. Empty for
    /// everything that the API server would decode, as far as the checks read it.
    #[must_use]
    pub fn malformed(&self, object: &Value) -> Vec<Malformed> {
        let mut walk = Walk { pointer: self.base.to_owned(), malformed: Vec::new() };
        if let Some(pod) = object.pointer(self.base) {
            walk.visit(&POD, pod);
        }
        walk.malformed
    }
}

struct Walk {
    pointer: String,
    malformed: Vec<Malformed>,
}

impl Walk {
    fn visit(&mut self, shape: &'static Shape, value: &Value) {
        let expected = match (shape, value) {
            (_, Value::Null)
            | (Bool, Value::Bool(_))
            | (Text, Value::String(_))
            | (Object, Value::Object(_)) => {
                return;
            }
            (Integer, Value::Number(number)) if number.is_i64() => return,
            (Members(members), Value::Object(object)) => {
                for (key, shape) in *members {
                    if let Some(value) = object.get(*key) {
                        self.inside(&format!("/{key}"), shape, value);
                    }
                }
                return;
            }
            (List(shape), Value::Array(elements)) => {
                for (index, element) in elements.iter().enumerate() {
                    self.inside(&format!("/{index}"), shape, element);
                }
                return;
            }
            (Texts, Value::Object(object)) => {
                for (key, value) in object {
                    let key = key.replace('~', "~0").replace('/', "~1");
                    self.inside(&format!("/{key}"), &Text, value);
                }
                return;
            }
            (Bool, _) => "a boolean",
            (Integer, _) => "an integer of 64 bits",
            (Text, _) => "a string",
            (Object | Members(_) | Texts, _) => "an object",
            (List(_), _) => "a list",
        };
        let found = type_name(value);
        self.malformed.push(Malformed { pointer: self.pointer.clone(), expected, found });
    }

    fn inside(&mut self, step: &str, shape: &'static Shape, value: &Value) {
        let length = self.pointer.len();
        // Writing to a String cannot fail.
        let _ = self.pointer.write_str(step);
        self.visit(shape, value);
        self.pointer.truncate(length);
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
