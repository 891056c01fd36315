use std::path::PathBuf;

use meshward_manifest::{Documents, Options};
use serde_json::json;

use super::*;

const IMAGE: &str = "registry.example/wait:1";

fn swapper() -> Swapper {
    let options = SwapOptions { image: IMAGE.into(), ..SwapOptions::default() };
    Swapper::new(options, || WaitUser::Ordinary, vec!["kube-system".into(), "ours".into()])
}

fn shop() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
}

fn istio() -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"generateName": "web-", "namespace": "shop"}, "spec": {
        "initContainers": [{
            "name": "istio-init", "image": "istio/proxyv2:1.30",
            "args": ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-b", "*"],
            "securityContext": {"runAsUser": 0, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        }],
        "containers": [
            {"name": "web", "image": "nginx"},
            {"name": "istio-proxy", "image": "istio/proxyv2:1.30", "args": ["proxy", "sidecar"],
             "securityContext": {"runAsUser": 1337, "runAsNonRoot": true}},
        ],
    }})
}

fn review(object: &Value, operation: &str, namespace: &str, subresource: &str) -> Vec<u8> {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u", "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "subResource": subresource, "namespace": namespace, "operation": operation,
            "userInfo": {"username": "eve"}, "object": object, "dryRun": false,
        },
    })
    .to_string()
    .into_bytes()
}

fn asked(swapper: &Swapper, body: &[u8], namespace: Result<&Value, &str>) -> Answer {
    swapper.answer(&Request::parse(body).unwrap(), namespace).unwrap()
}

fn created(object: &Value, namespace: &Value) -> Answer {
    asked(&swapper(), &review(object, "CREATE", "shop", ""), Ok(namespace))
}

fn patched(object: &Value, answer: &Answer) -> Value {
    let mut object = object.clone();
    let patch: json_patch::Patch = serde_json::from_value(answer.patch.clone().into()).unwrap();
    json_patch::patch(&mut object, &patch).unwrap();
    object
}

#[test]
fn a_mesh_pod_is_swapped_once() {
    let (before, namespace) = (istio(), shop());
    let answer = created(&before, &namespace);
    assert_eq!((answer.refusal.as_ref(), answer.warnings.as_slice()), (None, &[][..]));
    assert_eq!(
        answer.audit["swap"],
        "meshward-wait in place of istio-init; istio-proxy: allowPrivilegeEscalation, seccompProfile, capabilities \
         set; annotation meshward.dev/redirect written"
    );
    let after = patched(&before, &answer);
    assert_eq!(after["spec"]["initContainers"][0]["image"], IMAGE);
    assert_eq!(after["spec"]["containers"][0], before["spec"]["containers"][0], "nothing else is touched");
    // The API server asks again after another webhook has changed the pod.
    let again = created(&after, &namespace);
    assert_eq!((again.patch.as_slice(), again.warnings.as_slice()), (&[][..], &[][..]));
    let body = review(&before, "CREATE", "shop", "");
    let text = String::from_utf8(answer.body(&Request::parse(&body).unwrap())).unwrap();
    assert!(text.contains("\"patchType\":\"JSONPatch\""), "{text}");
}

#[test]
fn what_is_not_a_new_pod_of_a_namespace_that_is_looked_at_is_let_through() {
    let (pod, namespace) = (istio(), shop());
    let table = [
        ("UPDATE", "shop", ""),
        ("UPDATE", "shop", "ephemeralcontainers"),
        ("CREATE", "shop", "eviction"),
        ("CREATE", "kube-system", ""),
        ("CREATE", "ours", ""),
    ];
    for (operation, place, subresource) in table {
        let body = review(&pod, operation, place, subresource);
        assert_eq!(asked(&swapper(), &body, Ok(&namespace)), Answer::allowed(), "{operation} {place}");
        assert!(!swapper().is_asked(&Request::parse(&body).unwrap()));
    }
}

