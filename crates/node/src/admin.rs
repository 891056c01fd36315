//! The agent's unix socket: the pods of the node as the agent knows them, and its settings, for `meshward status` and for
//! a person with curl. On the node only and for root only, since it names every pod.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use meshward_kit::admin::{self, BindError, Condition, Readiness};
use meshward_kit::backoff::Backoff;
use meshward_kit::serve::{self, Limits};
use meshward_mesh::{ConditionStatus, NodeStatus, PodRecord};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::settings::{SettingValue, Values};

/// Everything that is known about the node's pods, by namespace and name.
pub type Records = Arc<dyn Fn() -> Vec<Arc<PodRecord>> + Send + Sync>;

/// What the socket tells.
#[derive(Clone)]
pub struct Pages {
    /// The node's name.
    pub node: String,
    /// The agent's conditions.
    pub readiness: Readiness,
    /// The node's pods.
    pub records: Records,
    /// The settings in force.
    pub values: watch::Receiver<Arc<Values>>,
}

/// `GET /v1/pods` ([`NodeStatus`]) and `GET /v1/settings` (a list of [`SettingValue`]).
pub fn router(pages: Pages) -> Router {
    Router::new()
        .route("/v1/pods", get(pods))
        .route("/v1/settings", get(settings))
        .with_state(Arc::new(pages))
}

async fn pods(State(pages): State<Arc<Pages>>) -> Json<NodeStatus> {
    let report = pages.readiness.report();
    let conditions = report.conditions.into_iter().map(|condition| ConditionStatus {
        name: condition.name,
        required: condition.required,
        holds: condition.holds,
        reason: condition.reason,
    });
    Json(NodeStatus {
        node: pages.node.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        ready: report.ready,
        conditions: conditions.collect(),
        pods: (pages.records)().iter().map(|record| PodRecord::clone(record)).collect(),
    })
}

async fn settings(State(pages): State<Arc<Pages>>) -> Json<Vec<SettingValue>> {
    Json(pages.values.borrow().list())
}

/// What is told about the socket.
#[derive(Debug, Clone)]
pub struct SocketConditions {
    /// Whether this agent answers there.
    pub served: Condition,
    /// Whether a socket can be made in its folder at all.
    pub folder: Condition,
}

impl SocketConditions {
    /// True when that is news.
    fn fail(&self, error: &BindError) -> bool {
        match error {
            // The folder is as it should be. During an upgrade the old agent may still answer there, and if the new one
            // were not ready because of that, the old one might never end.
            BindError::InUse { .. } => self.folder.hold(),
            _ => self.folder.fail(error.to_string()),
        };
        self.served.fail(error.to_string())
    }

    fn hold(&self) {
        self.folder.hold();
        self.served.hold();
    }
}

/// Serves `router` on a unix socket until `token` is cancelled. A socket that cannot be made is told by `conditions` and
/// tried again; pods are programmed meanwhile.
pub async fn serve_socket(
    path: PathBuf,
    router: Router,
    conditions: SocketConditions,
    token: CancellationToken,
) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_secs(30));
    loop {
        match admin::bind_unix(&path).await {
            Ok((listener, _socket)) => {
                conditions.hold();
                return serve::serve(listener, None, router, Limits::default(), token).await;
            }
            Err(error) => {
                if conditions.fail(&error) {
                    tracing::warn!(%error, "no admin socket; tried again");
                }
            }
        }
        if token.run_until_cancelled(tokio::time::sleep(backoff.next_delay())).await.is_none() {
            return;
        }
    }
}
