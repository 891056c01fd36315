//! What runs in the pods of the end-to-end tests. Tests may not exec into pods, so a workload has to do from inside what
//! it is asked over HTTP; and not every test needs a whole Envoy to see whether a connection was captured.
//!
//! ```text
//! e2e-app serve [PORT]...                     GET / tells who called; GET /call?HOST:PORT/PATH calls that from here
//! e2e-app proxy OUTBOUND INBOUND [ADDRESS]    passes captured connections on, and says so in the answer's head;
//!                                             ADDRESS is where inbound connections to the workload come from
//! e2e-app get HOST:PORT/PATH                  calls that until it answers, for at most half a minute, and ends
//! e2e-app forge                               holds the gate of the wait container, and lets everybody through
//! e2e-app sleep                               does nothing
//! ```

mod forge;
mod http;
mod proxy;
mod serve;

use std::process::ExitCode;

const USAGE: &str =
    "usage: e2e-app serve [PORT]... | proxy OUTBOUND INBOUND [ADDRESS] | get TARGET | forge | sleep";

fn main() -> ExitCode {
    // Behind `--` comes what the mesh's injector wrote for its own proxy.
    let arguments: Vec<String> = std::env::args().skip(1).take_while(|word| word != "--").collect();
    let result = match arguments.split_first().map(|(verb, rest)| (verb.as_str(), rest)) {
        Some(("serve", ports)) => serve::run(ports),
        Some(("proxy", rest)) => proxy::run(rest),
        Some(("get", [target])) => http::insist(target).map(|answer| eprintln!("{answer}")),
        Some(("forge", [])) => forge::run(),
        Some(("sleep", [])) => loop {
            std::thread::park();
        },
        _ => Err(USAGE.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("e2e-app: {problem}");
            ExitCode::FAILURE
        }
    }
}
