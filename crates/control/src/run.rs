//! Puts the parts together and ends them in order. Which part needs which is only here.

use std::sync::Arc;

use anyhow::Context;
use kube::Client;
use meshward_kit::admin::{self, Readiness};
use meshward_kit::client::{self, Access};
use meshward_kit::log;
use meshward_kit::serve::{Limits, serve};
use meshward_kit::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::live::{self, Granting, KINDS, Live, Objects};
use crate::settings::Settings;

/// Runs the controller until a signal ends it.
///
/// # Errors
/// Whatever keeps it from starting, and tasks that did not end well.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    log::start(settings.log_format, &settings.log_level)?;
    let shutdown = Shutdown::on_signals().context("cannot listen to signals")?;
    let readiness = Readiness::new();
    let mut metrics = Registry::with_prefix("meshward");
    metrics.register_collector(Box::new(readiness.clone()));
    let user_agent = concat!("meshward-control/", env!("CARGO_PKG_VERSION")).to_owned();
    let access = Access { kubeconfig: settings.identity.kubeconfig.clone(), context: None, user_agent };
    let client = client::connect(&access).await?;
    let live = Live::default();
    follow(&client, &live, &settings, &shutdown, &readiness);

    let listener = admin::bind_tcp(settings.listen.admin_listen).await?;
    let router = admin::router(readiness, Arc::new(metrics));
    shutdown.spawn("admin", serve(listener, None, router, Limits::default(), shutdown.token()));
    tracing::info!("started");
    shutdown.token().cancelled().await;
    shutdown.drain(settings.shutdown_timeout).await?;
    Ok(())
}

/// Starts the watches that make the snapshot.
fn follow(client: &Client, live: &Live, settings: &Settings, shutdown: &Shutdown, readiness: &Readiness) {
    let token = shutdown.token();
    let shown = readiness.require("namespaces", "waiting for the API server to list namespaces");
    let namespaces = live::watch_namespaces(client.clone(), live.clone(), shown, token.clone());
    shutdown.spawn("namespaces", namespaces);
    let (tell, definitions) = watch::channel(None);
    let shown = readiness.require("definitions", "waiting for the API server to list definitions");
    shutdown.spawn("definitions", live::watch_definitions(client.clone(), tell, shown, token.clone()));
    let granting = Granting::new(settings.policy.exception_namespaces.clone());
    let objects = Objects { client: client.clone(), live: live.clone(), definitions, granting };
    for kind in KINDS {
        shutdown.spawn(kind.plural, objects.clone().watch(*kind, readiness.clone(), token.clone()));
    }
}
