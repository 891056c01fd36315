//! What must hold for every object: nothing panics, restricted never forbids less than baseline, and taking an
//! offending value away never makes a pod worse.

use meshward_policy::{
    psa::{Configuration, is_significant},
    pss::{Aggregate, CheckResult, Finding, Level, NEWEST, Pod, Scope, Version, evaluate, extract},
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Keys that the checks read, so that random objects reach deep into them, and a few that they do not.
const KEYS: &[&str] = &[
    "metadata",
    "annotations",
    "spec",
    "containers",
    "initContainers",
    "ephemeralContainers",
    "name",
    "image",
    "securityContext",
    "capabilities",
    "add",
    "drop",
    "privileged",
    "procMount",
    "runAsNonRoot",
    "runAsUser",
    "type",
    "seccompProfile",
    "appArmorProfile",
    "seLinuxOptions",
    "user",
    "role",
    "windowsOptions",
    "hostProcess",
    "sysctls",
    "volumes",
    "hostPath",
    "path",
    "nfs",
    "secret",
    "quantumDisk",
    "ports",
    "hostPort",
    "containerPort",
    "hostNetwork",
    "hostPID",
    "hostUsers",
    "os",
    "livenessProbe",
    "lifecycle",
    "preStop",
    "httpGet",
    "host",
    "restartPolicy",
    "allowPrivilegeEscalation",
    "kind",
    "apiVersion",
    "template",
    "jobTemplate",
    "labels",
    "ownerReferences",
    "container.apparmor.security.beta.kubernetes.io/a",
    "container.seccomp.security.alpha.kubernetes.io/a",
    "seccomp.security.alpha.kubernetes.io/pod",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        prop_oneof![Just(0i64), any::<i64>()].prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(vec![
            "a",
            "",
            "ALL",
            "NET_ADMIN",
            "windows",
            "RuntimeDefault",
            "Always",
            "v1",
            "Pod",
            "Job"
        ])
        .prop_map(Value::from),
        ".{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(7, 96, 6, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            3 => prop::collection::vec((prop::sample::select(KEYS), inner), 0..6).prop_map(|pairs| {
                Value::Object(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>())
            }),
        ]
    })
}

fn maybe(value: impl Strategy<Value = Value> + 'static) -> BoxedStrategy<Option<Value>> {
    prop_oneof![Just(None), value.prop_map(Some)].boxed()
}

