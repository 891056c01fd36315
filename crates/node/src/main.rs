//! The agent.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Some(status) = meshward_node::cni::run_as_plugin() {
        return status;
    }
    ExitCode::SUCCESS
}
