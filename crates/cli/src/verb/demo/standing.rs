//! The rights the demonstration runs with. Root has them. An ordinary user gets them in a user namespace of his own,
//! which must be entered while this process has one thread; how many ids that namespace has decides whether the pod's
//! containers can be different users.

use std::fmt;
use std::fs;
use std::path::Path;

use rustix::thread::{CapabilitySet, UnshareFlags};

use super::actor::{Actor, IdRange, Order, Part, Report, map_single};
use crate::exit::Failure;

/// What making namespaces, becoming other users and keeping chosen capabilities takes.
const NEEDED: CapabilitySet = CapabilitySet::SYS_ADMIN
    .union(CapabilitySet::NET_ADMIN)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETPCAP);

/// How we may do what we do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// With the rights we were started with.
    Privileged,
    /// In a user namespace with a range of ids.
    Ranges {
        /// How many.
        ids: u32,
    },
    /// In a user namespace with our own id only.
    SingleId {
        /// Our own user id outside.
        user: u32,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Standing::Privileged => f.write_str("with the privileges it was started with"),
            Standing::Ranges { ids } => {
                write!(f, "as an ordinary user, in a user namespace of its own with {ids} ids")
            }
            Standing::SingleId { user } => {
                write!(f, "as an ordinary user, in a user namespace of its own with one id ({user})")
            }
        }
    }
}

/// Gets the rights. Call it before any thread is started.
pub(super) fn take() -> Result<Standing, Failure> {
    let rights =
        rustix::thread::capabilities(None).map_err(|error| refused("read its capabilities", error))?;
    if rights.effective.contains(NEEDED) {
        return Ok(Standing::Privileged);
    }
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    match granted_ranges(user, group) {
        Some((users, groups)) => with_ranges(users, groups),
        None => {
            enter()?;
            with_one_id(user, group)
        }
    }
}

/// Whether these ids exist where we are: with one id only, nobody can become somebody else.
pub(super) fn has_ids(ids: &[u32]) -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"].into_iter().all(|file| {
        let map = fs::read_to_string(file).unwrap_or_default();
        ids.iter().all(|id| holds(&map, *id))
    })
}

/// Whether a map (user_namespaces(7)) maps this id of the inside.
fn holds(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut fields = line.split_whitespace().map(str::parse::<u64>);
        let (Some(Ok(first)), _, Some(Ok(count))) = (fields.next(), fields.next(), fields.next()) else {
            return false;
        };
        (first..first.saturating_add(count)).contains(&u64::from(id))
    })
}

/// The ranges that the system grants this user, where the programs that map them are there too.
fn granted_ranges(user: u32, group: u32) -> Option<(IdRange, IdRange)> {
    if !["/usr/bin/newuidmap", "/usr/bin/newgidmap"].into_iter().all(|program| Path::new(program).exists()) {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let number = user.to_string();
    let name = accounts.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, id) = (fields.next()?, fields.nth(1)?);
        (id == number).then_some(name)
    });
    let names: Vec<&str> = name.into_iter().chain([number.as_str()]).collect();
    let users = IdRange::granted(&fs::read_to_string("/etc/subuid").ok()?, &names, user)?;
    let groups = IdRange::granted(&fs::read_to_string("/etc/subgid").ok()?, &names, group)?;
    Some((users, groups))
}

/// The mapping is done by a process that stays outside, because the programs' own privilege ends at our namespace.
fn with_ranges(users: IdRange, groups: IdRange) -> Result<Standing, Failure> {
    let part = Part { name: "map-ids".into(), ..Part::default() };
    let mut outside = Actor::start(&part, None)?;
    enter()?;
    match outside.ask(&Order::MapIds { pid: std::process::id(), users, groups })? {
        Report::Mapped => Ok(Standing::Ranges { ids: users.count.min(groups.count).saturating_add(1) }),
        // The programs may be there without the privilege they need; one id is allowed anyway.
        _ => with_one_id(users.own, groups.own),
    }
}

fn with_one_id(user: u32, group: u32) -> Result<Standing, Failure> {
    map_single(user, group).map_err(|error| refused("map its id", error))?;
    Ok(Standing::SingleId { user })
}

#[expect(
    deprecated,
    reason = "its unsafe successor is about CLONE_FILES and CLONE_FS, which are not used here"
)]
fn enter() -> Result<(), Failure> {
    rustix::thread::unshare(UnshareFlags::NEWUSER).map_err(|error| refused("make a user namespace", error))
}

/// An error that says what it takes to run the demonstration.
pub(super) fn refused(what: &str, error: impl fmt::Display) -> Failure {
    Failure::impossible(format!(
        "the demonstration cannot {what}: {error}; it needs root, or a system that lets users make user namespaces \
         (sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone, \
         kernel.apparmor_restrict_unprivileged_userns)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_hold_the_ids_of_their_inside() {
        let whole = "         0          0 4294967295\n";
        let single = "         0       1000          1\n";
        let ranges = "0 1000 1\n1 100000 65536\n";
        for (map, id, there) in [
            (whole, 0, true),
            (whole, 1337, true),
            (single, 0, true),
            (single, 1000, false),
            (ranges, 1337, true),
            (ranges, 65536, true),
            (ranges, 65537, false),
            ("", 0, false),
            ("x y z\n", 0, false),
        ] {
            assert_eq!(holds(map, id), there, "{id} in {map:?}");
        }
    }
}
