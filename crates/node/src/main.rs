//! The agent, and the CNI plugin where a container runtime started this program as one.

use std::process::ExitCode;

use anyhow::Context;
use meshward_node::{cni, run, settings};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(code) = cni::run_as_plugin() {
        return code;
    }
    match agent() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not have started.
            eprintln!("meshward-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn agent() -> anyhow::Result<()> {
    let invocation = settings::start();
    let started = invocation.load()?;
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
