//! The body of a request, bounded in size and time, and in what all requests together may hold: whoever sends a body
//! slowly, or many at once, must not keep the others waiting or the process from living.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Bytes;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::deadline::Deadline;

/// The API server takes objects up to 3 MiB; a review holds two, and the envelope.
pub(super) const LARGEST: usize = 7 << 20;
/// What all bodies together may hold, in KiB.
pub(super) const TOGETHER: usize = 96 << 10;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(5);

/// A request that is no review, answered by HTTP alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rejected {
    pub(super) status: StatusCode,
    /// Its kind in metrics.
    pub(super) kind: &'static str,
    /// What the client is told.
    pub(super) text: String,
}

impl Rejected {
    pub(super) fn new(status: StatusCode, kind: &'static str, text: impl Into<String>) -> Self {
        Self { status, kind, text: text.into() }
    }
}

/// A body, and what it takes of all bodies' room as long as it lives.
pub(super) struct Read<'s> {
    pub(super) bytes: Bytes,
    _room: SemaphorePermit<'s>,
}

/// Whether the body says that it is JSON.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), Rejected> {
    let found = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = found.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let text = format!("found Content-Type {found:?}, accepted: application/json");
    Err(Rejected::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "content-type", text))
}

/// Reads it.
pub(super) async fn read<'s>(
    headers: &HeaderMap,
    body: Body,
    room: &'s Semaphore,
    deadline: Deadline,
) -> Result<Read<'s>, Rejected> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: usize = length.unwrap_or(LARGEST);
    if length > LARGEST {
        return Err(too_large());
    }
    let wanted = u32::try_from(length / 1024 + 1).unwrap_or(u32::MAX);
    let busy = || Rejected::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "too many requests at once");
    let permit = tokio::time::timeout(deadline.left(), room.acquire_many(wanted)).await;
    let permit = permit.map_err(|_| busy())?.map_err(|_| busy())?;
    let time = ARRIVAL.min(deadline.left());
    match tokio::time::timeout(time, Limited::new(body, LARGEST).collect()).await {
        Ok(Ok(whole)) => Ok(Read { bytes: whole.to_bytes(), _room: permit }),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => {
            let text = format!("the body ended early: {error}");
            Err(Rejected::new(StatusCode::BAD_REQUEST, "cut", text))
        }
        Err(_) => {
            let text = format!("the body did not arrive within {time:.1?}");
            Err(Rejected::new(StatusCode::REQUEST_TIMEOUT, "slow", text))
        }
    }
}

fn too_large() -> Rejected {
    let text = format!("the body is too large, accepted: up to {LARGEST} bytes");
    Rejected::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
}
