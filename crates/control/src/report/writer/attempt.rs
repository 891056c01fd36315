//! One attempt to bring a report to where its object is: read what is there, merge, and write, delete or leave it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::Client;
use kube::api::{Api, DeleteParams, DynamicObject, PostParams, Preconditions};
use meshward_kit::client::{self, Kind, RequestError};

use super::job::Job;
use crate::observed::Subject;
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
    /// Policies whose results from requests stay; all of them while that is not known.
    pub(super) keep: Option<Arc<HashSet<String>>>,
    /// A report of ours is there, as far as is known.
    pub(super) known: bool,
}

/// What an attempt came to.
pub(super) enum Done {
    /// It says now what it should.
    Written { subject: Subject, scan: String, admitted: bool, lines: Vec<Line> },
    /// It said so before.
    Unchanged { subject: Subject, scan: String, admitted: bool },
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
        let api: Api<DynamicObject> = if namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), namespace, &resource)
        };
        let mut read = self.known || job.scan.is_none();
        loop {
            let found = if read {
                api.get_opt(uid).await.map_err(RequestError::of(format!("read report {uid}")))?
            } else {
                None
            };
            match self.write(&api, job, found).await {
                // Somebody made one that is not known here, such as another replica or Kyverno: merged with that.
                Err(error) if error.kind() == Kind::Conflict && !read => read = true,
                result => return result,
            }
        }
    }

    async fn write(
        &self,
        api: &Api<DynamicObject>,
        job: &Job,
        found: Option<DynamicObject>,
    ) -> Result<Done, RequestError> {
        let uid = &job.subject.uid;
        // An object of the API can always be written as JSON.
        let document = found.as_ref().map(|report| serde_json::to_value(report).unwrap_or_default());
        let held = document.as_ref().map(Held::of);
        let before = held.as_ref().map_or(&[][..], |held| &held.lines);
        let mut content = Content::new(self.merged(job, before), &self.bounds);
        if content.is_empty() {
            return match &found {
                Some(report) => delete(api, report).await,
                None => Ok(Done::Absent),
            };
        }
        let Some(subject) = job.subject.completed(document.as_ref()) else { return Ok(Done::Absent) };
        let admitted = content.lines().iter().any(Line::is_of_admission);
        let scan = match (&job.scan, &held) {
            (Some((_, hash)), _) => hash.clone(),
            (None, Some(held)) => held.scan.clone(),
            (None, None) => String::new(),
        };
        let news = content.date(before, Timestamp::now().as_second());
        let same = |held: &Held| held.scan == scan && held.lines.len() == content.lines().len();
        if news.is_empty() && held.as_ref().is_some_and(same) {
            return Ok(Done::Unchanged { subject, scan, admitted });
        }
        let failed = |error| RequestError::of(format!("write report {uid}"))(error);
        let report = render(&subject, &content, &scan, self.form);
        let mut report: DynamicObject =
            serde_json::from_value(report).map_err(kube::Error::SerdeError).map_err(failed)?;
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        let written = match &found {
            Some(found) => {
                report.metadata.resource_version = found.metadata.resource_version.clone();
                api.replace(uid, &params, &report).await
            }
            None => api.create(&params, &report).await,
        };
        match written {
            Ok(_) => Ok(Done::Written { subject, scan, admitted, lines: news }),
            Err(error) if is_ending(&error) => Ok(Done::Absent),
            Err(error) => Err(failed(error)),
        }
    }

    /// The scan's results, those of the job or those that are there, and those of requests.
    fn merged(&self, job: &Job, before: &[Line]) -> Vec<Line> {
        let (admitted, scanned): (Vec<&Line>, Vec<&Line>) =
            before.iter().partition(|line| line.is_of_admission());
        let told = |policy: &str| job.admitted.iter().any(|line| line.policy == policy);
        let keep = |policy: &String| self.keep.as_ref().is_none_or(|keep| keep.contains(policy));
        let kept = |line: &&Line| keep(&line.policy) && !told(&line.policy);
        let mut all: Vec<Line> = match &job.scan {
            Some((lines, _)) => lines.to_vec(),
            None => scanned.into_iter().cloned().collect(),
        };
        all.extend(admitted.into_iter().filter(kept).cloned());
        all.extend(job.admitted.iter().cloned());
        all
    }
}

async fn delete(api: &Api<DynamicObject>, report: &DynamicObject) -> Result<Done, RequestError> {
    let uid = report.metadata.name.as_deref().unwrap_or_default();
    let preconditions =
        Preconditions { uid: None, resource_version: report.metadata.resource_version.clone() };
    let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
    match api.delete(uid, &params).await {
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
