//! Runs the iptables programs: fixed arguments and environment, no shell, text in and out through memory
//! files (so that neither side can block the other), and a deadline.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::{IptablesError, Saved, Variant};
use crate::net::Family;

/// How long a program may take, waiting for the xtables lock included.
const DEADLINE_SECONDS: u64 = 30;
/// How long the legacy programs wait for the xtables lock, in seconds.
const LOCK_SECONDS: &str = "10";
/// What the legacy programs lock: the namespace itself, which is what they change, so that a hundred pods do not wait
/// for each other and no writable /run is needed. Since iptables 1.8.6; older ones take /run/xtables.lock.
const LOCK_FILE: (&str, &str) = ("XTABLES_LOCKFILE", "/proc/self/ns/net");
/// More than any namespace's rules: what a program prints beyond this is an error.
const OUTPUT_BYTES: u64 = 16 * 1024 * 1024;
/// How much of a program's complaint is kept.
const MESSAGE_CHARS: usize = 600;

/// The programs of one family and variant.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    restore: PathBuf,
    save: PathBuf,
}

/// `iptables` or `ip6tables`
pub(super) fn stem(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "iptables",
        Family::Ipv6 => "ip6tables",
    }
}

impl Programs {
    /// The programs under their full names, or the plain ones when they are of this variant.
    pub(super) fn find(family: Family, variant: Variant, directories: &[PathBuf]) -> Option<Self> {
        let stem = stem(family);
        let pair = |prefix: String| {
            let restore = executable(&format!("{prefix}-restore"), directories)?;
            let save = executable(&format!("{prefix}-save"), directories)?;
            Some(Programs { restore, save })
        };
        let plain = || pair(stem.into()).filter(|found| variant_of(&found.restore) == Some(variant));
        pair(format!("{stem}-{}", variant.name())).or_else(plain)
    }

    /// Whether the kernel has what this variant needs.
    pub(super) fn probe(&self) -> Result<(), IptablesError> {
        run(&self.save, &["-t", "nat"], "").map(|_| ())
    }

    /// Everything that is in force.
    pub(super) fn save(&self) -> Result<Saved, IptablesError> {
        let text = run(&self.save, &[], "")?;
        Saved::parse(&text).map_err(|source| IptablesError::Save { program: self.save.clone(), source })
    }

    /// Puts text in force and keeps what it does not name.
    pub(super) fn restore(&self, text: &str) -> Result<(), IptablesError> {
        run(&self.restore, &["--noflush", "-w", LOCK_SECONDS], text).map(|_| ())
    }
}

fn executable(name: &str, directories: &[PathBuf]) -> Option<PathBuf> {
    directories.iter().map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// What a plain program is: `iptables-restore v1.8.9 (nf_tables)`; before 1.8 there was only legacy and no word.
fn variant_of(program: &Path) -> Option<Variant> {
    let text = run(program, &["--version"], "").ok()?;
    Some(if text.contains("nf_tables") { Variant::Nft } else { Variant::Legacy })
}

fn run(program: &Path, arguments: &[&str], input: &str) -> Result<String, IptablesError> {
    let failed = |source: io::Error| IptablesError::Run { program: program.into(), source };
    let (mut output, mut complaint) = (memory().map_err(failed)?, memory().map_err(failed)?);
    let child = start(program, arguments, input, &output, &complaint).map_err(failed)?;
    let Some(status) = finish(child).map_err(failed)? else {
        return Err(IptablesError::Timeout { program: program.into(), seconds: DEADLINE_SECONDS });
    };
    if !status.success() {
        let message = read(&mut complaint).map_err(failed)?;
        let line = named_line(&message, input);
        let message = message.trim().replace('\n', "; ").chars().take(MESSAGE_CHARS).collect();
        return Err(IptablesError::Refused { program: program.into(), message, line });
    }
    read(&mut output).map_err(failed)
}

fn start(
    program: &Path,
    arguments: &[&str],
    input: &str,
    output: &File,
    complaint: &File,
) -> io::Result<Child> {
    let mut text = memory()?;
    text.write_all(input.as_bytes())?;
    text.rewind()?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env(LOCK_FILE.0, LOCK_FILE.1)
        .current_dir("/")
        .stdin(Stdio::from(text))
        .stdout(Stdio::from(output.try_clone()?))
        .stderr(Stdio::from(complaint.try_clone()?))
        .spawn()
}

/// Waits until the child ends or its time is over; then it is stopped and there is no status.
fn finish(mut child: Child) -> io::Result<Option<ExitStatus>> {
    let in_time = Pid::from_raw(child.id() as i32)
        .map(|pid| pidfd_open(pid, PidfdFlags::empty()).and_then(|fd| ended(&fd)))
        // Without pidfd (before Linux 5.3) there is no deadline.
        .is_none_or(|ended| ended.unwrap_or(true));
    if in_time {
        return child.wait().map(Some);
    }
    child.kill()?;
    child.wait()?;
    Ok(None)
}

fn ended(pidfd: &impl std::os::fd::AsFd) -> rustix::io::Result<bool> {
    let deadline = Timespec { tv_sec: DEADLINE_SECONDS as i64, tv_nsec: 0 };
    rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&deadline)))
        .map(|ready| ready > 0)
}

fn memory() -> io::Result<File> {
    Ok(memfd_create("iptables", MemfdFlags::CLOEXEC)?.into())
}

fn read(file: &mut File) -> io::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(OUTPUT_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > OUTPUT_BYTES {
        return Err(io::Error::other(format!("it printed more than {OUTPUT_BYTES} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The line of our input that a complaint such as `iptables-restore: line 7 failed` is about.
fn named_line(message: &str, input: &str) -> Option<String> {
    let numbers = message.split("line").skip(1).filter_map(|rest| {
        let digits: String =
            rest.trim_start_matches([':', ' ']).chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<usize>().ok()
    });
    let number = numbers.last()?;
    input.lines().nth(number.checked_sub(1)?).map(Into::into)
}
