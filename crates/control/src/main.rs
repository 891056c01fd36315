//! The controller.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use meshward_control::run;
use meshward_control::settings::Settings;

const IMPOSSIBLE_HERE: u8 = 3;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match controller(Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not have started.
            eprintln!("meshward-control: {error:#}");
            ExitCode::from(IMPOSSIBLE_HERE)
        }
    }
}

fn controller(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("meshward")
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(run::run(settings))
}
