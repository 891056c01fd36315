//! What holds for every policy, exemption and object.

use crate::exemptions::{left, read};
use crate::table::{Request, policy};
use meshward_policy::exemption::{Exemption, PRESETS};
use meshward_policy::fields;
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Exception, Policy};
use meshward_policy::kyverno::quirk::{Quirk, Quirks};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::HashSet;

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|b| json!(b)),
        any::<i64>().prop_map(|n| json!(n)),
        any::<f64>().prop_map(|n| json!(n)),
        "Pod|Deployment|CronJob|CREATE|restricted|baseline|\\{\\{ request.object.spec \\}\\}|\\{\\{ element \\}\\}|request.object|Equals|AnyIn|[a-c*?!<>=|&]{0,3}"
            .prop_map(|s| json!(s)),
    ];
    leaf.prop_recursive(6, 60, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(
                "kind|kinds|metadata|name|names|spec|containers|image|securityContext|capabilities|add|volumes|template|jobTemplate|annotations|labels|x|any|all|resources|key|operator|value|list|pattern|deny|conditions|\\(x\\)|=\\(spec\\)|X\\(x\\)|\\^\\(containers\\)|<\\(image\\)",
                inner,
                0..5,
            )
            .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn a_pod() -> impl Strategy<Value = Value> {
    let security = (
        prop::sample::select(vec![
            json!(null),
            json!(["NET_ADMIN"]),
            json!(["NET_ADMIN", "NET_RAW", "SYS_TIME"]),
        ]),
        prop::sample::select(vec![json!(null), json!(["ALL"]), json!(["KILL"])]),
        prop::option::of(any::<bool>()),
        prop::option::of(0u8..2),
    );
    let container = (security, "a|b", "mesh/init|evil/init|nginx", any::<bool>()).prop_map(
        |((add, drop, non_root, user), name, image, always)| {
            json!({
                "name": name, "image": image, "restartPolicy": if always { json!("Always") } else { json!(null) },
                "securityContext": {"capabilities": {"add": add, "drop": drop}, "runAsNonRoot": non_root, "runAsUser": user},
            })
        },
    );
    let list = prop::collection::vec(container, 0..3);
    (list.clone(), list, any::<bool>(), prop::option::of("/etc|/etc/ssl|/var")).prop_map(
        |(init, containers, host, path)| {
            json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "prod"},
                "spec": {
                    "initContainers": init, "containers": containers, "hostNetwork": host,
                    "volumes": path.map(|path| json!([{"name": "v", "hostPath": {"path": path}}])),
                },
            })
        },
    )
}

fn an_exemption() -> impl Strategy<Value = Value> {
    let containers = (
        prop::option::of("a|b"),
        prop::option::of("mesh/init|nginx"),
        prop::option::of("init|sidecar|regular"),
    )
        .prop_map(|(name, image, kind)| {
            json!({
                "names": [name.unwrap_or_else(|| "*".to_owned())], "images": image.map(|image| vec![image]),
                "kinds": kind.map(|kind| vec![kind]),
            })
        });
    let allow = prop::sample::select(vec![
        json!({"control": "Capabilities"}),
        json!({"control": "Capabilities", "values": ["NET_ADMIN"]}),
        json!({"control": "Capabilities", "values": ["NET_*"]}),
        json!({"control": "Running as Non-root"}),
        json!({"control": "Running as Non-root user", "values": ["0"]}),
        json!({"control": "Seccomp", "values": ["unset"]}),
        json!({"control": "Privilege Escalation"}),
        json!({"control": "Host Namespaces"}),
        json!({"control": "HostPath Volumes", "values": ["/etc*"]}),
    ]);
    let pod_level =
        prop::sample::select(vec![json!({"control": "Host Namespaces"}), json!({"control": "Volume Types"})]);
    prop_oneof![
        (containers, prop::collection::vec(allow, 1..4))
            .prop_map(|(containers, allow)| json!({"entries": [{"containers": containers, "allow": allow}]})),
        pod_level.prop_map(|allow| json!({"entries": [{"allow": [allow]}]})),
    ]
}

fn an_exclusion() -> impl Strategy<Value = Value> {
    let control = prop::sample::select(vec![
        ("Capabilities", "spec.initContainers[*].securityContext.capabilities.add"),
        ("Capabilities", "spec.containers[*].securityContext.capabilities.add"),
        ("Capabilities", "spec.containers[*].securityContext.capabilities.drop"),
        ("Running as Non-root", "spec.containers[*].securityContext.runAsNonRoot"),
        ("Seccomp", "spec.containers[*].securityContext.seccompProfile.type"),
        ("Host Namespaces", "spec.hostNetwork"),
        ("HostPath Volumes", "spec.volumes[*].hostPath"),
        ("Volume Types", "spec.volumes[*].hostPath"),
    ]);
    let values = prop::sample::select(vec![
        json!(["NET_ADMIN"]),
        json!(["NET_*"]),
        json!(["*"]),
        json!(["/etc*"]),
        json!(["true"]),
    ]);
    (control, prop::option::of(values), prop::option::of("mesh/\\*|nginx|\\*")).prop_map(
        |((control, field), values, image)| {
            json!({
                "controlName": control, "images": image.map(|image| vec![image]),
                "restrictedField": values.as_ref().map(|_| field), "values": values,
            })
        },
    )
}

