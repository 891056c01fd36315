//! The agent, and the CNI plugin where a container runtime started this program as one.

use std::process::ExitCode;

use anyhow::Context;
use meshward_node::settings::{Invocation, Started};
use meshward_node::{cni, run, settings};

const WRONG_SETTINGS: u8 = 2;
const IMPOSSIBLE_HERE: u8 = 3;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = cni::run_as_plugin() {
        return code;
    }
    let invocation = settings::start();
    let started = match invocation.load() {
        Ok(started) => started,
        Err(error) => return told(&error.into(), WRONG_SETTINGS),
    };
    match agent(invocation, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => told(&error, IMPOSSIBLE_HERE),
    }
}

/// Logging may not have started.
fn told(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("meshward-node: {error:#}");
    ExitCode::from(code)
}

fn agent(invocation: Invocation, started: Started) -> anyhow::Result<()> {
    if invocation.print {
        use std::io::Write as _;
        std::io::stdout().write_all(started.values.to_yaml().as_bytes())?;
        return Ok(());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("meshward")
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(run::run(invocation, started))
}
