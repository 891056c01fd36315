//! The plugin against frames as a runtime makes them, over a real socket.

use std::time::Duration;

use prost::Message as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::frame::{Connection, Decoder, Kind, Message, encode};
use super::message::{
    Configure, Configured, LinuxNamespace, LinuxPodSandbox, OfPod, PodSandbox, RegisterPlugin, Request,
    Response, StateChange, Synchronize, Synchronized,
};
use super::{Nri, NriState};
use crate::locate::NriSettings;
use crate::located::{Notice, Outcome, Sighting, Source};

const LONG: Duration = Duration::from_secs(20);

/// The runtime's end of the connection.
struct Runtime {
    stream: UnixStream,
    decoder: Decoder,
    waiting: Vec<Message>,
    next: u32,
}

impl Runtime {
    async fn accept(listener: &UnixListener) -> Self {
        let (stream, _) = tokio::time::timeout(LONG, listener.accept()).await.unwrap().unwrap();
        Self { stream, decoder: Decoder::default(), waiting: Vec::new(), next: 1 }
    }

    async fn message(&mut self) -> Option<Message> {
        while self.waiting.is_empty() {
            let mut buffer = [0; 4096];
            let length = tokio::time::timeout(LONG, self.stream.read(&mut buffer)).await.unwrap().unwrap();
            if length == 0 {
                return None;
            }
            self.waiting = self.decoder.feed(&buffer[..length]).unwrap();
        }
        Some(self.waiting.remove(0))
    }

    async fn send(&mut self, method: &str, payload: Vec<u8>) -> u32 {
        let service = "nri.pkg.api.v1alpha1.Plugin".into();
        let body = Request { service, method: method.into(), payload }.encode_to_vec();
        let stream = self.next;
        self.next += 2;
        let message = Message { connection: Connection::Plugin, stream, kind: Kind::Request, body };
        self.stream.write_all(&encode(&message)).await.unwrap();
        stream
    }

    async fn answer(&mut self) -> (u32, Response) {
        let message = self.message().await.unwrap();
        assert_eq!((message.connection, message.kind), (Connection::Plugin, Kind::Response));
        (message.stream, Response::decode(&message.body[..]).unwrap())
    }

    async fn call(&mut self, method: &str, payload: &impl prost::Message) -> Response {
        let sent = self.send(method, payload.encode_to_vec()).await;
        let (stream, response) = self.answer().await;
        assert_eq!(stream, sent);
        response
    }

    /// What every runtime does with a new plugin, with the pods in two parts.
    async fn greet(&mut self, pods: &[PodSandbox], request_timeout: i64) {
        let registration = self.message().await.unwrap();
        assert_eq!(registration.connection, Connection::Runtime);
        let request = Request::decode(&registration.body[..]).unwrap();
        assert_eq!(
            (request.service.as_str(), request.method.as_str()),
            ("nri.pkg.api.v1alpha1.Runtime", "RegisterPlugin",)
        );
        let plugin = RegisterPlugin::decode(&request.payload[..]).unwrap();
        assert_eq!((plugin.name.as_str(), plugin.index.as_str()), ("meshward", "50"));
        let accepted = Message { kind: Kind::Response, body: Vec::new(), ..registration };
        self.stream.write_all(&encode(&accepted)).await.unwrap();

        let configure = Configure {
            runtime_name: "containerd".into(),
            runtime_version: "v2.4.2".into(),
            request_timeout,
        };
        let answer = self.call("Configure", &configure).await;
        assert_eq!(Configured::decode(&answer.payload[..]).unwrap().events, 0b111);
        let (first, second) = pods.split_at(pods.len() / 2);
        for (part, more) in [(first, true), (second, false)] {
            let answer = self.call("Synchronize", &Synchronize { pods: part.to_vec(), more }).await;
            assert_eq!(Synchronized::decode(&answer.payload[..]).unwrap().more, more);
        }
    }
}

fn pod(number: u32) -> PodSandbox {
    PodSandbox {
        id: format!("sandbox-{number}"),
        name: format!("web-{number}"),
        uid: format!("uid-{number}"),
        namespace: "shop".into(),
        labels: [("app".to_owned(), "web".to_owned())].into(),
        annotations: [("note".to_owned(), "x".repeat(3000))].into(),
        linux: Some(LinuxPodSandbox {
            namespaces: vec![
                LinuxNamespace { kind: "pid".into(), path: String::new() },
                LinuxNamespace { kind: "network".into(), path: format!("/run/netns/cni-{number}") },
            ],
        }),
        pid: 100 + number,
        ips: vec!["10.1.0.7".into(), "fd00::7".into(), "garbage".into()],
    }
}

