//! Just enough HTTP to carry one question and one answer through a proxy.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{Fetched, Served};

/// Everything happens on one machine; whatever takes longer does not come.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);
/// The most that is read of a request or an answer.
const LONGEST: u64 = 16 * 1024;

/// Requests `/` and tells what came of it.
pub(super) fn fetch(to: SocketAddr) -> io::Result<Fetched> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    let local = stream.local_addr()?;
    write!(limited(&stream)?, "GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n")?;
    let answer = read_answer(&mut stream)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| malformed(&answer))?;
    if !head.starts_with("HTTP/1.1 200 ") {
        return Err(malformed(head));
    }
    let via =
        head.lines().find_map(|line| line.strip_prefix("Via: 1.1 proxy:")).and_then(|port| port.parse().ok());
    Ok(Fetched { local, via, served: serde_json::from_str(body)? })
}

/// Puts the limits on a connection that was accepted or made.
pub(super) fn limited(stream: &TcpStream) -> io::Result<&TcpStream> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Reads a request to its empty line.
pub(super) fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut chunk = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut chunk)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&chunk[..read]),
        }
        if request.len() as u64 > LONGEST {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(request)
}

/// Reads an answer to the connection's end.
pub(super) fn read_answer(stream: &mut TcpStream) -> io::Result<String> {
    let mut answer = String::new();
    stream.take(LONGEST).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Writes an answer.
pub(super) fn answer(stream: &mut TcpStream, headers: &str, served: &Served) -> io::Result<()> {
    let body = serde_json::to_string(served)?;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n{headers}Connection: close\r\n\r\n{body}"
    )
}

fn malformed(text: &str) -> io::Error {
    let start: String = text.chars().take(80).collect();
    io::Error::other(format!("the answer is no HTTP with a result: {start:?}"))
}
