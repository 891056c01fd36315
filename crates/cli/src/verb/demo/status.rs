//! What the kernel says of a process: the lines of /proc/PID/status (proc_pid_status(5)) that tell its privileges.

use std::fmt;
use std::fs;

use crate::exit::Failure;

/// Names of the capabilities that containers of meshes ask for (linux/capability.h); others are told by number.
const NAMES: [(u32, &str); 4] =
    [(10, "NET_BIND_SERVICE"), (12, "NET_ADMIN"), (13, "NET_RAW"), (21, "SYS_ADMIN")];

/// A process' privileges.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Status {
    /// Its user.
    pub(super) user: u32,
    /// The capabilities it uses.
    pub(super) effective: u64,
    /// The capabilities it could ever get again.
    pub(super) bounding: u64,
    /// Whether no program it runs can give it more.
    pub(super) no_new_privileges: bool,
}

impl Status {
    /// Reads it.
    pub(super) fn of(pid: u32) -> Result<Self, Failure> {
        let path = format!("/proc/{pid}/status");
        let text = fs::read_to_string(&path)
            .map_err(|error| Failure::impossible(format!("cannot read {path}: {error}")))?;
        Self::parse(&text)
            .ok_or_else(|| Failure::impossible(format!("{path} does not tell the process' privileges")))
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            value.split_whitespace().next()
        };
        let set = |name: &str| u64::from_str_radix(field(name)?, 16).ok();
        Some(Self {
            user: field("Uid")?.parse().ok()?,
            effective: set("CapEff")?,
            bounding: set("CapBnd")?,
            no_new_privileges: field("NoNewPrivs")? == "1",
        })
    }

    /// Whether it has no capability and no way to one.
    pub(super) fn is_bare(&self) -> bool {
        self.effective == 0 && self.bounding == 0 && self.no_new_privileges
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {:<4} CapEff {:016x} ({})", self.user, self.effective, names(self.effective))
    }
}

fn names(set: u64) -> String {
    let name = |bit: u32| match NAMES.iter().find(|(known, _)| *known == bit) {
        Some((_, name)) => (*name).to_string(),
        None => bit.to_string(),
    };
    let all: Vec<String> = (0..u64::BITS).filter(|bit| set & (1 << bit) != 0).map(name).collect();
    if all.is_empty() { "none".into() } else { all.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_are_read_from_the_kernels_lines() {
        let text = "Name:\tweb\nUid:\t1000\t1000\t1000\t1000\nCapInh:\t0000000000000000\nCapEff:\t0000000000003000\n\
                    CapBnd:\t0000000000003400\nNoNewPrivs:\t1\n";
        let status = Status::parse(text);
        let expected = Status { user: 1000, effective: 0x3000, bounding: 0x3400, no_new_privileges: true };
        assert_eq!(status, Some(expected.clone()));
        assert_eq!(expected.to_string(), "uid 1000 CapEff 0000000000003000 (NET_ADMIN NET_RAW)");
        assert!(!expected.is_bare());
        assert_eq!(Status::parse("Name:\tweb\n"), None);
    }
}