fn of(pod: PodSandbox) -> OfPod {
    OfPod { pod: Some(pod) }
}

struct Scene {
    runtime: Runtime,
    listener: UnixListener,
    notices: mpsc::Receiver<Notice>,
    state: tokio::sync::watch::Receiver<NriState>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Scene {
    /// A plugin that is connected to us, past the greeting.
    async fn begin(settings: NriSettings, pods: &[PodSandbox]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("nri.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let (sender, notices) = mpsc::channel(16);
        let nri = Nri::new(NriSettings { socket, ..settings }, sender);
        let (state, stop) = (nri.state(), CancellationToken::new());
        tokio::spawn(nri.run(stop.clone()));
        let mut runtime = Runtime::accept(&listener).await;
        runtime.greet(pods, 2000).await;
        Self { runtime, listener, notices, state, stop, _folder: folder }
    }

    async fn notice(&mut self) -> Notice {
        tokio::time::timeout(LONG, self.notices.recv()).await.unwrap().unwrap()
    }
}

#[tokio::test]
async fn all_pods_of_a_synchronization_in_parts_are_told_at_once() {
    let mut host = pod(3);
    host.linux = Some(LinuxPodSandbox::default());
    let mut ended = pod(4);
    ended.pid = 0;
    let mut scene = Scene::begin(NriSettings::default(), &[pod(1), host, ended, pod(2)]).await;
    let Sighting::All(Source::Nri, pods) = scene.notice().await.sighting else { panic!("no list") };
    let ids: Vec<&str> = pods.iter().map(|pod| pod.sandbox.as_str()).collect();
    assert_eq!(ids, ["sandbox-1", "sandbox-2"]);
    assert_eq!(pods[0].netns.to_str(), Some("/run/netns/cni-1"));
    assert_eq!(pods[0].ips, ["10.1.0.7".parse::<std::net::IpAddr>().unwrap(), "fd00::7".parse().unwrap()]);
    assert_eq!((pods[0].labels["app"].as_str(), pods[0].annotations["note"].len()), ("web", 3000));
    scene.state.wait_for(NriState::is_connected).await.unwrap();
    scene.stop.cancel();
    assert!(scene.runtime.message().await.is_none());
}

#[tokio::test]
async fn sandboxes_are_held_each_for_itself_until_the_engine_answered() {
    let settings = NriSettings { deadline: LONG, ..NriSettings::default() };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nri.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let (sender, mut notices) = mpsc::channel(16);
    tokio::spawn(Nri::new(NriSettings { socket, ..settings }, sender).run(CancellationToken::new()));
    let mut runtime = Runtime::accept(&listener).await;
    runtime.greet(&[], 0).await;
    notices.recv().await.unwrap();

    let first = runtime.send("RunPodSandbox", of(pod(1)).encode_to_vec()).await;
    let change = StateChange { event: 1, pod: Some(pod(2)) };
    let second = runtime.send("StateChange", change.encode_to_vec()).await;
    let one = notices.recv().await.unwrap();
    let two = notices.recv().await.unwrap();
    let ids = [&one, &two].map(|notice| match &notice.sighting {
        Sighting::Started(pod) => pod.sandbox.clone(),
        other => panic!("{other:?}"),
    });
    assert_eq!(ids, ["sandbox-1", "sandbox-2"]);
    two.done.unwrap().send(Outcome::Settled).unwrap();
    assert_eq!(runtime.answer().await, (second, Response::default()));
    one.done.unwrap().send(Outcome::Settled).unwrap();
    assert_eq!(runtime.answer().await, (first, Response::default()));
}

#[tokio::test]
async fn a_slow_engine_does_not_keep_a_pod_from_starting() {
    let settings = NriSettings { deadline: Duration::from_millis(30), ..NriSettings::default() };
    let mut scene = Scene::begin(settings, &[]).await;
    scene.notice().await;
    let answer = scene.runtime.call("RunPodSandbox", &of(pod(1))).await;
    assert_eq!(answer, Response::default());
    let notice = scene.notice().await;
    assert!(notice.done.unwrap().is_closed());
}

#[tokio::test]
async fn failing_closed_says_why_in_words_for_the_pods_events() {
    let settings = NriSettings { fail_closed: true, ..NriSettings::default() };
    let mut scene = Scene::begin(settings, &[]).await;
    scene.notice().await;
    let sent = scene.runtime.send("RunPodSandbox", of(pod(1)).encode_to_vec()).await;
    let why = "annotation \"x\" is\ninvalid".to_owned();
    scene.notice().await.done.unwrap().send(Outcome::Later(why)).unwrap();
    let (stream, answer) = scene.runtime.answer().await;
    let status = answer.status.unwrap();
    assert_eq!((stream, status.code), (sent, 2));
    assert_eq!(
        status.message,
        "meshward: redirection rules of pod shop/web-1 are not in force: annotation \"x\" is invalid"
    );
    drop(scene.notices);
    let answer = scene.runtime.call("RunPodSandbox", &of(pod(2))).await;
    assert!(answer.status.unwrap().message.ends_with("the agent is stopping"));
}

#[tokio::test]
async fn the_rest_of_the_protocol_is_answered_in_its_own_way() {
    let mut scene = Scene::begin(NriSettings::default(), &[]).await;
    scene.notice().await;
    let mut host = pod(1);
    host.linux = None;
    assert_eq!(scene.runtime.call("RunPodSandbox", &of(host)).await, Response::default());
    assert_eq!(scene.runtime.call("StopPodSandbox", &of(pod(1))).await, Response::default());
    assert_eq!(scene.notice().await.sighting, Sighting::Stopped { sandbox: "sandbox-1".into() });
    let change = StateChange { event: 3, pod: Some(pod(2)) };
    assert_eq!(scene.runtime.call("StateChange", &change).await, Response::default());
    assert_eq!(scene.notice().await.sighting, Sighting::Stopped { sandbox: "sandbox-2".into() });
    let change = StateChange { event: 4, pod: Some(pod(3)) };
    assert_eq!(scene.runtime.call("StateChange", &change).await, Response::default());
    let unknown = scene.runtime.call("CreateContainer", &()).await.status.unwrap();
    assert_eq!((unknown.code, unknown.message.as_str()), (12, "meshward does not implement CreateContainer"));
    let sent = scene.runtime.send("RunPodSandbox", vec![0xff; 9]).await;
    assert_eq!(scene.runtime.answer().await, (sent, Response::default()));
}

#[tokio::test]
async fn a_runtime_that_restarts_is_connected_again_and_asked_for_everything() {
    let mut scene = Scene::begin(NriSettings::default(), &[pod(1)]).await;
    scene.notice().await;
    assert_eq!(scene.runtime.call("Shutdown", &()).await, Response::default());
    assert!(scene.runtime.message().await.is_none());
    scene.runtime = Runtime::accept(&scene.listener).await;
    scene.runtime.greet(&[pod(2)], 2000).await;
    let Sighting::All(Source::Nri, pods) = scene.notice().await.sighting else { panic!("no list") };
    assert_eq!(pods.len(), 1);
    assert_eq!(pods[0].sandbox, "sandbox-2");
    scene.runtime.stream.write_all(&[0xff; 8]).await.unwrap();
    assert!(scene.runtime.message().await.is_none());
    let state = scene.state.wait_for(|state| !state.is_connected()).await.unwrap().clone();
    let NriState::Disconnected { reason } = state else { panic!("{state:?}") };
    assert!(reason.contains("is not NRI: frame of 4294967295 bytes"), "{reason}");
    Runtime::accept(&scene.listener).await.greet(&[], 2000).await;
}

#[tokio::test]
async fn a_missing_socket_and_a_refusal_are_told_in_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("nri.sock");
    let (sender, _notices) = mpsc::channel(1);
    let nri = Nri::new(NriSettings { socket: socket.clone(), ..NriSettings::default() }, sender);
    let mut state = nri.state();
    tokio::spawn(nri.run(CancellationToken::new()));
    state.changed().await.unwrap();
    assert!(format!("{:?}", *state.borrow_and_update()).contains("is NRI on in the runtime"));

    let listener = UnixListener::bind(&socket).unwrap();
    let mut runtime = Runtime::accept(&listener).await;
    let registration = runtime.message().await.unwrap();
    let status = Some(super::message::Status { code: 3, message: "invalid plugin name".into() });
    let body = Response { status, payload: Vec::new() }.encode_to_vec();
    let refused = Message { kind: Kind::Response, body, ..registration };
    runtime.stream.write_all(&encode(&refused)).await.unwrap();
    state.changed().await.unwrap();
    assert!(format!("{:?}", *state.borrow()).contains("refused to register the plugin: invalid plugin name"));
}