fn object(members: Vec<(&'static str, BoxedStrategy<Option<Value>>)>) -> BoxedStrategy<Value> {
    let (keys, values): (Vec<_>, Vec<_>) = members.into_iter().unzip();
    values
        .prop_map(move |values| {
            let set = keys.iter().zip(values).filter_map(|(key, value)| Some(((*key).to_owned(), value?)));
            Value::Object(set.collect())
        })
        .boxed()
}

fn one_of(values: &[&str]) -> BoxedStrategy<Value> {
    prop::sample::select(values.iter().map(|value| json!(value)).collect::<Vec<_>>()).boxed()
}

fn boolean() -> BoxedStrategy<Value> {
    any::<bool>().prop_map(Value::from).boxed()
}

fn profile() -> BoxedStrategy<Value> {
    object(vec![("type", maybe(one_of(&["RuntimeDefault", "Localhost", "Unconfined"])))])
}

fn security() -> Vec<(&'static str, BoxedStrategy<Option<Value>>)> {
    let selinux = vec![
        ("type", maybe(one_of(&["", "container_t", "container_engine_t", "spc_t"]))),
        ("user", maybe(one_of(&["", "u"]))),
        ("role", maybe(one_of(&["", "r"]))),
    ];
    vec![
        ("runAsNonRoot", maybe(boolean())),
        ("runAsUser", maybe((0i64..2).prop_map(Value::from))),
        ("seccompProfile", maybe(profile())),
        ("appArmorProfile", maybe(profile())),
        ("seLinuxOptions", maybe(object(selinux))),
        ("windowsOptions", maybe(object(vec![("hostProcess", maybe(boolean()))]))),
    ]
}

fn container() -> BoxedStrategy<Value> {
    let names = || prop::collection::vec(one_of(&["ALL", "NET_ADMIN", "CHOWN", "NET_BIND_SERVICE"]), 0..3);
    let list = || maybe(names().prop_map(Value::from));
    let mut members = security();
    members.extend([
        ("privileged", maybe(boolean())),
        ("allowPrivilegeEscalation", maybe(boolean())),
        ("procMount", maybe(one_of(&["Default", "Unmasked"]))),
        ("capabilities", maybe(object(vec![("add", list()), ("drop", list())]))),
    ]);
    let port = object(vec![
        ("hostPort", maybe((0i64..3).prop_map(Value::from))),
        ("containerPort", maybe((1i64..3).prop_map(Value::from))),
    ]);
    let probe = object(vec![("httpGet", maybe(object(vec![("host", maybe(one_of(&["", "h"])))])))]);
    object(vec![
        ("name", maybe(one_of(&["a", "b"]))),
        ("securityContext", maybe(object(members))),
        ("ports", maybe(prop::collection::vec(port, 0..3).prop_map(Value::from))),
        ("livenessProbe", maybe(probe)),
    ])
}

fn pod() -> BoxedStrategy<Value> {
    let volume = object(vec![
        ("name", maybe(one_of(&["v", "w"]))),
        ("hostPath", maybe(Just(json!({"path": "/etc"})))),
        ("emptyDir", maybe(Just(json!({})))),
        ("nfs", maybe(Just(json!({})))),
    ]);
    let sysctl = one_of(&["kernel.sem", "net.ipv4.tcp_rmem"]).prop_map(|name| json!({"name": name}));
    let mut shared = security();
    shared.push(("sysctls", maybe(prop::collection::vec(sysctl, 0..3).prop_map(Value::from))));
    let containers = || maybe(prop::collection::vec(container(), 0..3).prop_map(Value::from));
    let spec = object(vec![
        ("containers", containers()),
        ("initContainers", containers()),
        ("ephemeralContainers", containers()),
        ("volumes", maybe(prop::collection::vec(volume, 0..3).prop_map(Value::from))),
        ("securityContext", maybe(object(shared))),
        ("hostNetwork", maybe(boolean())),
        ("hostPID", maybe(boolean())),
        ("hostUsers", maybe(boolean())),
        ("os", maybe(one_of(&["windows", "linux"]).prop_map(|name| json!({"name": name})))),
    ]);
    let annotations = object(vec![
        ("container.apparmor.security.beta.kubernetes.io/a", maybe(one_of(&["", "unconfined"]))),
        (
            "container.seccomp.security.alpha.kubernetes.io/b",
            maybe(one_of(&["runtime/default", "unconfined"])),
        ),
    ]);
    object(vec![
        ("metadata", maybe(object(vec![("annotations", maybe(annotations))]))),
        ("spec", maybe(spec)),
    ])
}

fn version() -> impl Strategy<Value = Version> {
    prop_oneof![
        Just(Version::Latest),
        (0..=NEWEST + 2).prop_map(Version::Minor),
        any::<u64>().prop_map(Version::Minor)
    ]
}

/// Whatever can be asked of results, asked.
fn exercise(results: &[CheckResult<'_>]) {
    let verdict = Aggregate::new(results);
    assert_eq!(verdict.allowed(), results.iter().all(CheckResult::allowed));
    assert_eq!(verdict.allowed(), verdict.detail().is_empty());
    for result in results {
        assert_eq!(result.named().is_empty(), result.allowed());
        for finding in &result.findings {
            assert!(result.revision.fields.contains(&finding.field), "{}", finding.path());
            assert!(finding.path().len() + finding.pointer().len() + finding.value_text().len() > 2);
        }
    }
}

/// Removes what the pointer names; tells whether it was there.
fn remove(object: &mut Value, pointer: &str) -> bool {
    let Some((parent, key)) = pointer.rsplit_once('/') else { return false };
    match object.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.shift_remove(&key.replace("~1", "/").replace("~0", "~")).is_some()
        }
        Some(Value::Array(elements)) => match key.parse::<usize>() {
            Ok(index) if index < elements.len() => {
                elements.remove(index);
                true
            }
            _ => false,
        },
        _ => false,
    }
}

