//! The workload.

use std::net::{TcpListener, TcpStream};
use std::thread;

use crate::http;

/// Serves at every port, for ever.
pub(crate) fn run(ports: &[String]) -> Result<(), String> {
    let ports = if ports.is_empty() { &["8080".to_string()][..] } else { ports };
    let listeners = ports
        .iter()
        .map(|port| {
            let number: u16 = port.parse().map_err(|_| format!("{port} is no port"))?;
            TcpListener::bind(("::", number))
                .or_else(|_| TcpListener::bind(("0.0.0.0", number)))
                .map_err(|error| format!("cannot listen at port {number}: {error}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    thread::scope(|scope| {
        for listener in &listeners {
            scope.spawn(|| {
                for stream in listener.incoming().flatten() {
                    thread::spawn(|| {
                        if let Err(problem) = serve(stream) {
                            eprintln!("{problem}")
                        }
                    });
                }
            });
        }
    });
    Ok(())
}

fn serve(mut stream: TcpStream) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let peer = stream.peer_addr().map_err(failed)?;
    let local = stream.local_addr().map_err(failed)?;
    let head = http::head(&stream)?;
    let request = head.first().cloned().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or("/");
    let (status, body) = match path.split_once('?') {
        Some(("/call", target)) => match http::get(target) {
            Ok(answer) => ("200 OK", answer),
            Err(problem) => ("502 Bad Gateway", problem),
        },
        _ => {
            let pod = std::env::var("HOSTNAME").unwrap_or_default();
            let (peer, local) = (peer.ip().to_canonical(), local.ip().to_canonical());
            ("200 OK", format!("pod {pod}\npeer {peer}\nlocal {local}\n{}\n", head.join("\n")))
        }
    };
    http::answer(&mut stream, status, &body).map_err(failed)
}
