//! An engine with the ends of its channels, and the words to tell it things.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meshward_mesh::{Phase, PodRecord};
use meshward_netlab::{Bed, Layout};
use meshward_node::engine::{Engine, Input, PodView, Ports, Registry, Settings};
use meshward_node::located::{Located, Notice, Outcome, Sighting, Source};
use meshward_node::report::{Happened, Report};
use meshward_redirect::nft::Lock;
use meshward_redirect::program::Options;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Far more than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
pub(crate) const TABLE: [&str; 5] = ["-a", "list", "table", "inet", "meshward_istio"];

/// What was recorded at admission, for these outbound networks.
pub(crate) fn record(networks: &str) -> String {
    json!({"version": 1, "mesh": "istio", "settings": {"istio-inbound-ports": "*", "istio-service-cidr": networks,
        "proxy-uid": "1337"}})
    .to_string()
}

/// A pod of Istio as it is after the swap.
pub(crate) fn object(annotations: &[(&str, &str)]) -> Value {
    let annotations: BTreeMap<&str, &str> = annotations.iter().copied().collect();
    json!({"metadata": {"name": "web", "namespace": "shop", "uid": "u1", "annotations": annotations},
        "spec": {"initContainers": [{"name": "meshward-wait"}],
            "containers": [{"name": "istio-proxy", "args": ["proxy", "sidecar"]}, {"name": "web"}]}})
}

pub(crate) fn swapped(networks: &str) -> Value {
    object(&[("meshward.dev/redirect", &record(networks)), ("sidecar.istio.io/status", "{}")])
}

pub(crate) fn bed() -> Option<Bed> {
    Bed::or_skip(Layout::dual_stack()).unwrap()
}

pub(crate) struct Agent {
    pub(crate) notices: mpsc::Sender<Notice>,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) reports: mpsc::Receiver<Report>,
    pub(crate) registry: Registry,
    token: CancellationToken,
    task: JoinHandle<()>,
}

impl Agent {
    pub(crate) fn start(lock: Lock) -> Self {
        let (notices, heard) = mpsc::channel(16);
        let (inputs, seen) = mpsc::channel(16);
        let (sender, reports) = mpsc::channel(256);
        let (registry, token) = (Registry::default(), CancellationToken::new());
        let ports = Ports {
            notices: heard,
            inputs: seen,
            fetch: Arc::new(|_| Box::pin(async { Err("connection refused".to_string()) })),
            reports: sender,
        };
        let settings = Settings { options: Options { lock, ..Options::default() }, ..Settings::default() };
        let task = tokio::spawn(Engine::run(settings, registry.clone(), ports, token.clone()));
        Self { notices, inputs, reports, registry, token, task }
    }

    /// With everything the API server would show.
    pub(crate) async fn with(lock: Lock, pod: Value) -> Self {
        let agent = Self::start(lock);
        agent.inputs.send(Input::Namespaces(Vec::new())).await.unwrap();
        agent.show(pod).await;
        agent
    }

    pub(crate) async fn show(&self, pod: Value) {
        self.inputs.send(Input::Pod(PodView::read(pod).unwrap())).await.unwrap();
    }

    /// The runtime starts the sandbox, and waits for the answer.
    pub(crate) async fn starts(&self, bed: &Bed) -> Outcome {
        let (done, answer) = oneshot::channel();
        let sighting = Sighting::Started(located(bed, Source::Nri));
        self.notices.send(Notice { sighting, done: Some(done) }).await.unwrap();
        timeout(PATIENCE, answer).await.unwrap().unwrap()
    }

    /// The runtime lists what runs already.
    pub(crate) async fn finds(&self, bed: &Bed) {
        let sighting = Sighting::All(Source::Cri, vec![located(bed, Source::Cri)]);
        self.notices.send(Notice { sighting, done: None }).await.unwrap();
    }

    /// The next thing that happens, with the pod as it is then.
    pub(crate) async fn happens(&mut self) -> (Happened, Arc<PodRecord>) {
        loop {
            let report = timeout(PATIENCE, self.reports.recv()).await.expect("something happens").unwrap();
            if let Some(happened) = report.happened {
                return (happened, report.record);
            }
        }
    }

    /// Waits until the pod is in this phase.
    pub(crate) async fn reaches(&mut self, phase: Phase) -> Arc<PodRecord> {
        loop {
            if let Some(record) = self.registry.list().first().filter(|record| record.phase == phase) {
                return Arc::clone(record);
            }
            timeout(PATIENCE, self.reports.recv()).await.expect("a change").unwrap();
        }
    }

    pub(crate) async fn ends(self) {
        self.token.cancel();
        timeout(PATIENCE, self.task).await.unwrap().unwrap();
    }
}

/// The bed's pod as a source tells of it, with what was recorded at admission.
pub(crate) fn recorded(bed: &Bed, source: Source) -> Located {
    let mut told = located(bed, source);
    told.annotations.insert("meshward.dev/redirect".into(), record("*"));
    told
}

pub(crate) fn located(bed: &Bed, source: Source) -> Located {
    Located {
        namespace: "shop".into(),
        name: "web".into(),
        uid: "u1".into(),
        sandbox: "s1".into(),
        netns: bed.pod.path(),
        ips: vec![IpAddr::V4(bed.pod_ipv4())],
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        source,
    }
}

pub(crate) fn gate_address() -> SocketAddr {
    SocketAddr::from_abstract_name("meshward-ready").unwrap()
}

/// Somebody in the pod who listens at the gate.
pub(crate) struct Caller(BufReader<UnixStream>);

impl Caller {
    pub(crate) fn call(bed: &Bed) -> std::io::Result<Self> {
        let stream = bed.pod.run(|| UnixStream::connect_addr(&gate_address())).unwrap()?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// The next line; empty when the gate hung up.
    pub(crate) fn hears(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_string()
    }

    pub(crate) fn was_let_go(&mut self) -> bool {
        self.0.read(&mut [0]).unwrap() == 0
    }
}

/// A program of another crate, built as this one was.
pub(crate) fn program(package: &str) -> PathBuf {
    let built =
        std::process::Command::new(env!("CARGO")).args(["build", "-q", "-p", package]).status().unwrap();
    assert!(built.success());
    let own = std::env::current_exe().unwrap();
    own.parent().and_then(|deps| deps.parent()).unwrap().join(package)
}