/// A value that is wrong where it is set, in a field that need not be set: taking it away can only help.
fn is_optional(finding: &Finding<'_>) -> bool {
    let path = finding.field.path;
    let required = ["allowPrivilegeEscalation", "runAsNonRoot", "capabilities.drop", "Profile.type"];
    finding.value.is_some() && !required.iter().any(|required| path.ends_with(required))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_json_never_panics(object in any_json(), old in any_json(), version in version()) {
        for level in Level::ALL {
            let pod = Pod::new(&object);
            exercise(&evaluate(level, version, &pod));
            let _ = pod.malformed(&object);
            if let Ok(Some(pod)) = extract(&object) {
                exercise(&evaluate(level, version, &pod));
            }
        }
        let _ = is_significant(&object, &old);
        let _ = Configuration::from_value(&object);
    }

    #[test]
    fn well_typed_pods_are_not_malformed(object in pod()) {
        prop_assert_eq!(Pod::new(&object).malformed(&object), []);
    }

    /// Also where a restricted check replaces a baseline one; Windows pods are let off three restricted checks that
    /// replace baseline ones, and the API server would refuse those pods.
    #[test]
    fn restricted_forbids_whatever_baseline_forbids(object in pod(), version in version()) {
        let pod = Pod::new(&object);
        let windows = object.pointer("/spec/os/name").is_some_and(|name| name == "windows");
        let several_sources = object.pointer("/spec/volumes").and_then(Value::as_array).is_some_and(|volumes| {
            volumes.iter().any(|volume| volume.get("hostPath").is_some() && volume.get("emptyDir").is_some())
        });
        let forbids = |level| !Aggregate::new(&evaluate(level, version, &pod)).allowed();
        if !windows && !several_sources && forbids(Level::Baseline) {
            prop_assert!(forbids(Level::Restricted));
        }
        prop_assert!(!forbids(Level::Privileged));
    }

    #[test]
    fn pointers_lead_to_the_values(object in pod(), version in version()) {
        for result in evaluate(Level::Restricted, version, &Pod::new(&object)) {
            for finding in result.findings {
                let Some(value) = finding.value else { continue };
                let there = object.pointer(&finding.pointer());
                let filled_in = finding.field.path.ends_with("hostPort") && there.is_none_or(|port| port == 0);
                let inside = there.and_then(|source| source.get("path"));
                prop_assert!(
                    filled_in || value.is_null() || there == Some(value) || inside == Some(value),
                    "{}: {value}", finding.pointer()
                );
            }
        }
    }

    #[test]
    fn taking_an_optional_value_away_never_adds_a_finding(object in pod(), version in version()) {
        for level in [Level::Baseline, Level::Restricted] {
            let before = evaluate(level, version, &Pod::new(&object));
            let count = |results: &[CheckResult<'_>]| results.iter().map(|result| result.findings.len()).sum::<usize>();
            for finding in before.iter().flat_map(|result| &result.findings).filter(|finding| is_optional(finding)) {
                let mut without = object.clone();
                // A sysctl is its name.
                let pointer = finding.pointer();
                let pointer = pointer.strip_suffix("/name").unwrap_or(&pointer);
                if remove(&mut without, pointer) {
                    let after = evaluate(level, version, &Pod::new(&without));
                    // A default or a second source may take the value's place.
                    let replaced = finding.field.path.ends_with("hostPort") || finding.field.scope == Scope::Volume;
                    prop_assert!(
                        count(&after) < count(&before) || (replaced && count(&after) == count(&before)),
                        "{pointer}"
                    );
                }
            }
        }
    }

    #[test]
    fn findings_taken_out_one_by_one_leave_an_allowed_pod(object in pod(), version in version()) {
        let mut results = evaluate(Level::Restricted, version, &Pod::new(&object));
        for result in &mut results {
            while let Some(first) = result.findings.first().map(Finding::pointer) {
                let before = result.findings.len();
                result.retain(|finding| finding.pointer() != first);
                prop_assert!(result.findings.len() < before);
                prop_assert_eq!(result.text().is_none(), result.findings.is_empty());
            }
        }
        prop_assert!(Aggregate::new(&results).allowed());
    }
}
