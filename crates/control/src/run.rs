//! Puts the parts together and ends them in order. Which part needs which is only here.
//!
//! ```text
//! settings ─► client ─┬─► watches ─► Live ─┬─► admission ─► TLS ◄─ CertificateStore ◄─ certificates
//!                     ├─► election ─ leads ┼─► hooks ◄─ caBundle ◄──────────────────────────┘
//!                     │                    └─► scan, reports
//!                     └─► admin ◄─ registry
//! signal ─► not ready, leadership released ─ drain delay ─► no more requests ─► open ones end ─► the rest ends
//! ```

mod owner;
mod parts;
mod uninstall;

use std::sync::Arc;

use anyhow::Context;
use meshward_kit::admin::{self, Readiness};
use meshward_kit::client::{self, Access};
use meshward_kit::log;
use meshward_kit::serve::{Limits, serve};
use meshward_kit::shutdown::Shutdown;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission;
use crate::hooks;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::settings::{Command, Settings};
use parts::Parts;

/// Runs the controller until a signal ends it, or what the settings say in place of it.
///
/// # Errors
/// Whatever keeps it from starting, and tasks that did not end well.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    log::start(settings.log_format, &settings.log_level)?;
    let user_agent = concat!("meshward-control/", env!("CARGO_PKG_VERSION")).to_owned();
    let access = Access { kubeconfig: settings.identity.kubeconfig.clone(), context: None, user_agent };
    let client = client::connect(&access).await?;
    match settings.command {
        Some(Command::Uninstall) => uninstall::uninstall(client, &settings).await,
        None => control(client, settings).await,
    }
}

async fn control(client: kube::Client, settings: Settings) -> anyhow::Result<()> {
    let file = settings.admission.pod_security_config.as_deref();
    let standards = file.map(admission::read_configuration).transpose()?.unwrap_or_default();
    let shutdown = Shutdown::on_signals().context("cannot listen to signals")?;
    let readiness = Readiness::new();
    let (mut root, counts) = (Registry::default(), Metrics::new(settings.admission.compat_metrics));
    counts.register(&mut root);
    let metrics = root.sub_registry_with_prefix("meshward");
    metrics.register_collector(Box::new(readiness.clone()));
    let serving = readiness.require("serving", "starting");
    let (drain_delay, shutdown_timeout) = (settings.drain_delay, settings.shutdown_timeout);

    // Ends what answers requests, later than the signal: the API server goes on sending for a while.
    let stop = CancellationToken::new();
    let live = Live::default();
    let owner = owner::service(&client, &settings.identity).await;
    let asked = admission::Asked::default();
    let (answers, _) = watch::channel(hooks::Answers::default());
    let parts = Parts { client, live, settings, shutdown, readiness, stop, asked, answers, standards, owner };
    let (shutdown, readiness) = (parts.shutdown.clone(), parts.readiness.clone());
    let definitions = parts.follow();
    let election = parts.elect();
    let leading = election.leading();
    let certificates = parts.certificates(metrics, &leading)?;
    let served = parts.hooks(metrics, &leading, &definitions, &certificates).await;

    let swapper = parts.swapper(&definitions);
    swapper.register(metrics);
    let observed = parts.scan(metrics, &leading, &served)?;
    let router = admission::router(parts.admission(swapper, counts, observed));
    parts.serve(router, certificates.store).await?;
    let listener = admin::bind_tcp(parts.settings.listen.admin_listen).await?;
    let router = admin::router(readiness.clone(), Arc::new(root));
    shutdown.spawn("admin", serve(listener, None, router, Limits::default(), parts.stop.clone()));
    parts.stand(election);
    serving.hold();
    tracing::info!("started");

    shutdown.token().cancelled().await;
    serving.fail("shutting down");
    tracing::info!(after = ?drain_delay, "taking requests until the API server sends them elsewhere");
    tokio::time::sleep(drain_delay).await;
    parts.stop.cancel();
    shutdown.drain(shutdown_timeout).await?;
    Ok(())
}
