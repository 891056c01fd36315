//! Ids in a user namespace: one that every user may have, or a whole range where the system gives this user one.

use std::fs;
use std::io;
use std::process::Command;

use serde::{Deserialize, Serialize};

/// Ids of the system that a user may map into namespaces of his own (subuid(5), subgid(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::verb::demo) struct IdRange {
    /// The user's or group's own id, which becomes 0.
    pub(in crate::verb::demo) own: u32,
    /// The first id of the range, which becomes 1.
    pub(in crate::verb::demo) start: u32,
    /// How many there are.
    pub(in crate::verb::demo) count: u32,
}

impl IdRange {
    /// The first range that a file of subuid(5)'s form gives to `user` (name or number).
    pub(in crate::verb::demo) fn granted(text: &str, names: &[&str], own: u32) -> Option<Self> {
        text.lines().find_map(|line| {
            let mut fields = line.trim().split(':');
            let named = names.contains(&fields.next()?);
            let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            named.then_some(Self { own, start, count })
        })
    }

    fn arguments(self) -> [String; 6] {
        [0, self.own, 1, 1, self.start, self.count].map(|number| number.to_string())
    }
}

/// Maps ranges into the user namespace of process `pid` by the programs that may (shadow's newuidmap and newgidmap).
pub(super) fn map_by_programs(pid: u32, users: IdRange, groups: IdRange) -> io::Result<()> {
    for (program, range) in [("/usr/bin/newuidmap", users), ("/usr/bin/newgidmap", groups)] {
        let output = Command::new(program).arg(pid.to_string()).args(range.arguments()).output()?;
        if !output.status.success() {
            let told = String::from_utf8_lossy(&output.stderr).trim().to_string();
            return Err(io::Error::other(format!("{program}: {told}")));
        }
    }
    Ok(())
}

/// Maps our own user and group, and nothing else, as 0 into the user namespace we have just entered.
pub(in crate::verb::demo) fn map_single(user: u32, group: u32) -> io::Result<()> {
    // The kernel lets a user map his group only when he cannot use that to leave groups (user_namespaces(7)).
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_of_the_user_counts() {
        let text = "root:1:2\nanna:100000:65536\nanna:7:7\n1001:300000:100\nbroken\nanna\n";
        let range = |names: &[&str]| IdRange::granted(text, names, 9);
        assert_eq!(range(&["anna", "1000"]), Some(IdRange { own: 9, start: 100_000, count: 65536 }));
        assert_eq!(range(&["otto", "1001"]), Some(IdRange { own: 9, start: 300_000, count: 100 }));
        assert_eq!(range(&["eva"]), None);
        assert_eq!(IdRange::granted("eva:x:1", &["eva"], 0), None);
    }
}
