//! One attempt to bring a report to where its object is: read what is there, merge, and write, delete or leave it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use meshward_kit::client::{self, Kind, RequestError};
use meshward_kit::watch::Loose;

use super::job::Job;
use crate::report::api::Form;
use crate::report::content::{Bounds, Content};
use crate::report::line::Line;
use crate::report::render::{Held, MANAGER, render};

/// Bounds one attempt: the client waits as long as the connection stands.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where, and how.
pub(super) struct Target {
    pub(super) client: Client,
    pub(super) form: Form,
    pub(super) bounds: Bounds,
    /// Policies whose results from requests stay.
    pub(super) keep: Arc<HashSet<String>>,
    /// A report of ours is there, as far as is known.
    pub(super) known: bool,
}

/// What an attempt came to.
pub(super) enum Done {
    /// It says now what it should.
    Written { scan: String, admitted: bool, lines: Vec<Line> },
    /// It said so before.
    Unchanged { scan: String, admitted: bool },
    /// There was nothing to say any more.
    Deleted,
    /// There is none, and nothing to say.
    Absent,
}

impl Done {
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Done::Written { .. } => "written",
            Done::Unchanged { .. } => "unchanged",
            Done::Deleted => "deleted",
            Done::Absent => "absent",
        }
    }
}

impl Target {
    pub(super) async fn attempt(&self, job: &Job) -> Result<Done, RequestError> {
        match tokio::time::timeout(PATIENCE, self.bring(job)).await {
            Ok(result) => result,
            // As if the connection had broken: tried again.
            Err(_) => {
                let late = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time");
                let late = kube::Error::Service(Box::new(late));
                Err(RequestError::of(format!("bring report {} up to date", job.subject.uid))(late))
            }
        }
    }

    async fn bring(&self, job: &Job) -> Result<Done, RequestError> {
        let (uid, namespace) = (&job.subject.uid, &job.subject.namespace);
        let resource = self.form.resource(!namespace.is_empty());
        let api: Api<Loose> = if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        };
        let found = if self.known || job.scan.is_none() {
            api.get_opt(uid).await.map_err(RequestError::of(format!("read report {uid}")))?
        } else {
            None
        };
        let held = found.as_ref().map(|report| Held::of(&report.value));
        let before = held.as_ref().map_or(&[][..], |held| &held.lines);
        let mut content = Content::new(self.merged(job, before), &self.bounds);
        if content.is_empty() {
            return if found.is_some() { delete(&api, uid).await } else { Ok(Done::Absent) };
        }
        let admitted = content.lines().iter().any(Line::is_of_admission);
        let scan = match (&job.scan, &held) {
            (Some((_, hash)), _) => hash.clone(),
            (None, Some(held)) => held.scan.clone(),
            (None, None) => String::new(),
        };
        let news = content.date(before, Timestamp::now().as_second());
        let same = |held: &Held| held.scan == scan && held.lines.len() == content.lines().len();
        if news.is_empty() && held.as_ref().is_some_and(same) {
            return Ok(Done::Unchanged { scan, admitted });
        }
        // An object whose kind is not known can only lose results.
        if job.subject.kind.is_empty() {
            return self.shrink(&api, job, found.as_ref(), &content).await;
        }
        let report = render(&job.subject, &content, &scan, self.form);
        let params = PatchParams::apply(MANAGER).force();
        match api.patch(uid, &params, &Patch::Apply(&report)).await {
            Ok(_) => Ok(Done::Written { scan, admitted, lines: news }),
            Err(error) if is_ending(&error) => Ok(Done::Absent),
            Err(error) => Err(RequestError::of(format!("write report {uid}"))(error)),
        }
    }

    /// The scan's results, those of the job or those that are there, and those of requests.
    fn merged(&self, job: &Job, before: &[Line]) -> Vec<Line> {
        let (admitted, scanned): (Vec<&Line>, Vec<&Line>) =
            before.iter().partition(|line| line.is_of_admission());
        let told = |policy: &str| job.admitted.iter().any(|line| line.policy == policy);
        let kept = |line: &&Line| self.keep.contains(&line.policy) && !told(&line.policy);
        let mut all: Vec<Line> = match &job.scan {
            Some((lines, _)) => lines.to_vec(),
            None => scanned.into_iter().cloned().collect(),
        };
        all.extend(admitted.into_iter().filter(kept).cloned());
        all.extend(job.admitted.iter().cloned());
        all
    }

    /// Writes fewer results into a report that is there.
    async fn shrink(
        &self,
        api: &Api<Loose>,
        job: &Job,
        found: Option<&Loose>,
        content: &Content,
    ) -> Result<Done, RequestError> {
        let Some(found) = found else { return Ok(Done::Absent) };
        let text = |name: &str| {
            let pointer = format!("/scope/{name}");
            found.value.pointer(&pointer).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
        };
        let mut subject = job.subject.clone();
        (subject.api_version, subject.kind, subject.name) = (text("apiVersion"), text("kind"), text("name"));
        let report = render(&subject, content, "", self.form);
        let params = PatchParams::apply(MANAGER).force();
        match api.patch(&subject.uid, &params, &Patch::Apply(&report)).await {
            Ok(_) => Ok(Done::Unchanged { scan: String::new(), admitted: true }),
            Err(error) => Err(RequestError::of(format!("write report {}", subject.uid))(error)),
        }
    }
}

async fn delete(api: &Api<Loose>, uid: &str) -> Result<Done, RequestError> {
    match api.delete(uid, &DeleteParams::background()).await {
        Ok(_) => Ok(Done::Deleted),
        Err(error) if client::kind(&error) == Kind::Gone => Ok(Done::Absent),
        Err(error) => Err(RequestError::of(format!("delete report {uid}"))(error)),
    }
}

/// Whether the namespace is on its way out, or gone.
fn is_ending(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    match client::kind(error) {
        Kind::Denied => status.message.contains("because it is being terminated"),
        Kind::Gone => status.message.contains("namespaces"),
        _ => false,
    }
}
