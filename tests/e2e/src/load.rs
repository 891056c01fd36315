//! Requests without a pause while something happens, and what became of every one of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use hyper::Method;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::ask::{Reply, send};
use crate::cluster::Cluster;

/// Between two requests of one client, so that the machine is left to others as well.
const PAUSE: Duration = Duration::from_millis(20);

/// Clients that ask the same again and again.
pub struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<Vec<Sample>>,
}

/// One request.
#[derive(Debug)]
pub struct Sample {
    /// When it was sent.
    pub sent: Instant,
    /// When it was answered.
    pub took: Duration,
    /// What came back; what went wrong when nobody answered.
    pub reply: Result<Reply, String>,
}

impl Load {
    /// Starts clients that try to create `object`, without anything being stored.
    ///
    /// # Errors
    /// The API server does not know the kind.
    pub async fn start(cluster: &Cluster, object: &Value, namespace: &str, clients: usize) -> Result<Self> {
        let path: Arc<str> = format!("{}?dryRun=All", cluster.path(object, namespace).await?).into();
        let (object, stop) = (Arc::new(object.clone()), Arc::new(AtomicBool::new(false)));
        let mut running = JoinSet::new();
        for _ in 0..clients {
            let (cluster, path, object, stop) = (cluster.clone(), path.clone(), object.clone(), stop.clone());
            running.spawn(async move {
                let mut samples = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let sent = Instant::now();
                    let reply = send(&cluster, Method::POST, &path, &object).await;
                    let reply = reply.map_err(|error| format!("{error:#}"));
                    samples.push(Sample { sent, took: sent.elapsed(), reply });
                    tokio::time::sleep(PAUSE).await;
                }
                samples
            });
        }
        Ok(Self { stop, clients: running })
    }

    /// Ends them; what they saw, in the order of time.
    ///
    /// # Errors
    /// A client broke, or none of them sent anything.
    pub async fn stop(mut self) -> Result<Vec<Sample>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut samples = Vec::new();
        while let Some(seen) = self.clients.join_next().await {
            samples.extend(seen?);
        }
        samples.sort_by_key(|sample| sample.sent);
        if samples.is_empty() {
            bail!("nothing was sent");
        }
        Ok(samples)
    }
}

/// Fails unless every request got an answer that `fits`.
///
/// # Errors
/// How many did not, and the first of them.
pub fn all_fit(samples: &[Sample], fits: impl Fn(&Reply) -> bool) -> Result<()> {
    let odd: Vec<&Sample> = samples.iter().filter(|one| !one.reply.as_ref().is_ok_and(&fits)).collect();
    let Some(first) = odd.first() else { return Ok(()) };
    let after = first.sent.duration_since(samples[0].sent);
    let what = match &first.reply {
        Ok(reply) => format!("{} {}", reply.status, reply.message()),
        Err(error) => error.clone(),
    };
    bail!("{} of {} requests went wrong, the first after {after:.1?}: {what}", odd.len(), samples.len())
}
