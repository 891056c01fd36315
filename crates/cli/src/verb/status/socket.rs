//! One request to the agent of this node, over its unix socket.

use std::path::Path;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use meshward_mesh::NodeStatus;
use tokio::net::UnixStream;

const PATIENCE: Duration = Duration::from_secs(10);
/// A node has some hundred pods; each takes less than a kilobyte.
const LONGEST: usize = 64 << 20;

/// What the agent says, or why it says nothing.
pub(super) async fn ask(path: &Path) -> Result<NodeStatus, String> {
    let shown = path.display();
    let stream = UnixStream::connect(path).await.map_err(|error| {
        let hint = match error.kind() {
            std::io::ErrorKind::NotFound => " (does an agent run on this node?)",
            std::io::ErrorKind::PermissionDenied => " (only root may ask)",
            std::io::ErrorKind::ConnectionRefused => " (the agent that made it has ended)",
            _ => "",
        };
        format!("cannot reach the agent at {shown}: {error}{hint}")
    })?;
    let text = match tokio::time::timeout(PATIENCE, get(stream)).await {
        Err(_) => return Err(format!("the agent at {shown} did not answer within {PATIENCE:?}")),
        Ok(Err(error)) => return Err(format!("the agent at {shown} did not answer: {error}")),
        Ok(Ok(text)) => text,
    };
    serde_json::from_slice(&text)
        .map_err(|error| format!("what answers at {shown} is no agent, or one of another version: {error}"))
}

async fn get(stream: UnixStream) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    // Every HTTP/1.1 request names a host; this one has none.
    let request = Request::get("/v1/pods").header("host", "localhost").body(Empty::<Bytes>::new())?;
    let answer = sender.send_request(request).await?;
    if !answer.status().is_success() {
        return Err(format!("it says {}", answer.status()).into());
    }
    let body = Limited::new(answer.into_body(), LONGEST).collect().await?;
    connection.abort();
    Ok(body.to_bytes())
}
