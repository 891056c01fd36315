//! Becoming an ordinary container: the user, the capabilities and the promise that a runtime gives a container whose
//! manifest says so.

use std::io;

use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capability_is_in_bounding_set, remove_capability_from_bounding_set,
    set_capabilities, set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

use super::Part;

/// The capabilities that demonstrations name, by Kubernetes' names.
const KNOWN: [(&str, CapabilitySet); 2] =
    [("NET_ADMIN", CapabilitySet::NET_ADMIN), ("NET_RAW", CapabilitySet::NET_RAW)];

/// Gives up what the part does not keep.
pub(super) fn reduce(part: &Part) -> io::Result<()> {
    let Some(kept) = &part.capabilities else { return Ok(()) };
    let mut keep = CapabilitySet::empty();
    for name in kept {
        let known = KNOWN.iter().find(|(known, _)| known == name);
        keep |= known.ok_or_else(|| io::Error::other(format!("unknown capability {name:?}")))?.1;
    }
    for bit in 0..64 {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if !keep.contains(one) && is_bounded_by(one)? {
            remove_capability_from_bounding_set(one)?;
        }
    }
    set_no_new_privs(true)?;
    if let Some((user, group)) = part.user {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        set_thread_groups(&[])?;
        set_thread_res_gid(group, group, group)?;
        set_thread_res_uid(user, user, user)?;
    }
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    Ok(set_capabilities(None, sets)?)
}

/// False for a capability that this kernel does not know.
fn is_bounded_by(one: CapabilitySet) -> io::Result<bool> {
    match capability_is_in_bounding_set(one) {
        Err(Errno::INVAL) => Ok(false),
        other => Ok(other?),
    }
}
