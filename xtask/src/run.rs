//! Running other programs: always told to the user first (on standard error, so that what a verb prints can be read by a
//! program), always checked.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// An error that the user has been told already.
#[derive(Debug)]
pub(crate) struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("see above")
    }
}

impl std::error::Error for Told {}

/// The workspace's root folder.
pub(crate) fn root() -> PathBuf {
    let xtask = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().map(PathBuf::from).unwrap_or(xtask)
}

/// `cargo` of the toolchain that runs us, in the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Steps that take longer tell how long.
const WORTH_TELLING: Duration = Duration::from_secs(5);

/// Runs a command after printing it; an exit code other than 0 is an error.
pub(crate) fn step(what: &str, command: &mut Command) -> Result<()> {
    eprintln!("==> {what}");
    let begin = Instant::now();
    let ended = quiet_step(what, command);
    let took = begin.elapsed();
    if took >= WORTH_TELLING {
        eprintln!("    {what}: {:.0} s", took.as_secs_f64());
    }
    ended
}

/// The same without printing it, for output that a program reads.
pub(crate) fn quiet_step(what: &str, command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("cannot start {program}"))?;
    if !status.success() {
        bail!("{what}: {program} ended with {status}");
    }
    Ok(())
}

/// What a command prints; what it complains about goes to the user.
pub(crate) fn output(what: &str, command: &mut Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.stderr(Stdio::inherit()).output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{what}: {program} ended with {}", output.status);
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{what}: {program} printed something else than text"))
}

/// Whether a program answers when it is started with `arguments`.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let command = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    command.is_ok_and(|status| status.success())
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
