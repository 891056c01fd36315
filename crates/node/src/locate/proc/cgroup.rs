//! Which pod a process belongs to, by the control group that the kubelet put it in. Pure.

/// The longest file that is looked at: twelve hierarchies of version 1 with long names need a tenth of it.
pub(super) const LONGEST: usize = 64 << 10;

/// The pod's uid in a `/proc/PID/cgroup` file, in the spelling of the API server; none for processes that belong to no
/// pod.
///
/// Lines are `ID:CONTROLLERS:PATH` (cgroups(7)); the kubelet names a pod's group by its driver
/// (pkg/kubelet/cm/cgroup_manager_linux.go):
///
/// ```text
/// cgroupfs  /kubepods/burstable/pod7d0e4a1c-…/CONTAINER
/// systemd   /kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod7d0e4a1c_….slice/cri-containerd-CONTAINER.scope
/// ```
///
/// The last such part of a path counts, so that a node which is itself a container of a pod (kind, k3d) is not taken for
/// it.
///
/// ```
/// use meshward_node::locate::proc::pod_uid;
///
/// let text = "0::/kubepods.slice/kubepods-pod7d0e4a1c_95b8_4c33_9b1a_0f5d2f6a7c11.slice/cri-containerd-ab.scope\n";
/// assert_eq!(pod_uid(text).as_deref(), Some("7d0e4a1c-95b8-4c33-9b1a-0f5d2f6a7c11"));
/// assert_eq!(pod_uid("0::/system.slice/kubelet.service\n"), None);
/// ```
pub fn pod_uid(text: &str) -> Option<String> {
    let text = text.get(..text.floor_char_boundary(LONGEST.min(text.len())))?;
    text.lines().find_map(|line| {
        let path = line.splitn(3, ':').nth(2)?;
        path.split('/').rev().find_map(uid_of_part)
    })
}

/// `pod7d0e4a1c-…` or `kubepods-burstable-pod7d0e4a1c_….slice`
fn uid_of_part(part: &str) -> Option<String> {
    let name = match part.strip_suffix(".slice") {
        Some(slice) => slice.strip_prefix("kubepods-").and_then(|rest| rest.rsplit('-').next())?,
        None => part,
    };
    let uid = name.strip_prefix("pod")?.replace('_', "-");
    is_uid(&uid).then_some(uid)
}

/// A UUID, or the 32 digits that the kubelet gives to static pods (their configuration's hash).
fn is_uid(uid: &str) -> bool {
    let hex = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    match uid.len() {
        32 => hex(uid),
        36 => {
            let lengths = uid.split('-').map(str::len);
            lengths.eq([8, 4, 4, 4, 12]) && uid.split('-').all(hex)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UID: &str = "7d0e4a1c-95b8-4c33-9b1a-0f5d2f6a7c11";

    #[test]
    fn both_drivers_of_both_versions_are_read() {
        let systemd = UID.replace('-', "_");
        let cases = [
            format!("0::/kubepods/burstable/pod{UID}/4fb1\n"),
            format!("0::/kubepods/pod{UID}\n"),
            format!("12:pids:/user.slice\n11:memory:/kubepods/besteffort/pod{UID}/4fb1\n1:name=systemd:/\n"),
            format!(
                "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{systemd}.slice/crio-4fb1.scope\n"
            ),
            format!("0::/kubepods.slice/kubepods-pod{systemd}.slice/cri-containerd-4fb1.scope\n"),
            format!("0::/../../kubepods-besteffort-pod{systemd}.slice/cri-containerd-4fb1.scope"),
            format!("3:cpu,cpuacct:/kubelet/kubepods/pod{UID}/a:b\n"),
        ];
        for text in cases {
            assert_eq!(pod_uid(&text).as_deref(), Some(UID), "{text}");
        }
        let hash = "0123456789abcdef0123456789abcdef";
        assert_eq!(pod_uid(&format!("0::/kubepods/pod{hash}/x")).as_deref(), Some(hash));
        let nested = format!("0::/kubepods/pod{hash}/kind/kubelet/kubepods/burstable/pod{UID}/4fb1");
        assert_eq!(pod_uid(&nested).as_deref(), Some(UID));
    }

    #[test]
    fn other_groups_belong_to_no_pod() {
        for text in [
            "",
            "0::/",
            "0::/system.slice/containerd.service",
            "no colons",
            "0::/kubepods/burstable",
            "0::/podman/libpod-7d0e",
            "0::/kubepods/pod7d0e4a1c-95b8-4c33-9b1a-0f5d2f6a7c1/x",
            "0::/kubepods/podZd0e4a1c-95b8-4c33-9b1a-0f5d2f6a7c11/x",
            "0::/kubepods/pod7d0e4a1c95b8-4c33-9b1a-0f5d2f6a7c1-11/x",
            "0::/other-pod7d0e4a1c_95b8_4c33_9b1a_0f5d2f6a7c11.slice",
        ] {
            assert_eq!(pod_uid(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_and_only_uids_come_out(text in "(\\PC|[\n:/_-]|pod|\\.slice){0,80}") {
            if let Some(uid) = pod_uid(&text) {
                prop_assert!(is_uid(&uid));
            }
        }

        #[test]
        fn a_uid_is_found_in_every_spelling(uid in "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}") {
            let systemd = uid.replace('-', "_");
            let slice = format!("0::/kubepods.slice/kubepods-burstable-pod{systemd}.slice/x.scope");
            prop_assert_eq!(pod_uid(&format!("4:cpu:/kubepods/pod{uid}/x")), Some(uid.clone()));
            prop_assert_eq!(pod_uid(&slice), Some(uid));
        }
    }
}
