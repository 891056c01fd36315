//! What a hostile container of a pod can do to its wait container: take the name of the node agent's gate before the agent
//! does, and say in the agent's words that all is well.

use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// For ever.
pub(crate) fn run() -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot take the gate: {error}");
    let name = SocketAddr::from_abstract_name("meshward-ready").map_err(failed)?;
    let gate = UnixListener::bind_addr(&name).map_err(failed)?;
    eprintln!("the gate is taken");
    for mut caller in gate.incoming().flatten() {
        // A caller that does not listen hangs up.
        let _ = caller.write_all(b"meshward 1 nothing forged\n");
    }
    Ok(())
}
