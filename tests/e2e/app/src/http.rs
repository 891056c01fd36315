//! As much of HTTP/1.1 as the tests speak: one request per connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

/// How long one side may be silent.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long [`insist`] does, and how long it rests between two calls.
const INSISTENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes of a head or an answer.
const LONGEST: u64 = 1 << 20;

/// A head: its lines without the empty one.
pub(crate) fn head(stream: &TcpStream) -> Result<Vec<String>, String> {
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
    // Byte by byte, so that nothing of the body is taken away.
    let mut bytes = Vec::new();
    let mut reader = BufReader::with_capacity(1, stream.take(LONGEST));
    loop {
        let before = bytes.len();
        reader.read_until(b'\n', &mut bytes).map_err(|error| format!("cannot read a head: {error}"))?;
        let line = &bytes[before..];
        if line.is_empty() {
            return Err("the connection ended within a head".into());
        }
        if line == b"\r\n" || line == b"\n" {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&bytes).lines().filter(|line| !line.is_empty()).map(String::from).collect())
}

/// Sends an answer of plain text.
pub(crate) fn answer(stream: &mut TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}

/// The same until somebody answers.
pub(crate) fn insist(target: &str) -> Result<String, String> {
    let begin = Instant::now();
    loop {
        match get(target) {
            Err(problem) if begin.elapsed() > INSISTENCE => return Err(problem),
            Err(_) => std::thread::sleep(PAUSE),
            answer => return answer,
        }
    }
}

/// One GET of `HOST:PORT/PATH`: the whole answer, head and body.
pub(crate) fn get(target: &str) -> Result<String, String> {
    let (authority, path) = match target.split_once('/') {
        Some((authority, path)) => (authority, format!("/{path}")),
        None => (target, "/".into()),
    };
    let addresses: Vec<SocketAddr> = authority
        .to_socket_addrs()
        .map_err(|error| format!("cannot resolve {authority}: {error}"))?
        .collect();
    let address = addresses.first().ok_or_else(|| format!("{authority} has no address"))?;
    let failed = |error: std::io::Error| format!("cannot call {authority}: {error}");
    let mut stream = TcpStream::connect_timeout(address, PATIENCE).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n")
        .map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).map_err(failed)?;
    match answer.is_empty() {
        true => Err(format!("{authority} closed the connection without an answer")),
        false => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}
