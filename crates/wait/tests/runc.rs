//! The program as runc starts it in a pod with `hostUsers: false`: user, PID and mount namespaces of its own, no
//! capabilities, no new privileges, a read-only root, and its pod's network. Needs runc 1.2 or newer, and says so where
//! there is none: `go install -tags seccomp github.com/opencontainers/runc@v1.2.5` with libseccomp's headers makes one;
//! `MESHWARD_RUNC` names it.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::ffi::OsString;
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Output};

use meshward_netlab::{Bed, Layout, can_switch_users, skipped};
use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Settings, Surroundings};
use meshward_redirect::netns::NetNs;
use meshward_redirect::program::{Options, program};
use rustix::process::Uid;
use serde_json::{Value, json};

/// The node's users that stand for the pod's, as the kubelet allots them.
const FIRST: u32 = 100_000;
const COUNT: u32 = 65_536;
/// Who runs the wait container, as the pod numbers its users.
const USER: u32 = 65_532;

/// A runc that can do user namespaces the way CRI asks for them.
fn runc() -> Option<OsString> {
    let given = std::env::var_os("MESHWARD_RUNC").filter(|path| !path.is_empty());
    let name = given.clone().unwrap_or_else(|| "runc".into());
    let version = Command::new(&name).arg("--version").output().ok().filter(|out| out.status.success());
    let text = version.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    // A build of the module does not know its own version.
    let new = given.is_some() || {
        let mut numbers = text.trim_start_matches("runc version ").split('.').map(|part| part.parse::<u32>());
        matches!((numbers.next(), numbers.next()), (Some(Ok(1)), Some(Ok(2..))) | (Some(Ok(2..)), _))
    };
    if text.is_empty() || !new {
        skipped("no runc 1.2 or newer (MESHWARD_RUNC names one)");
        return None;
    }
    Some(name)
}

fn pod() -> Option<Bed> {
    let bed = Bed::or_skip(Layout::dual_stack()).unwrap()?;
    if !can_switch_users() {
        skipped("runc needs root outside of user namespaces");
        return None;
    }
    let rules = dialect::build(
        Mesh::Linkerd,
        &Settings::new(dialect::flags_of(Mesh::Linkerd)),
        Surroundings::of(&bed.pod_addresses()),
    );
    program(&NetNs::open(bed.pod.path()).unwrap(), &rules.unwrap().rules, &Options::default()).unwrap();
    Some(bed)
}

/// Opens the gate as `user` of the node and says one line to whoever comes.
fn gate(bed: &Bed, user: u32, line: &'static str) {
    let listen = || {
        rustix::thread::set_thread_uid(Uid::from_raw(user)).unwrap();
        UnixListener::bind_addr(&SocketAddr::from_abstract_name("meshward-ready").unwrap()).unwrap()
    };
    let listener = bed.pod.run(listen).unwrap();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let _ = stream.write_all(line.as_bytes());
            held.push(stream);
        }
    });
}

/// A container's configuration as a runtime writes it for a `restricted` one (opencontainers/runtime-spec config.md).
fn configuration(network: &Path) -> Value {
    let bind = |path: &str| json!({"destination": path, "source": path, "type": "bind", "options": ["rbind", "ro", "nosuid", "nodev"]});
    // The test's build of the program is linked with the system's libraries.
    let libraries = ["/lib", "/lib64", "/usr/lib"].into_iter().filter(|path| Path::new(path).is_dir());
    let mut mounts: Vec<Value> = libraries.map(bind).collect();
    mounts.push(json!({"destination": "/proc", "source": "proc", "type": "proc"}));
    mounts.push(
        json!({"destination": "/dev", "source": "tmpfs", "type": "tmpfs", "options": ["nosuid", "mode=755"]}),
    );
    mounts.push(json!({
        "destination": "/wait", "source": env!("CARGO_BIN_EXE_meshward-wait"), "type": "bind", "options": ["bind", "ro"]
    }));
    let ids = json!([{"containerID": 0, "hostID": FIRST, "size": COUNT}]);
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": USER, "gid": USER},
            "args": ["/wait", "--timeout=2"],
            "env": [],
            "cwd": "/",
            "capabilities": {},
            "noNewPrivileges": true,
        },
        "root": {"path": "rootfs", "readonly": true},
        "mounts": mounts,
        "linux": {
            "uidMappings": ids,
            "gidMappings": ids,
            "namespaces": [
                {"type": "user"}, {"type": "pid"}, {"type": "mount"}, {"type": "ipc"}, {"type": "uts"},
                {"type": "network", "path": network},
            ],
            "maskedPaths": ["/proc/kcore", "/proc/keys"],
            "readonlyPaths": ["/proc/sys"],
        },
    })
}

/// Runs the wait container to its end.
fn run(runc: &OsString, bed: &Bed) -> Output {
    let bundle = tempfile::Builder::new().prefix("meshward-wait-").tempdir().unwrap();
    // The pod's root has to find its way to the root file system.
    for (path, mode) in [(bundle.path().to_path_buf(), 0o711), (bundle.path().join("rootfs"), 0o755)] {
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }
    for folder in ["lib", "lib64", "usr/lib", "proc", "dev"] {
        std::fs::create_dir_all(bundle.path().join("rootfs").join(folder)).unwrap();
    }
    std::fs::write(bundle.path().join("rootfs/wait"), "").unwrap();
    let configuration = configuration(&bed.pod.path()).to_string();
    std::fs::write(bundle.path().join("config.json"), configuration).unwrap();
    let mut command = Command::new(runc);
    command.arg("--root").arg(bundle.path().join("state")).args(["run", "--bundle"]).arg(bundle.path());
    command.arg(bundle.path().file_name().unwrap()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_pod_with_users_of_its_own_starts_when_the_nodes_root_says_so() {
    let (Some(runc), Some(bed)) = (runc(), pod()) else { return };
    gate(&bed, 0, "meshward 1 ready out=192.0.2.2:1404>4140\n");
    let ended = run(&runc, &bed);
    assert_eq!(text(&ended.stderr), "");
    assert_eq!(
        (ended.status.code(), text(&ended.stdout)),
        (Some(0), "redirected: 192.0.2.2:1404 to 4140\n".into())
    );
}

/// The node's users show by their number in the pod, if they have one there.
#[test]
fn neither_the_pods_root_nor_its_users_are_believed() {
    let Some(runc) = runc() else { return };
    for (user, shown) in [(FIRST, 0), (FIRST + 1000, 1000)] {
        let Some(bed) = pod() else { return };
        gate(&bed, user, "meshward 1 nothing to wait for\n");
        let ended = run(&runc, &bed);
        assert_eq!((ended.status.code(), text(&ended.stdout)), (Some(96), String::new()));
        let says = format!("is held by user {shown}, accepted: the node's root");
        assert!(text(&ended.stderr).contains(&says), "{}", text(&ended.stderr));
    }
}
