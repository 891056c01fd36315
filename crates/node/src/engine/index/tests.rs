//! Events in, orders out: each case is a transcript, one line for an event and one for each order that follows.

mod order;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use insta::assert_snapshot;
use serde_json::json;

use super::super::aim::{GateState, InForce, Says};
use super::*;
use crate::located::Source;

const RECORD: &str = r#"{"version":1,"mesh":"istio","settings":{"istio-inbound-ports":"*","istio-service-cidr":"*","proxy-uid":"1337"}}"#;

/// A pod of namespace shop: `mesh` (with what was recorded), `bare` (in the mesh by its annotations), `plain`, `out`
/// (opted out), `bad`, `host`, `two` (meshes), `exposed` (its application runs), `ended`.
fn object(uid: &str, name: &str, kind: &str) -> Value {
    let mut pod = json!({"metadata": {"name": name, "namespace": "shop", "uid": uid, "annotations": {}},
        "spec": {"containers": [{"name": "web"}, {"name": "istio-proxy", "args": ["proxy", "sidecar"]}],
            "initContainers": [{"name": "meshward-wait"}]}});
    let annotations = &mut pod["metadata"]["annotations"];
    annotations["sidecar.istio.io/status"] = "{}".into();
    match kind {
        "bare" => {}
        "plain" => {
            pod["spec"] = json!({"containers": [{"name": "web"}]});
            pod["metadata"]["annotations"] = json!({});
        }
        "out" => annotations["sidecar.istio.io/inject"] = "false".into(),
        "bad" => annotations["traffic.sidecar.istio.io/excludeInboundPorts"] = "x".into(),
        "host" => pod["spec"]["hostNetwork"] = true.into(),
        "two" => pod["spec"]["containers"][0] = json!({"name": "linkerd-proxy"}),
        "exposed" | "ended" => {
            pod["status"] = json!({"phase": if kind == "ended" { "Succeeded" } else { "Running" },
                "containerStatuses": [{"name": "web", "state": {"running": {}}}]});
        }
        _ => annotations["meshward.dev/redirect"] = RECORD.into(),
    }
    pod
}

fn view(uid: &str, name: &str, kind: &str) -> PodView {
    PodView::read(object(uid, name, kind)).unwrap()
}

/// `s1 u1 web`, with `record` where the runtime knows the pod's annotation.
fn located(words: &[&str], source: Source) -> Located {
    let uid = if words[1] == "-" { "" } else { words[1] };
    let recorded = words.get(3) == Some(&"record");
    let annotations = recorded.then(|| ("meshward.dev/redirect".to_string(), RECORD.to_string()));
    Located {
        namespace: "shop".into(),
        name: words[2].into(),
        uid: uid.into(),
        sandbox: words[0].strip_prefix("path").map_or(words[0], |_| "").into(),
        netns: format!("/run/netns/{}", words[0]).into(),
        ips: Vec::new(),
        labels: BTreeMap::new(),
        annotations: annotations.into_iter().collect(),
        source,
    }
}

fn source(name: &str) -> Source {
    match name {
        "nri" => Source::Nri,
        "cri" => Source::Cri,
        "cni" => Source::Cni,
        _ => Source::Proc,
    }
}

/// What a unit would report after it did all it could.
fn reached(goal: &Goal) -> State {
    let mut state = State {
        number: goal.number,
        settled: true,
        netns: Some(format!("{} (net:[1])", goal.located.netns.display())),
        ..State::default()
    };
    let open = |says| GateState::Open { says, reason: String::new() };
    match &goal.aim {
        Aim::Rules(wish) => {
            state.gate = open(Says::Ready);
            state.rules = Some(InForce {
                identity: wish.identity.clone(),
                mesh: wish.mesh,
                fingerprint: "meshward v1 0".into(),
                backend: "nft".into(),
                locked: true,
                adopted: false,
                since: String::new(),
                warnings: Vec::new(),
            });
        }
        Aim::Nothing { gate: true, .. } => state.gate = open(Says::Nothing),
        Aim::Nothing { .. } => {}
        Aim::Wait { .. } | Aim::Refused { .. } | Aim::Leave => state.gate = open(Says::Wait),
    }
    state
}

#[derive(Default)]
struct World {
    index: Index,
    goals: BTreeMap<String, (UnitKey, Goal)>,
}

