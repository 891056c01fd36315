//! The way of a request from HTTP to a judge and back. Whatever happens on it, one of three things comes out in time: an
//! answer of the judge, an answer about a fault under the webhook's failure policy, or an HTTP error in plain words.
//!
//! ```text
//! HTTP ─ type, size, time ─► bytes ─ parse ─► Request ─► judge at once ─────────────► answer
//!   └─► 4xx, 503                └─► 400                    │ waits, or is large         ▲
//!                                                          └─► permit ─► its own thread ┘   deadline, panic ─► fault
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::Request as HttpRequest;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::body::{self, Rejected};
use super::deadline::Deadline;
use super::judge::{Judge, OnFault, Stop, Verdict, guarded};
use crate::lookup::{Asker, Outside};
use crate::metrics::{Decision, Metrics};
use crate::observed::{Observed, Observer};
use crate::review::{Answer, Refusal, Request, ReviewError};

/// Larger reviews are judged on a thread of their own: on a worker they would keep other requests waiting, and nothing
/// could answer them in time.
const AT_ONCE: usize = 64 << 10;
/// Requests that wait for something, or take long, at one time.
const WAITING: usize = 64;

/// What all webhooks share.
pub(super) struct Shell {
    outside: Arc<Outside>,
    metrics: Metrics,
    observed: Observer,
    room: Semaphore,
    waiting: Arc<Semaphore>,
}

impl Shell {
    pub(super) fn new(outside: Arc<Outside>, metrics: Metrics, observed: Observer) -> Self {
        let (room, waiting) = (Semaphore::new(body::TOGETHER), Arc::new(Semaphore::new(WAITING)));
        Self { outside, metrics, observed, room, waiting }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, judge: Arc<dyn Judge>, request: HttpRequest) -> Response {
        match self.reviewed(judge, request).await {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(rejected) => self.reject(rejected),
        }
    }

    /// An answer by HTTP alone.
    pub(super) fn reject(&self, rejected: Rejected) -> Response {
        let Rejected { status, kind, text } = rejected;
        self.metrics.review_error(kind);
        tracing::debug!(%status, kind, "{text}");
        (status, text + "\n").into_response()
    }

    async fn reviewed(&self, judge: Arc<dyn Judge>, request: HttpRequest) -> Result<Vec<u8>, Rejected> {
        let arrived = Instant::now();
        let (parts, body) = request.into_parts();
        body::check_type(&parts.headers)?;
        let deadline = Deadline::of(parts.uri.query())
            .map_err(|text| Rejected::new(StatusCode::BAD_REQUEST, "timeout", text))?;
        let read = body::read(&parts.headers, body, &self.room, deadline).await?;
        let request = Request::parse(&read.bytes).map_err(|error| malformed(&error))?;
        let (mut answer, fault) = match self.judged(&judge, &request, &read.bytes, deadline).await {
            Ok(verdict) => {
                self.observe(verdict.observed);
                (verdict.answer, None)
            }
            Err(fault) => {
                self.metrics.review_error(fault.kind);
                let answer = faulty(judge.as_ref(), &fault);
                (answer, Some(fault))
            }
        };
        self.account(judge.as_ref(), &request, &answer, fault.as_ref(), arrived.elapsed());
        answer.bound();
        Ok(answer.body(&request))
    }

