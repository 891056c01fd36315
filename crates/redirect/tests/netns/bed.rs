//! What the kernel tests share: throw-away namespaces and programs run inside them.

use std::io::Write;
use std::process::{Command, Stdio};

use meshward_redirect::netns::{NetNs, OpenNetNs};

/// A fresh namespace, or nothing (and a line that says so) where this user cannot make one.
pub(crate) fn namespace() -> Option<NetNs> {
    match NetNs::create() {
        Ok(ns) => Some(ns),
        Err(OpenNetNs::Create(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            meshward_netlab::skipped("needs CAP_NET_ADMIN");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Whether the iptables programs can do all of it here. In a user namespace they cannot name users that are not mapped
/// (xt_owner), nor list the tables of legacy (`/proc/net/ip_tables_names`).
pub(crate) fn iptables_works() -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let all_users = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if !all_users {
        meshward_netlab::skipped("iptables needs root outside of user namespaces");
    }
    all_users
}

/// Runs a program in a namespace, expects success and returns what it printed.
pub(crate) fn run(ns: &NetNs, program: &str, arguments: &[&str]) -> String {
    feed(ns, program, arguments, "")
}

/// The same with text on its standard input.
pub(crate) fn feed(ns: &NetNs, program: &str, arguments: &[&str], input: &str) -> String {
    let output = ns
        .run(|| {
            let mut child = Command::new(program)
                .args(arguments)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // A program that refuses what it has read closes its end.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        })
        .unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {error}\n{input}");
    String::from_utf8(output.stdout).unwrap()
}