impl World {
    fn input(&self, event: &str) -> Input {
        let words: Vec<&str> = event.split(' ').collect();
        let ask = |uid: &str, name: &str| Ask {
            namespace: "shop".into(),
            name: name.into(),
            uid: if uid == "-" { String::new() } else { uid.into() },
        };
        let namespace = |label: &str| json!({"kind": "Namespace", "metadata": {"name": "shop", "labels": {"istio-injection": label}}});
        match words[..] {
            ["namespaces", label] => Input::Namespaces(vec![("shop".into(), namespace(label))]),
            ["namespace", label] => Input::Namespace("shop".into(), namespace(label)),
            ["exclude", name] => Input::Excluded(BTreeSet::from([name.to_string()])),
            ["pods", ..] => {
                Input::Pods(words[1..].chunks(3).map(|one| view(one[0], one[1], one[2])).collect())
            }
            ["pod", uid, name, kind] => Input::Pod(view(uid, name, kind)),
            ["gone", uid, name] => Input::PodGone(view(uid, name, "plain")),
            ["stop", id] => Input::Sighting(Sighting::Stopped { sandbox: id.into() }),
            ["start", by, ..] => Input::Sighting(Sighting::Started(located(&words[2..], source(by)))),
            ["all", by, ..] => {
                let list = words[2..].chunks(3).map(|one| located(one, source(by))).collect();
                Input::Sighting(Sighting::All(source(by), list))
            }
            ["answer", uid, name, "none"] => Input::Fetched { ask: ask(uid, name), answer: Ok(None) },
            ["answer", uid, name, "error"] => {
                Input::Fetched { ask: ask(uid, name), answer: Err("connection refused".into()) }
            }
            ["answer", uid, name, found, kind] => Input::Fetched {
                ask: ask(uid, name),
                answer: Ok(Some((view(found, name, kind), Some(namespace("enabled"))))),
            },
            ["done", unit] => {
                let (unit, goal) = &self.goals[unit];
                Input::State(unit.clone(), Box::new(reached(goal)))
            }
            ["failed", unit] => {
                let (unit, goal) = &self.goals[unit];
                let failure = Some("it broke".to_string());
                Input::State(unit.clone(), Box::new(State { failure, rules: None, ..reached(goal) }))
            }
            ["tick"] => Input::Tick,
            _ => panic!("{event}"),
        }
    }

    fn apply(&mut self, event: &str) -> Vec<String> {
        let input = self.input(event);
        self.index.apply(input).into_iter().map(|order| self.told(order)).collect()
    }

    fn told(&mut self, order: Order) -> String {
        let name = |unit: &UnitKey| format!("{}/{}", unit.pod, unit.sandbox);
        let mut goal = |verb: &str, unit: UnitKey, goal: Goal| {
            let aim = match &goal.aim {
                Aim::Leave => "leave as it is".into(),
                Aim::Wait { reason } => format!("wait: {reason}"),
                Aim::Rules(wish) => format!("rules of {}", wish.mesh),
                Aim::Nothing { gate, clear, .. } => format!("nothing (gate {gate}, clear {clear})"),
                Aim::Refused { .. } => "refused".into(),
            };
            let text = format!("{verb} {}: {aim}{}", name(&unit), if goal.early { ", early" } else { "" });
            self.goals.insert(name(&unit), (unit, goal));
            text
        };
        match order {
            Order::Begin(unit, to) => goal("begin", unit, to),
            Order::Pursue(unit, to) => goal("pursue", unit, to),
            Order::End(unit) => format!("end {}", name(&unit)),
            Order::Fetch(ask) => {
                format!("fetch {}/{} {}", ask.namespace, ask.name, ask.uid).trim_end().into()
            }
            Order::Tell { key, record, announce } => {
                let whom = if announce { "tell" } else { "list" };
                format!("{whom} {key}: {}, {}", record.phase.name(), record.reason)
            }
            Order::Forget { key } => format!("forget {key}"),
            Order::Unredirected { key } => format!("unredirected {key}"),
        }
    }

    fn transcript(events: &[&str]) -> String {
        let mut world = Self::default();
        let mut text = String::new();
        for event in events {
            let _ = writeln!(text, "> {event}");
            for order in world.apply(event) {
                let _ = writeln!(text, "  {order}");
            }
        }
        text
    }
}

#[test]
fn the_pod_is_known_before_its_sandbox() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods",
        "pod u1 web mesh",
        "start nri s1 u1 web",
        "done u1/s1",
        "start cri s1 u1 web",
        "stop s1",
        "start cri s1 u1 web",
        "gone u1 web",
    ]));
}

#[test]
fn the_sandbox_is_known_before_its_pod() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods",
        "start nri s1 u1 web",
        "done u1/s1",
        "answer u1 web error",
        "done u1/s1",
        "tick",
        "answer u1 web u1 bare",
        "done u1/s1",
        "pod u1 web bare",
    ]));
}