    async fn judged(
        &self,
        judge: &Arc<dyn Judge>,
        request: &Request<'_>,
        bytes: &Bytes,
        deadline: Deadline,
    ) -> Result<Verdict, Fault> {
        if bytes.len() <= AT_ONCE {
            let asker = Asker::at_once(&self.outside, deadline);
            match self.caught(guarded(|| judge.judge(request, &asker)))? {
                Err(Stop::Waits) => {}
                Err(Stop::Failed(text)) => return Err(Fault { kind: "failed", text }),
                Ok(verdict) => return Ok(verdict),
            }
        }
        let permit = tokio::time::timeout(deadline.left(), self.waiting.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Fault { kind: "overloaded", text: "too many requests wait for something".into() });
        };
        let (judge, outside, bytes) = (judge.clone(), self.outside.clone(), bytes.clone());
        let task = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let request = Request::parse(&bytes).map_err(|error| Stop::Failed(error.to_string()));
            let asker = Asker::waiting(&outside, deadline, Handle::current());
            guarded(|| request.and_then(|request| judge.judge(&request, &asker)))
        });
        match tokio::time::timeout(deadline.left(), task).await {
            Err(_) => Err(Fault { kind: "deadline", text: "not decided in time".into() }),
            Ok(Err(error)) => Err(Fault { kind: "failed", text: error.to_string() }),
            Ok(Ok(judged)) => self.caught(judged)?.map_err(|stop| match stop {
                Stop::Failed(text) => Fault { kind: "failed", text },
                Stop::Waits => {
                    Fault { kind: "deadline", text: "what was asked for did not come in time".into() }
                }
            }),
        }
    }

    fn caught<T>(&self, judged: Result<T, String>) -> Result<T, Fault> {
        judged.map_err(|panic| {
            self.metrics.panicked();
            Fault { kind: "panic", text: format!("the evaluation panicked: {panic}") }
        })
    }

    /// Passes on what was found out.
    fn observe(&self, observed: Option<Observed>) {
        if let Some(observed) = observed
            && !self.observed.tell(observed)
        {
            self.metrics.observation_dropped();
        }
    }

    /// One line and one measurement for each answer. Objects are never logged, only what names them.
    fn account(
        &self,
        judge: &dyn Judge,
        request: &Request<'_>,
        answer: &Answer,
        fault: Option<&Fault>,
        took: Duration,
    ) {
        let decision = match (fault, &answer.refusal) {
            (Some(_), Some(_)) => Decision::RefusedByFault,
            (Some(_), None) => Decision::AllowedByFault,
            (None, Some(_)) => Decision::Refused,
            (None, None) => Decision::Allowed,
        };
        self.metrics.reviewed(judge.name(), decision, request, took);
        let (webhook, operation) = (judge.name(), &*request.operation);
        let (resource, subresource) = (&*request.resource.resource, &*request.sub_resource);
        let (namespace, name, uid) = (&*request.namespace, &*request.name, &*request.uid);
        if let Some(Fault { kind, text }) = fault {
            tracing::error!(webhook, operation, resource, subresource, namespace, name, uid, kind, "{text}");
        } else if let Some(refusal) = &answer.refusal {
            let why = refusal.message.trim().lines().next().unwrap_or_default();
            tracing::info!(
                webhook,
                operation,
                resource,
                subresource,
                namespace,
                name,
                uid,
                ?took,
                "refused: {why}"
            );
        } else {
            tracing::debug!(
                webhook,
                operation,
                resource,
                subresource,
                namespace,
                name,
                uid,
                ?took,
                "allowed"
            );
        }
    }
}

/// Why there is no verdict.
#[derive(Debug)]
struct Fault {
    /// Its kind in metrics.
    kind: &'static str,
    text: String,
}

/// The answer about a fault. An answer tells the client why; an HTTP error would only tell the API server, and leave
/// nothing of it where the failure policy lets the request through.
fn faulty(judge: &dyn Judge, fault: &Fault) -> Answer {
    let mut answer = Answer::allowed();
    answer.audit.insert("error".to_owned(), fault.text.clone());
    match judge.on_fault() {
        OnFault::Allow => {
            answer.warnings.push(format!("not checked by {}: {}", judge.name(), fault.text));
        }
        OnFault::Refuse => {
            let message =
                format!("cannot be checked, and what is not checked is not let through: {}", fault.text);
            let causes = Vec::new();
            answer.refusal = Some(Refusal { code: 500, reason: "InternalError", message, causes });
        }
    }
    answer
}

fn malformed(error: &ReviewError) -> Rejected {
    let kind = match error {
        ReviewError::Shape(_) => "malformed",
        ReviewError::Version { .. } => "version",
        ReviewError::NoRequest => "no-request",
    };
    Rejected::new(StatusCode::BAD_REQUEST, kind, error.to_string())
}