/// Pods that stay as they are, with what the client is told.
#[test]
fn a_pod_that_cannot_be_swapped_stays_whole_and_says_why() {
    let with = |edit: &dyn Fn(&mut Value)| {
        let mut pod = istio();
        edit(&mut pod);
        pod
    };
    let swap = "meshward.dev/swap";
    let disabled = json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {swap: "disabled"}}});
    let plain = shop();
    let tproxy = with(&|pod| pod["spec"]["initContainers"][0]["args"][8] = json!("TPROXY"));
    let root = with(&|pod| pod["spec"]["containers"][1]["securityContext"] = json!({"privileged": true}));
    let opted_out = with(&|pod| pod["metadata"]["annotations"] = json!({swap: "disabled"}));
    let misspelt = with(&|pod| pod["metadata"]["annotations"] = json!({swap: "off"}));
    let host = with(&|pod| pod["spec"]["hostNetwork"] = json!(true));
    let unknown =
        with(&|pod| pod["spec"]["initContainers"][0]["args"] = json!(["istio-iptables", "--nonsense"]));
    let ordinary =
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []}});
    let table = [
        (&tproxy, &plain, Some("meshward: not swapped: Pod \"web-\": TPROXY")),
        (&root, &plain, Some("meshward: not swapped: Pod \"web-\": container istio-proxy is privileged")),
        (&opted_out, &plain, None),
        (&istio(), &disabled, None),
        (
            &misspelt,
            &plain,
            Some(
                "meshward: not swapped: Pod \"web-\": annotation meshward.dev/swap of the pod: found \"off\"",
            ),
        ),
        (&host, &plain, Some("meshward: not swapped: ")),
        (&unknown, &plain, Some("meshward: not swapped: Pod \"web-\": arguments of container istio-init")),
        (&ordinary, &plain, None),
        (&json!({"kind": "Pod", "spec": 7}), &plain, None),
        (&json!("nonsense"), &plain, None),
    ];
    for (at, (pod, namespace, expected)) in table.into_iter().enumerate() {
        let answer = created(pod, namespace);
        assert_eq!((answer.refusal.as_ref(), answer.patch.as_slice()), (None, &[][..]), "row {at}");
        match expected {
            None => assert!(answer.warnings.is_empty(), "row {at}: {:?}", answer.warnings),
            Some(start) => {
                assert!(answer.warnings[0].starts_with(start), "row {at}: {:?}", answer.warnings);
                assert!(answer.warnings.iter().all(|warning| warning.len() <= LONGEST_WARNING), "row {at}");
            }
        }
    }
    // A pod's own word counts more than its namespace's.
    let wanted = with(&|pod| pod["metadata"]["annotations"] = json!({swap: "enabled"}));
    assert!(!created(&wanted, &disabled).patch.is_empty());
}

#[test]
fn an_unknown_namespace_leaves_mesh_pods_as_they_are() {
    let body = review(&istio(), "CREATE", "shop", "");
    let answer = asked(&swapper(), &body, Err("no answer"));
    assert_eq!(answer.patch, [] as [Value; 0]);
    assert_eq!(answer.warnings, ["meshward: not swapped: the namespace is not known: no answer"]);
    let ordinary = json!({"kind": "Pod", "metadata": {"name": "a"}, "spec": {"containers": []}});
    let body = review(&ordinary, "CREATE", "shop", "");
    assert_eq!(asked(&swapper(), &body, Err("no answer")), Answer::allowed());
}

#[test]
fn the_platform_is_asked_for_each_pod() {
    let swapper = Swapper::new(SwapOptions::default(), || WaitUser::Platform, Vec::new());
    let body = review(&istio(), "CREATE", "shop", "");
    let after = patched(&istio(), &asked(&swapper, &body, Ok(&shop())));
    let wait = &after["spec"]["initContainers"][0]["securityContext"];
    assert_eq!((wait.get("runAsUser"), &wait["runAsNonRoot"]), (None, &json!(true)));
}

#[test]
fn outcomes_are_counted() {
    let (swapper, mut metrics) = (swapper(), Registry::default());
    swapper.register(&mut metrics);
    asked(&swapper, &review(&istio(), "CREATE", "shop", ""), Ok(&shop()));
    let text = meshward_kit::admin::openmetrics(&metrics).unwrap();
    assert!(text.contains("swaps_total{outcome=\"swapped\"} 1"), "{text}");
}

/// Every pod that the meshes' own injectors made: whatever is swapped passes, whatever is not is untouched.
#[test]
fn pods_of_the_injectors() {
    let root = std::env::var_os("MESHWARD_SUITES").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/suites"),
        PathBuf::from,
    );
    if !root.is_dir() {
        meshward_netlab::skipped("no suites of the peers here");
        return;
    }
    let (mut swapped, mut seen) = (0, 0);
    for mesh in ["istio", "linkerd", "kuma"] {
        for entry in std::fs::read_dir(root.join("pods").join(mesh)).unwrap() {
            let text = std::fs::read(entry.unwrap().path()).unwrap();
            for document in Documents::new(&text, Options::default()) {
                let document = document.unwrap().value;
                for template in pods(&document) {
                    let mut pod = template.template().clone();
                    pod["apiVersion"] = json!("v1");
                    pod["kind"] = json!("Pod");
                    let answer = created(&pod, &shop());
                    assert_eq!(answer.refusal, None);
                    seen += 1;
                    if answer.patch.is_empty() {
                        continue;
                    }
                    swapped += 1;
                    let after = patched(&pod, &answer);
                    let again = created(&after, &shop());
                    assert!(again.patch.is_empty(), "{again:?}");
                    assert_eq!(after.to_string().matches("NET_ADMIN").count(), 0, "{after}");
                }
            }
        }
    }
    assert!(swapped > 50 && seen >= swapped, "{swapped} of {seen}");
}