#[test]
fn without_the_api_server_the_runtimes_annotations_do() {
    assert_snapshot!(World::transcript(&[
        "start nri s1 u1 web record",
        "done u1/s1",
        "all cri s2 u2 app",
        "pods u1 web mesh",
        "namespaces enabled",
    ]));
}

#[test]
fn a_new_sandbox_is_not_the_old_one() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods u1 web mesh",
        "start nri s1 u1 web",
        "done u1/s1",
        "start nri s2 u1 web",
        "stop s1",
        "done u1/s2",
    ]));
}

#[test]
fn a_name_is_used_again() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods u1 web mesh",
        "start nri s1 u1 web",
        "done u1/s1",
        "gone u1 web",
        "pod u2 web plain",
        "start nri s2 u2 web",
        "stop s1",
    ]));
}

#[test]
fn a_sandbox_without_a_uid_is_asked_about() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods u1 web mesh",
        "start cni s1 - web",
        "answer - web error",
        "tick",
        "answer - web u1 mesh",
        "start cni s2 - app",
        "start cri s2 u2 app",
        "answer - app none",
    ]));
}

#[test]
fn opting_out_and_mistakes_and_their_repair() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods u1 web bare",
        "start nri s1 u1 web",
        "done u1/s1",
        "pod u1 web bad",
        "done u1/s1",
        "pod u1 web bare",
        "done u1/s1",
        "pod u1 web out",
        "done u1/s1",
        "pod u1 web two",
        "done u1/s1",
    ]));
}

#[test]
fn who_is_not_in_a_mesh_is_left_alone() {
    assert_snapshot!(World::transcript(&[
        "namespaces disabled",
        "pods u1 web plain u2 host host u3 job ended",
        "all cri s1 u1 web s3 u3 job",
        "namespace enabled",
        "pod u4 late plain",
        "start nri s4 u4 late",
        "exclude shop",
        "pod u5 other mesh",
        "start nri s5 u5 other",
    ]));
}

#[test]
fn lists_lose_sandboxes() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods u1 web mesh u2 app mesh",
        "all cri s1 u1 web s2 u2 app",
        "done u1/s1",
        "done u2/s2",
        // Lists that were made before NRI told of s3 do not know it; the second one must.
        "pod u3 new mesh",
        "start nri s3 u3 new",
        "done u3/s3",
        "all cri s1 u1 web",
        "all cri s1 u1 web",
        "all proc path1 u1 web",
    ]));
}

#[test]
fn failures_and_pods_that_run_bare_are_told() {
    assert_snapshot!(World::transcript(&[
        "namespaces enabled",
        "pods u1 web exposed",
        "tick",
        "tick",
        "tick",
        "start cri s1 u1 web",
        "failed u1/s1",
        "done u1/s1",
        "pod u1 web ended",
    ]));
}

#[test]
fn sources_are_answered() {
    let table: &[(&[&str], &str)] = &[
        (&["start nri s1 u1 web"], "None"),
        (&["start nri s1 u1 web", "done u1/s1"], "None"),
        (&["start nri s1 u1 web", "answer u1 web error"], "None"),
        (
            &["start nri s1 u1 web", "answer u1 web error", "done u1/s1"],
            r#"Some(Later("connection refused"))"#,
        ),
        (&["start nri s1 u1 web", "answer u1 web u1 plain"], "None"),
        (&["start nri s1 u1 web", "answer u1 web u1 plain", "done u1/s1"], "Some(Settled)"),
        (&["namespaces disabled", "pod u1 web plain", "start nri s1 u1 web"], "Some(Settled)"),
        (&["namespaces enabled", "pod u1 web mesh", "start nri s1 u1 web"], "None"),
        (&["namespaces enabled", "pod u1 web mesh", "start nri s1 u1 web", "done u1/s1"], "Some(Settled)"),
        (
            &["namespaces enabled", "pod u1 web mesh", "start nri s1 u1 web", "failed u1/s1"],
            r#"Some(Later("it broke"))"#,
        ),
        (
            &["namespaces enabled", "pod u1 web mesh", "start nri s1 u1 web", "done u1/s1", "pod u1 web out"],
            "None",
        ),
        (&["start nri s1 u1 web", "stop s1"], "Some(Settled)"),
    ];
    for (events, expected) in table {
        let mut world = World::default();
        for event in *events {
            world.apply(event);
        }
        let outcome = world.index.outcome(&located(&["s1", "u1", "web"], Source::Nri));
        assert_eq!(format!("{outcome:?}"), *expected, "{events:?}");
    }
}
