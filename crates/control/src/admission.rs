//! Requests of the API server, answered: in time, in bounds, and whatever is sent. What is decided is in the judges, how
//! a request reaches one in the shell around them.
//!
//! ```text
//! POST /mutate/pods                                mesh pods on their way in
//! POST /validate/policies/{fail|ignore}[/SECONDS]   policies of that failure policy and timeout
//! POST /validate/standards/enforce                  namespaces, pods and what is sent to pods
//! POST /validate/standards/advise                   controllers of pods
//! POST /validate/objects                            policies, exceptions and exemptions themselves
//! ```

mod body;
mod deadline;
mod judge;
mod mutate;
mod objects;
mod policies;
mod settings;
mod shell;
mod standards;
pub mod swap;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use axum::routing::{MethodRouter, post};
use meshward_policy::psa::Configuration;

use crate::live::{Granting, Live};
use crate::lookup::Outside;
use crate::metrics::Metrics;
use crate::observed::Observer;
use body::Rejected;
use judge::Judge;
use mutate::Mutate;
use objects::Objects;
use policies::Policies;
use shell::Shell;
use standards::Standards;
use swap::Swapper;

pub use deadline::Deadline;
pub(crate) use judge::guarded;
pub use policies::{Asked, DEFAULT_TIMEOUT, Group};
pub use settings::{AdmissionSettings, ConfigurationError, read_configuration};
pub use standards::OWN_PREFIX;

/// Namespaces that are never looked at: ours, so that we can always come back, and those that the settings name.
#[derive(Debug, Clone, Default)]
pub struct Scope(BTreeSet<String>);

impl Scope {
    /// These names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether requests about a namespace, or in it, are not judged.
    pub fn leaves_alone(&self, namespace: &str) -> bool {
        self.0.contains(namespace)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

/// What the webhooks work with.
pub struct Parts {
    /// What is in force.
    pub live: Live,
    /// Whom to ask for what is not in it.
    pub outside: Arc<Outside>,
    /// Where what is found out goes; what does not fit is dropped and counted.
    pub observed: Observer,
    /// What is counted.
    pub metrics: Metrics,
    /// Which policies have webhooks.
    pub asked: Asked,
    /// What swaps mesh pods.
    pub swapper: Swapper,
    /// What is left alone.
    pub scope: Scope,
    /// Whose exceptions count.
    pub granting: Granting,
    /// Defaults and exemptions of Pod Security.
    pub configuration: Configuration,
    /// Whether the labels `pod-security.kubernetes.io/*` are read as well.
    pub pod_security_labels: bool,
}

struct Webhooks {
    shell: Shell,
    live: Live,
    scope: Arc<Scope>,
    metrics: Metrics,
    asked: Asked,
    swap: Arc<dyn Judge>,
    enforce: Arc<dyn Judge>,
    advise: Arc<dyn Judge>,
    objects: Arc<dyn Judge>,
}

/// Every webhook.
pub fn router(parts: Parts) -> Router {
    let Parts { live, outside, observed, metrics, swapper, scope, granting, asked, .. } = parts;
    let (configuration, pod_security_labels) = (parts.configuration, parts.pod_security_labels);
    let scope = Arc::new(scope);
    let standards = |enforce| {
        let (live, scope, metrics) = (live.clone(), scope.clone(), metrics.clone());
        Standards::new(live, scope, metrics, configuration.clone(), pod_security_labels, enforce)
    };
    let webhooks = Arc::new(Webhooks {
        shell: Shell::new(outside, metrics.clone(), observed),
        swap: Arc::new(Mutate { swapper, live: live.clone() }),
        enforce: Arc::new(standards(true)),
        advise: Arc::new(standards(false)),
        objects: Arc::new(Objects { live: live.clone(), granting: Arc::new(granting) }),
        live,
        scope,
        metrics,
        asked,
    });
    Router::new()
        .route("/mutate/pods", of(|all| &all.swap))
        .route("/validate/policies/{failure}", post(policies_of))
        .route("/validate/policies/{failure}/{timeout}", post(policies_within))
        .route("/validate/policies/{failure}/{timeout}/{conditions}", post(policies_on))
        .route("/validate/standards/enforce", of(|all| &all.enforce))
        .route("/validate/standards/advise", of(|all| &all.advise))
        .route("/validate/objects", of(|all| &all.objects))
        .method_not_allowed_fallback(other_method)
        .fallback(unknown)
        .with_state(webhooks)
}

/// A webhook with one judge.
fn of(judge: fn(&Webhooks) -> &Arc<dyn Judge>) -> MethodRouter<Arc<Webhooks>> {
    post(move |State(all): State<Arc<Webhooks>>, request: Request| async move {
        all.shell.answer(judge(&all).clone(), request).await
    })
}

async fn policies_of(
    State(all): State<Arc<Webhooks>>,
    Path(failure): Path<String>,
    request: Request,
) -> Response {
    all.policies(Group::parse(&failure, None, None), request).await
}

async fn policies_within(
    State(all): State<Arc<Webhooks>>,
    Path((failure, timeout)): Path<(String, String)>,
    request: Request,
) -> Response {
    all.policies(Group::parse(&failure, Some(&timeout), None), request).await
}

async fn policies_on(
    State(all): State<Arc<Webhooks>>,
    Path((failure, timeout, conditions)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    all.policies(Group::parse(&failure, Some(&timeout), Some(&conditions)), request).await
}

async fn other_method(State(all): State<Arc<Webhooks>>, method: Method) -> Response {
    let text = format!("found {method}, accepted: POST");
    all.shell.reject(Rejected::new(StatusCode::METHOD_NOT_ALLOWED, "method", text))
}

async fn unknown(State(all): State<Arc<Webhooks>>, uri: Uri) -> Response {
    all.unknown(&uri)
}

impl Webhooks {
    async fn policies(&self, group: Option<Group>, request: Request) -> Response {
        let Some(group) = group else { return self.unknown(request.uri()) };
        let (live, scope, metrics) = (self.live.clone(), self.scope.clone(), self.metrics.clone());
        let asked = self.asked.clone();
        self.shell.answer(Arc::new(Policies { live, scope, metrics, group, asked }), request).await
    }

    fn unknown(&self, uri: &Uri) -> Response {
        let text = format!(
            "there is no webhook {:?}, accepted: /mutate/pods, /validate/policies/{{fail|ignore}} and the same with /1 to /30 behind \
             it and a number in hexadecimal digits behind that, /validate/standards/{{enforce|advise}}, /validate/objects",
            uri.path()
        );
        self.shell.reject(Rejected::new(StatusCode::NOT_FOUND, "path", text))
    }
}
