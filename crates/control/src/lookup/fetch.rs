//! One question to the API server, with a bound on the answer's size and time that kube's own calls do not have.

use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// As Kyverno's `maxAPICallResponseLength`.
pub(super) const LARGEST: usize = 10 << 20;

/// What is asked.
pub(super) struct Call<'c> {
    method: Method,
    path: &'c str,
    body: Option<&'c Value>,
}

impl<'c> Call<'c> {
    pub(super) fn get(path: &'c str) -> Self {
        Self { method: Method::GET, path, body: None }
    }

    pub(super) fn post(path: &'c str, body: &'c Value) -> Self {
        Self { method: Method::POST, path, body: Some(body) }
    }

    /// The same for the same question.
    pub(super) fn key(&self) -> String {
        let body = self.body.map(Value::to_string).unwrap_or_default();
        format!("{} {} {body}", self.method, self.path)
    }
}

/// Why there is no answer. The first words are Kyverno's.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("failed to {method} resource with raw url: {path}: {message}")]
    Status { method: Method, path: String, code: u16, message: String },
    #[error("failed to {method} resource with raw url: {path}: {cause}")]
    Request { method: Method, path: String, cause: String },
}

/// Asks; the answer comes with the size of its text.
pub(super) async fn fetch(
    client: &Client,
    call: &Call<'_>,
    time: Duration,
) -> Result<(Value, usize), FetchError> {
    fetch_up_to(client, call, time, LARGEST).await
}

/// The same with another bound on the answer's size.
pub(super) async fn fetch_up_to(
    client: &Client,
    call: &Call<'_>,
    time: Duration,
    largest: usize,
) -> Result<(Value, usize), FetchError> {
    let failed = |cause: String| FetchError::Request {
        method: call.method.clone(),
        path: call.path.to_owned(),
        cause,
    };
    let asked = async {
        let request = Request::builder()
            .method(call.method.clone())
            .uri(call.path)
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/json")
            .body(call.body.map_or_else(Body::empty, |body| Body::from(body.to_string().into_bytes())))
            .map_err(|error| failed(error.to_string()))?;
        let response = client.send(request).await.map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        let text = Limited::new(response.into_body(), largest).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return failed(format!(
                    "response length must be less than max allowed response length of {largest}"
                ));
            }
            failed(error.to_string())
        })?;
        Ok((status, text.to_bytes()))
    };
    let timed = tokio::time::timeout(time, asked).await;
    let (status, text) = timed.map_err(|_| failed(format!("no answer within {time:.1?}")))??;
    if !status.is_success() {
        return Err(refused(call, status, &text));
    }
    let value =
        serde_json::from_slice(&text).map_err(|error| failed(format!("the answer is no JSON: {error}")))?;
    Ok((value, text.len()))
}

fn refused(call: &Call<'_>, status: StatusCode, text: &[u8]) -> FetchError {
    let told: Value = serde_json::from_slice(text).unwrap_or_default();
    let message = told.get("message").and_then(Value::as_str).unwrap_or(status.as_str());
    let denied = matches!(status, StatusCode::FORBIDDEN | StatusCode::UNAUTHORIZED);
    FetchError::Status {
        method: call.method.clone(),
        path: call.path.to_owned(),
        code: status.as_u16(),
        message: if denied { format!("permission denied: {message}") } else { message.to_owned() },
    }
}
