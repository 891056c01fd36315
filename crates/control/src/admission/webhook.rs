//! The swap as a web service.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::body::Bytes;
use kube::Client;
use kube::api::{Api, DynamicObject};
use meshward_kit::client::RequestError;
use meshward_kit::watch::resource;
use serde_json::Value;

use super::swap::Swapper;
use crate::live::Live;
use crate::review::{Answer, Request};

const LARGEST: usize = 8 << 20;
const NAMESPACE: Duration = Duration::from_secs(3);

struct Shared {
    swapper: Swapper,
    live: Live,
    client: Client,
}

/// Serves `POST /mutate/pods`.
pub fn router(swapper: Swapper, live: Live, client: Client) -> Router {
    Router::new()
        .route("/mutate/pods", post(mutate))
        .layer(DefaultBodyLimit::max(LARGEST))
        .with_state(Arc::new(Shared { swapper, live, client }))
}

async fn mutate(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let bad = |error: String| (StatusCode::BAD_REQUEST, error + "\n").into_response();
    let request = match Request::parse(&body) {
        Ok(request) => request,
        Err(error) => return bad(error.to_string()),
    };
    let answer = if shared.swapper.is_asked(&request) {
        let namespace = shared.namespace(&request.namespace).await;
        shared.swapper.answer(&request, namespace.as_ref().map(|object| &**object).map_err(String::as_str))
    } else {
        Ok(Answer::allowed())
    };
    match answer {
        Ok(answer) => {
            ([(header::CONTENT_TYPE, "application/json")], answer.body(&request.uid)).into_response()
        }
        Err(error) => bad(error.to_string()),
    }
}

impl Shared {
    /// From the snapshot; a namespace that was just made is asked for.
    async fn namespace(&self, name: &str) -> Result<Arc<Value>, String> {
        if let Some(found) = self.live.snapshot().namespaces.get(name) {
            return Ok(found.clone());
        }
        let api: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &resource("", "v1", "Namespace", "namespaces"));
        match tokio::time::timeout(NAMESPACE, api.get(name)).await {
            Ok(Ok(object)) => serde_json::to_value(object).map(Arc::new).map_err(|error| error.to_string()),
            Ok(Err(error)) => Err(RequestError::of(format!("read namespace {name}"))(error).to_string()),
            Err(_) => Err(format!("no answer within {NAMESPACE:?}")),
        }
    }
}
