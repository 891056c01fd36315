//! One HTTP request, over whatever carries bytes: pods by address, the agent's admin socket by path.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 200 is well.
    pub status: u16,
    /// The head's lines after the first one.
    pub head: Vec<String>,
    /// The rest.
    pub body: String,
}

impl Answer {
    /// A header's value; names are compared without case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.iter().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// Reads a whole answer.
    ///
    /// # Errors
    /// It is no HTTP/1.1 answer.
    pub fn parse(text: &str) -> Result<Self> {
        let (head, body) =
            text.split_once("\r\n\r\n").with_context(|| format!("no end of the head in {text:?}"))?;
        let mut lines = head.lines().map(String::from);
        let first = lines.next().unwrap_or_default();
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.with_context(|| format!("no status in {first:?}"))?;
        let head: Vec<String> = lines.collect();
        let answer = Self { status, head, body: body.to_string() };
        let is_chunked = answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"));
        Ok(if is_chunked { Self { body: unchunk(body), ..answer } } else { answer })
    }
}

/// One GET over TCP.
///
/// # Errors
/// Nobody answers in time, or not in HTTP.
pub async fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let asked = async { over(TcpStream::connect(address).await?, path).await };
    let answer = timeout(PATIENCE, asked).await.unwrap_or_else(|_| bail!("no answer within 10 s"));
    answer.with_context(|| format!("GET http://{address}{path}"))
}

/// One GET over a unix socket.
///
/// # Errors
/// As [`get`].
pub async fn get_unix(socket: &Path, path: &str) -> Result<Answer> {
    let asked = async { over(UnixStream::connect(socket).await?, path).await };
    let answer = timeout(PATIENCE, asked).await.unwrap_or_else(|_| bail!("no answer within 10 s"));
    answer.with_context(|| format!("GET {path} at {}", socket.display()))
}

async fn over(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> Result<Answer> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: e2e\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    Answer::parse(&String::from_utf8_lossy(&bytes))
}

impl Answer {
    /// The sum of a metric's samples whose line has all of `labels` in it.
    pub fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let samples = self.body.lines().filter_map(|line| {
            let (sample, value) = line.rsplit_once(' ')?;
            let is_it = sample == name || sample.starts_with(&format!("{name}{{"));
            (is_it && labels.iter().all(|label| sample.contains(label))).then(|| value.parse::<f64>().ok())?
        });
        samples.sum()
    }
}

fn unchunk(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Ok(size) = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16) else {
            break;
        };
        let Some(chunk) = after.get(..size).filter(|_| size > 0) else { break };
        body.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_plain_and_chunked_answers() {
        let plain = Answer::parse("HTTP/1.1 200 OK\r\nX-Seen: yes\r\n\r\nbody").unwrap();
        assert_eq!((plain.status, plain.header("x-seen"), plain.body.as_str()), (200, Some("yes"), "body"));
        let chunked =
            "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n";
        let chunked = Answer::parse(chunked).unwrap();
        assert_eq!((chunked.status, chunked.body.as_str()), (503, "abcde"));
        assert!(Answer::parse("nonsense").is_err());
    }
}
