//! Whose turn it is on a cluster: the chart's release and the node are one for all runs, so a second run waits until the
//! first has ended. A Lease says so to runs from other machines as well; one that nobody renews any more is taken over.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const NAME: &str = "meshward-e2e";
const NAMESPACE: &str = "default";
/// Longer than any case keeps the API server away.
const LASTS: i32 = 120;
const RENEWED: Duration = Duration::from_secs(15);
/// Between two looks at a Lease that somebody else has.
const PAUSE: Duration = Duration::from_secs(1);

/// The turn of this run.
#[derive(Debug)]
pub struct Turn {
    leases: Api<Lease>,
    renewal: JoinHandle<()>,
}

impl Turn {
    /// Takes it for `run`; waits while another run has it, and tells `waits` once who that is.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn take(client: Client, run: &str, waits: impl Fn(&str)) -> Result<Self> {
        let leases: Api<Lease> = Api::namespaced(client, NAMESPACE);
        let mut told = None;
        loop {
            if let Some(holder) = attempt(&leases, run).await.context("whose turn it is")? {
                if told.as_ref() != Some(&holder) {
                    waits(&holder);
                    told = Some(holder);
                }
                sleep(PAUSE).await;
                continue;
            }
            let renewal = tokio::spawn(renew(leases.clone()));
            return Ok(Self { leases, renewal });
        }
    }

    /// Lets the next run have it.
    ///
    /// # Errors
    /// What the API server says; the next run waits until the Lease has run out.
    pub async fn end(self) -> Result<()> {
        self.renewal.abort();
        self.leases.delete(NAME, &DeleteParams::default()).await?;
        Ok(())
    }
}

/// None when the Lease is ours now, else who has it.
async fn attempt(leases: &Api<Lease>, run: &str) -> kube::Result<Option<String>> {
    let found = leases.get_opt(NAME).await?;
    let written = match &found {
        Some(lease) if !is_over(lease) => return Ok(Some(holder(lease))),
        Some(lease) => {
            let version = lease.metadata.resource_version.clone();
            leases.replace(NAME, &PostParams::default(), &ours(run, version)).await
        }
        None => leases.create(&PostParams::default(), &ours(run, None)).await,
    };
    match written {
        Ok(_) => Ok(None),
        // Another run was quicker.
        Err(kube::Error::Api(status)) if status.code == 409 => {
            Ok(Some(found.as_ref().map_or_else(|| "another run".into(), holder)))
        }
        Err(error) => Err(error),
    }
}

fn ours(run: &str, version: Option<String>) -> Lease {
    let now = Some(MicroTime(Timestamp::now()));
    Lease {
        metadata: ObjectMeta { name: Some(NAME.into()), resource_version: version, ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(format!("run {run}, process {}", std::process::id())),
            lease_duration_seconds: Some(LASTS),
            acquire_time: now.clone(),
            renew_time: now,
            ..LeaseSpec::default()
        }),
    }
}

fn is_over(lease: &Lease) -> bool {
    let spec = lease.spec.as_ref();
    let renewed = spec.and_then(|spec| spec.renew_time.as_ref()).map(|time| time.0);
    let lasts = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or(LASTS);
    renewed.is_none_or(|renewed| {
        Timestamp::now().duration_since(renewed) > SignedDuration::from_secs(i64::from(lasts))
    })
}

fn holder(lease: &Lease) -> String {
    let spec = lease.spec.as_ref();
    let who = spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_else(|| "nobody known".into());
    let since = spec.and_then(|spec| spec.acquire_time.as_ref()).map(|time| format!(" since {}", time.0));
    who + &since.unwrap_or_default()
}

/// A renewal that fails is tried again: cases keep the API server away on purpose.
async fn renew(leases: Api<Lease>) {
    loop {
        sleep(RENEWED).await;
        let patch = json!({"spec": {"renewTime": MicroTime(Timestamp::now())}});
        let _ = leases.patch(NAME, &PatchParams::default(), &Patch::Merge(patch)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_when_nobody_renews_it() {
        let lease = |seconds| {
            let mut lease = ours("abcde", None);
            if let Some(spec) = &mut lease.spec {
                spec.renew_time = Some(MicroTime(Timestamp::now() - SignedDuration::from_secs(seconds)));
            }
            lease
        };
        assert!(!is_over(&lease(0)) && !is_over(&lease(60)) && is_over(&lease(121)));
        assert!(is_over(&Lease::default()));
        assert!(holder(&lease(0)).starts_with("run abcde, process "));
    }
}
