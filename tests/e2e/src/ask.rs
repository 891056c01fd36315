//! Requests as they are, for what a client library hides: the status of a refusal, and warnings.

use anyhow::{Context, Result, ensure};
use http_body_util::BodyExt;
use hyper::{Method, Request};
use kube::client::Body;
use serde_json::Value;

use crate::cluster::Cluster;

/// What the API server answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The object, or the `Status` that says why there is none.
    pub body: Value,
    /// The texts of its warnings.
    pub warnings: Vec<String>,
}

impl Reply {
    /// Whether it did what it was asked for.
    pub fn is_taken(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Why it refuses; empty if it does not.
    pub fn message(&self) -> &str {
        if self.is_taken() { "" } else { self.body["message"].as_str().unwrap_or_default() }
    }

    /// Fails unless it was taken.
    ///
    /// # Errors
    /// Why not.
    pub fn taken(self) -> Result<Self> {
        ensure!(self.is_taken(), "refused with {}: {}", self.status, self.message());
        Ok(self)
    }

    /// Fails unless it was refused, with every one of `parts` in the words.
    ///
    /// # Errors
    /// It was taken, or the words are others.
    pub fn refused(self, parts: &[&str]) -> Result<Self> {
        ensure!(
            !self.is_taken(),
            "the API server takes what it should refuse (warnings: {:?})",
            self.warnings
        );
        for part in parts {
            ensure!(self.message().contains(part), "no {part:?} in the refusal: {}", self.message());
        }
        Ok(self)
    }

    /// Fails unless one warning has `part` in it.
    ///
    /// # Errors
    /// The warnings there are.
    pub fn warned(self, part: &str) -> Result<Self> {
        let found = self.warnings.iter().any(|warning| warning.contains(part));
        ensure!(found, "no warning with {part:?}, only {:?}", self.warnings);
        Ok(self)
    }
}

/// Sends a request with a JSON body.
///
/// # Errors
/// Nobody answers. A refusal is an answer.
pub async fn send(cluster: &Cluster, method: Method, path: &str, body: &Value) -> Result<Reply> {
    let kind = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind)
        .body(Body::from(serde_json::to_vec(body)?))?;
    let answer = cluster.client.send(request).await.with_context(|| format!("no answer to {path}"))?;
    let status = answer.status().as_u16();
    let warnings = answer.headers().get_all("warning").iter();
    let warnings = warnings.filter_map(|value| warning(value.to_str().ok()?)).collect();
    let bytes = answer.into_body().collect().await.context("the answer breaks off")?.to_bytes();
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(Reply { status, body, warnings })
}

/// The text of `299 - "text"` (RFC 7234, 5.5).
fn warning(header: &str) -> Option<String> {
    let (_, text) = header.split_once(" \"")?;
    let text = text.trim_end().strip_suffix('"')?;
    Some(text.replace("\\\"", "\"").replace("\\\\", "\\"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_read_as_they_were_meant() {
        let text = warning(r#"299 - "would violate PodSecurity \"baseline:latest\": x""#);
        assert_eq!(text.unwrap(), r#"would violate PodSecurity "baseline:latest": x"#);
        assert_eq!(warning("no header of that kind"), None);
    }
}
