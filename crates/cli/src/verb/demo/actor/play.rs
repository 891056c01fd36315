//! The actor's side: becomes what its part says, and does as it is told until its input ends.

use std::ffi::CString;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex};

use meshward_redirect::Mesh;
use meshward_redirect::nft::{self, NfSocket, NftError};
use rustix::time::{ClockId, clock_gettime};

use super::{Capture, Order, Part, Report, fetch, hear, ids, privileges, proxy, serve};
use crate::exit::{Failure, Outcome};

/// Captures that nobody has asked for yet.
pub(super) type Captures = Arc<Mutex<Vec<Capture>>>;

/// Runs one actor to its end.
pub(in crate::verb::demo) fn play() -> Outcome {
    let mut input = io::stdin().lock();
    perform(&mut input).map_err(|error| Failure::impossible(format!("actor: {error}")))
}

fn perform(input: &mut impl BufRead) -> io::Result<()> {
    let Some(part) = hear::<Part>(input)? else { return Ok(()) };
    let captures = Captures::default();
    let mut socket = None;
    let started = become_part(&part, &captures);
    say(&started.map_or_else(|error| Report::Failed { why: error.to_string() }, |()| Report::Ready))?;
    while let Some(order) = hear::<Order>(input)? {
        let done = obey(&order, &captures, &mut socket);
        say(&done.unwrap_or_else(|error| Report::Failed { why: format!("cannot do {order:?}: {error}") }))?;
    }
    Ok(())
}

/// Privileges go while there is one thread: the kernel keeps them per thread.
fn become_part(part: &Part, captures: &Captures) -> io::Result<()> {
    rustix::thread::set_name(&CString::new(part.name.as_str())?)?;
    privileges::reduce(part)?;
    for address in &part.serves {
        serve::plain(&part.name, *address)?;
    }
    if let Some(proxy) = &part.proxy {
        proxy::start(proxy, captures)?;
    }
    Ok(())
}

fn say(report: &Report) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(format!("{}\n", serde_json::to_string(report)?).as_bytes())?;
    out.flush()
}

fn obey(order: &Order, captures: &Captures, socket: &mut Option<NfSocket>) -> io::Result<Report> {
    Ok(match order {
        Order::Fetch { to } => Report::Fetched(fetch::fetch(*to)?),
        Order::Captures => {
            let mut captures = captures.lock().map_err(|_| io::Error::other("a thread panicked"))?;
            Report::Captured(std::mem::take(&mut captures))
        }
        Order::DeleteRule { name } => tamper(socket, |socket| nft::delete_rule(socket, Mesh::Istio, name)),
        Order::DeleteTable => tamper(socket, |socket| nft::remove(socket, Mesh::Istio)),
        Order::MapIds { pid, users, groups } => {
            ids::map_by_programs(*pid, *users, *groups)?;
            Report::Mapped
        }
    })
}

/// The socket stays open: closing it makes the kernel wait, under the lock that a repair needs, until what was deleted
/// is freed (`nft_rcv_nl_event`, net/netfilter/nf_tables_api.c), and that wait would be measured instead of the repair.
fn tamper(open: &mut Option<NfSocket>, change: impl FnOnce(&NfSocket) -> Result<bool, NftError>) -> Report {
    let socket = match open.take().map_or_else(NfSocket::open, Ok) {
        Ok(socket) => open.insert(socket),
        Err(error) => return Report::Failed { why: error.to_string() },
    };
    let at = monotonic();
    match change(socket) {
        Ok(true) => Report::Tampered { at },
        Ok(false) => Report::Failed { why: "there is nothing to delete".into() },
        Err(error) => Report::Refused { why: error.to_string() },
    }
}

/// The clock that all processes share, in nanoseconds.
pub(in crate::verb::demo) fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}
