//! Puts the parts together and ends them in order. Which part needs which is only here.
//!
//! ```text
//! settings ─► log ─► readiness ─► client ─┬─► sources ─ Notice ─┐
//!                                         ├─► cluster ─ Input ──┼─► engine ─ Report ─► reporter
//!                                         └─► admin ◄─ registry ┘
//! ```

mod node;
mod sources;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use kube::Client;
use meshward_kit::admin::{self, Readiness};
use meshward_kit::client::{self, Access};
use meshward_kit::log;
use meshward_kit::serve::{Limits, serve};
use meshward_kit::shutdown::Shutdown;
use meshward_redirect::program::Options;
use prometheus_client::registry::Registry as Metrics;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::admin::{Pages, SocketConditions, serve_socket};
use crate::cluster::Cluster;
use crate::engine::{self, Engine, Input, Ports, Registry};
use crate::gate::Waited;
use crate::report::{Conditions, Metrics as ReportMetrics, Reporter, keep_taint};
use crate::settings::{Invocation, Reloader, Settings, SettingsFeed, Started};

/// Notices that the engine has not taken yet. It takes them at once; a source waits for room.
const NOTICES: usize = 256;
/// The same for what the API server shows.
const INPUTS: usize = 256;

/// Runs the agent until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting, and tasks that did not end well.
pub async fn run(invocation: Invocation, started: Started) -> anyhow::Result<()> {
    let settings = started.settings.clone();
    let level = log::start(settings.log_format, &settings.log_level)?;
    for remark in &started.remarks {
        tracing::warn!("{remark}");
    }
    raise_descriptors();
    let shutdown = Shutdown::on_signals().context("cannot listen to signals")?;
    let readiness = Readiness::new();
    let mut metrics = Metrics::with_prefix("meshward");
    metrics.register_collector(Box::new(readiness.clone()));
    let told = Arc::new(ReportMetrics::register(&mut metrics, env!("CARGO_PKG_VERSION")));
    let reloader = Reloader::new(invocation, started);
    reloader.register(&mut metrics);
    let (feed, values) = (reloader.feed(), reloader.values());

    let user_agent = concat!("meshward-node/", env!("CARGO_PKG_VERSION")).to_string();
    let access = Access { kubeconfig: settings.kubeconfig.clone(), context: None, user_agent };
    let client = client::connect(&access).await?;
    let cluster = Cluster::new(client.clone(), settings.node_name.clone());
    cluster.register(&mut metrics);

    let conditions = Conditions { status: readiness.advise("status"), events: readiness.advise("events") };
    let (node, told_to, shown) = (&settings.node_name, Arc::clone(&told), Some(cluster.shown()));
    let (reporter, reports) = Reporter::new(client.clone(), node, feed.clone(), told_to, conditions, shown);
    let registry = Registry::default();
    let (notices, heard) = mpsc::channel(NOTICES);
    let (inputs, shown) = mpsc::channel(INPUTS);
    let ports = Ports { notices: heard, inputs: shown, fetch: cluster.fetch(), reports };

    let token = shutdown.token();
    shutdown.spawn("settings", reloader.run(readiness.advise("settings"), token.clone()));
    let engine_settings = engine::Settings {
        options: options(&settings),
        recheck: follow_settings(&shutdown, feed, inputs.clone(), level),
        waited: Waited::new(move |waited| told.gate_opened(waited)),
        ..Default::default()
    };
    shutdown.spawn("engine", Engine::run(engine_settings, registry.clone(), ports, token.clone()));
    shutdown.spawn("reporter", reporter.run(token.clone()));
    let condition = readiness.require("kernel", "whether the kernel takes rules is not known yet");
    shutdown.spawn("kernel", node::kernel(settings.rules.backend, condition, token.clone()));
    watch(cluster, &shutdown, &readiness, inputs);
    sources::start(&settings, &shutdown, &readiness, notices)?;
    taint(client, &settings, &shutdown, &readiness);
    let records = Arc::new(move || registry.list());
    let pages = Pages { node: settings.node_name.clone(), readiness: readiness.clone(), records, values };
    serve_pages(&settings, &shutdown, pages, metrics).await?;

    tracing::info!(node = settings.node_name, "started");
    token.cancelled().await;
    shutdown.drain(settings.shutdown_timeout).await?;
    Ok(())
}

fn watch(cluster: Cluster, shutdown: &Shutdown, readiness: &Readiness, inputs: mpsc::Sender<Input>) {
    let token = shutdown.token();
    let pods = readiness.require("pods", "waiting for the API server to list the node's pods");
    shutdown.spawn("pods", cluster.clone().watch_pods(inputs.clone(), pods, token.clone()));
    let namespaces = readiness.require("namespaces", "waiting for the API server to list namespaces");
    shutdown.spawn("namespaces", cluster.watch_namespaces(inputs, namespaces, token));
}

fn taint(client: Client, settings: &Settings, shutdown: &Shutdown, readiness: &Readiness) {
    if let Some(key) = settings.tell.taint.clone() {
        let (node, condition) = (settings.node_name.clone(), readiness.advise("taint"));
        let kept = keep_taint(client, node, key, readiness.clone(), condition, shutdown.token());
        shutdown.spawn("taint", kept);
    }
}

/// What operators, the kubelet and `meshward status` ask.
async fn serve_pages(
    settings: &Settings,
    shutdown: &Shutdown,
    pages: Pages,
    metrics: Metrics,
) -> anyhow::Result<()> {
    let (readiness, token) = (pages.readiness.clone(), shutdown.token());
    let conditions = SocketConditions {
        served: readiness.advise("socket"),
        folder: readiness.require("run-folder", "the admin socket has not been made yet"),
    };
    let router = crate::admin::router(pages);
    shutdown.spawn("admin socket", serve_socket(settings.socket.clone(), router, conditions, token.clone()));
    let listener = admin::bind_tcp(settings.admin_address).await?;
    let router = admin::router(readiness, Arc::new(metrics));
    shutdown.spawn("admin", serve(listener, None, router, Limits::default(), token));
    Ok(())
}

fn options(settings: &Settings) -> Options {
    let rules = &settings.rules;
    Options {
        backend: rules.backend,
        lock: rules.lock,
        remove_older: rules.remove_older,
        expect_ips: Vec::new(),
    }
}

/// Hands on what may change while the agent runs.
fn follow_settings(
    shutdown: &Shutdown,
    mut feed: SettingsFeed,
    inputs: mpsc::Sender<Input>,
    level: log::Level,
) -> watch::Receiver<Option<Duration>> {
    let now = feed.borrow_and_update().clone();
    let (every, recheck) = watch::channel(now.rules.recheck);
    let token: CancellationToken = shutdown.token();
    shutdown.spawn("settings in use", async move {
        let mut now = now;
        loop {
            every.send_if_modified(|every| std::mem::replace(every, now.rules.recheck) != now.rules.recheck);
            if let Err(error) = level.set(&now.log_level) {
                tracing::warn!("{error}");
            }
            if inputs.send(Input::Excluded(now.rules.exclude_namespaces.clone())).await.is_err() {
                return;
            }
            tokio::select! {
                () = token.cancelled() => return,
                changed = feed.changed() => if changed.is_err() { return },
            }
            now = feed.borrow_and_update().clone();
        }
    });
    recheck
}

/// Each pod takes some five descriptors, and the usual limit of 1024 is for a node of two hundred.
fn raise_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}