fn exception(index: usize, exclusions: &[Value]) -> Exception {
    Exception::parse(&json!({
        "apiVersion": "kyverno.io/v2", "kind": "PolicyException", "metadata": {"name": format!("e{index}"), "namespace": "n"},
        "spec": {
            "match": {"any": [{"resources": {"kinds": ["Pod"]}}]},
            "exceptions": [{"policyName": "p", "ruleNames": ["*"]}], "podSecurity": exclusions,
        },
    }))
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn adding_an_exemption_never_denies_more(
        pod in a_pod(), specs in prop::collection::vec(an_exemption(), 0..4), added in an_exemption(),
    ) {
        let mut exemptions: Vec<Exemption> = specs.iter().map(read).collect();
        let before: HashSet<String> = left(&pod, "prod", &exemptions).into_iter().collect();
        exemptions.push(read(&added));
        let after: HashSet<String> = left(&pod, "prod", &exemptions).into_iter().collect();
        prop_assert!(after.is_subset(&before));
    }

    #[test]
    fn order_of_exemptions_never_matters(pod in a_pod(), specs in prop::collection::vec(an_exemption(), 0..5)) {
        let mut exemptions: Vec<Exemption> = specs.iter().map(read).collect();
        let forward = left(&pod, "prod", &exemptions);
        exemptions.reverse();
        prop_assert_eq!(forward, left(&pod, "prod", &exemptions));
    }

    #[test]
    fn order_of_exceptions_and_exclusions_never_matters_in_strict_mode(
        pod in a_pod(), exclusions in prop::collection::vec(an_exclusion(), 0..4),
        excepted in prop::collection::vec(prop::collection::vec(an_exclusion(), 1..3), 0..3),
    ) {
        let user = UserInfo::default();
        let results = |exclusions: &[Value], exceptions: &[Exception]| {
            let rule = policy(&json!({"podSecurity": {"level": "restricted", "version": "latest", "exclude": exclusions}}));
            let compiled = Policy::compile_with(&rule, Quirks::STRICT).unwrap();
            let request = Request { exceptions, ..Request::create(&pod, &user) };
            compiled.evaluate(&request.input())
        };
        let mut exceptions: Vec<Exception> =
            excepted.iter().enumerate().map(|(index, list)| exception(index, list)).collect();
        let forward = results(&exclusions, &exceptions);
        let mut reversed = exclusions.clone();
        reversed.reverse();
        exceptions.reverse();
        prop_assert_eq!(forward, results(&reversed, &exceptions));
    }

    #[test]
    fn no_switch_makes_evaluation_panic(pod in a_pod(), exclusions in prop::collection::vec(an_exclusion(), 0..4), switches in 0u16..8192) {
        let quirks = Quirk::all().filter(|quirk| switches & (1 << *quirk as u16) != 0).fold(Quirks::STRICT, Quirks::with);
        let rule = policy(&json!({"podSecurity": {"level": "restricted", "exclude": exclusions}}));
        let user = UserInfo::default();
        let request = Request::create(&pod, &user);
        let compiled = Policy::compile_with(&rule, Quirks::STRICT).unwrap();
        prop_assert_eq!(compiled.evaluate_with(&request.input(), quirks).len(), 1);
        let _ = (compiled.quirks_touched(), compiled.quirks_decisive(&request.input()));
    }

    #[test]
    fn evaluation_never_panics(validate in any_json(), matching in any_json(), rest in any_json(), object in any_json()) {
        let mut document = policy(&validate);
        let rule = &mut document["spec"]["rules"][0];
        if let Value::Object(rest) = rest {
            for (key, value) in rest {
                rule[key] = value;
            }
        }
        let mut other = document.clone();
        other["spec"]["rules"][0]["match"] = matching;
        for document in [document, other] {
            let _ = fields::check(&document);
            let Ok(compiled) = Policy::compile(&document) else { continue };
            for kind in ["Pod", "Deployment", "CronJob"] {
                let mut object = object.clone();
                if let Value::Object(map) = &mut object {
                    map.insert("kind".to_owned(), json!(kind));
                    map.insert("apiVersion".to_owned(), json!("v1"));
                }
                for operation in ["CREATE", "UPDATE", "DELETE"] {
                    let user = UserInfo::default();
                    let request = Request { operation, old: &object, ..Request::create(&object, &user) };
                    let _ = compiled.report(&request.input());
                }
            }
        }
    }

    #[test]
    fn reading_exemptions_never_panics(spec in any_json(), kind in "Exemption|ClusterExemption|MeshPreset") {
        let document = json!({"apiVersion": "meshward.dev/v1alpha1", "kind": kind, "metadata": {"name": "e"}, "spec": spec});
        if let Err(errors) = Exemption::parse(&document) {
            prop_assert!(!errors.is_empty());
        }
    }

    #[test]
    fn autogen_is_the_rule_written_by_hand(pattern in any_json(), spec in any_json()) {
        let pods = policy(&json!({"pattern": {"spec": pattern}}));
        let mut by_hand = policy(&json!({"pattern": {"spec": {"template": {"spec": pattern}}}}));
        by_hand["spec"]["rules"][0]["match"] = json!({"any": [{"resources": {"kinds": ["Deployment"]}}]});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"template": {"spec": spec}},
        });
        let user = UserInfo::default();
        let request = Request::create(&deployment, &user);
        let (Ok(pods), Ok(by_hand)) = (Policy::compile(&pods), Policy::compile(&by_hand)) else { return Ok(()) };
        let of = |policy: &Policy| -> Vec<_> {
            let results = policy.evaluate(&request.input());
            results.into_iter().map(|r| (r.status, r.message.replace("autogen-r", "r"))).collect()
        };
        prop_assert_eq!(of(&pods), of(&by_hand));
    }
}

#[test]
fn presets_have_names_of_their_own() {
    let names: HashSet<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    assert_eq!(names.len(), PRESETS.len());
}
