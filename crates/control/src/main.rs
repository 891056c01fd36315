//! The controller.

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use meshward_control::admission::ConfigurationError;
use meshward_control::run;
use meshward_control::settings::Settings;
use meshward_kit::log::LogError;
use meshward_kit::tls::ReadPair;

/// As clap ends on settings that it can see are wrong.
const WRONG_SETTINGS: u8 = 2;
const IMPOSSIBLE_HERE: u8 = 3;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match controller(Settings::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not have started.
            eprintln!("meshward-control: {error:#}");
            ExitCode::from(if is_about_settings(&error) { WRONG_SETTINGS } else { IMPOSSIBLE_HERE })
        }
    }
}

/// Whether another start with the same settings would end the same.
fn is_about_settings(error: &anyhow::Error) -> bool {
    error.is::<ReadPair>() || error.is::<LogError>() || error.is::<ConfigurationError>()
}

fn controller(settings: Settings) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("meshward")
        .build()
        .context("cannot start the asynchronous runtime")?;
    runtime.block_on(run::run(settings))
}
