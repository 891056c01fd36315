//! The program as the kubelet would start it: in a PID namespace of its own inside a pod's network namespace, as a user
//! without privileges, with the rules of a real mesh and an agent's gate outside; and with everything that must not be
//! believed.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests fail as tests do")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::process::{Child, ChildStderr, Command, Stdio};

use meshward_mesh::{SwapOptions, Swapped, WaitExit, pods, swap};
use meshward_netlab::{Bed, Layout, can_switch_users};
use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Origin, Settings, Surroundings};
use meshward_redirect::netns::NetNs;
use meshward_redirect::program::{Options, program};
use rustix::process::Uid;

const READY: &str =
    "meshward 1 ready out=192.0.2.2:1404>15001 out=[2001:db8::2]:1404>15001 in=127.0.0.6:1404>15006@1337\n";
/// Users of the wait container's image and of Istio's proxy.
const ORDINARY: u32 = 65532;
const PROXY: u32 = 1337;

/// A pod, or nothing where there are no namespaces or other users.
fn pod() -> Option<Bed> {
    let bed = Bed::or_skip(Layout::dual_stack()).unwrap()?;
    if !can_switch_users() {
        meshward_netlab::skipped("one mapped user id only");
        return None;
    }
    Some(bed)
}

fn put_rules_in_force(bed: &Bed) {
    let all = [
        ("istio-inbound-ports", "*"),
        ("istio-service-cidr", "*"),
        ("proxy-uid", "1337"),
        ("dual-stack", "true"),
    ];
    put(bed, Mesh::Istio, &all);
}

fn put(bed: &Bed, mesh: Mesh, options: &[(&str, &str)]) {
    let mut settings = Settings::new(dialect::flags_of(mesh));
    for (option, value) in options {
        settings.set(option, *value, Origin::Default);
    }
    let rules = dialect::build(mesh, &settings, Surroundings::of(&bed.pod_addresses())).unwrap().rules;
    let namespace = NetNs::open(bed.pod.path()).unwrap();
    program(&namespace, &rules, &Options::default()).unwrap();
}

/// Opens the gate as `user` of the node.
fn gate(bed: &Bed, user: u32) -> UnixListener {
    let listen = || {
        rustix::thread::set_thread_uid(Uid::from_raw(user)).unwrap();
        UnixListener::bind_addr(&SocketAddr::from_abstract_name("meshward-ready").unwrap()).unwrap()
    };
    bed.pod.run(listen).unwrap()
}

/// Says `line` to everybody who comes, until the test ends.
fn keep_saying(gate: UnixListener, line: &'static str) {
    std::thread::spawn(move || {
        let mut held: Vec<UnixStream> = Vec::new();
        while let Ok((mut stream, _)) = gate.accept() {
            // Who does not believe us goes away before we are done.
            let _ = stream.write_all(line.as_bytes());
            held.push(stream);
        }
    });
}

/// Where the program runs.
#[derive(Clone, Copy)]
enum In {
    /// A container of its own, as this user.
    Container(u32),
    /// A container of a pod with a user namespace, in which the node's root has no number.
    UserNamespace,
    /// The PID namespace of whoever holds the gate.
    SamePids,
}

struct Wait {
    child: Child,
    errors: BufReader<ChildStderr>,
}

impl Wait {
    fn start(bed: &Bed, place: In, arguments: &[&str]) -> Self {
        let program = env!("CARGO_BIN_EXE_meshward-wait");
        let mut command = match place {
            In::SamePids => Command::new(program),
            In::Container(user) => {
                let mut command = Command::new("unshare");
                command.args([
                    "--pid",
                    "--kill-child",
                    "--setuid",
                    &user.to_string(),
                    "--setgid",
                    "65532",
                    program,
                ]);
                command
            }
            In::UserNamespace => {
                let mut command = Command::new("setpriv");
                command.args([
                    "--reuid",
                    "100000",
                    "--regid",
                    "100000",
                    "--clear-groups",
                    "unshare",
                    "--user",
                ]);
                command.args(["--map-user=65532", "--map-group=65532", "--pid", "--kill-child", program]);
                command
            }
        };
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = bed.pod.run(|| command.spawn()).unwrap().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, errors }
    }

    /// Reads on until it says `text`.
    fn until(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.errors.read_line(&mut line).unwrap() > 0, "it ended without saying {text:?}");
        }
    }

    /// Its exit code, what it printed, and what else it said on standard error.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut errors) = (String::new(), String::new());
        self.child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
        self.errors.read_to_string(&mut errors).unwrap();
        (self.child.wait().unwrap().code(), out, errors)
    }
}

#[test]
fn an_open_gate_and_rules_let_the_pod_start() {
    let Some(bed) = pod() else { return };
    put_rules_in_force(&bed);
    keep_saying(gate(&bed, 0), READY);
    let (code, out, errors) = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=20"]).end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "redirected: 192.0.2.2:1404 to 15001, [2001:db8::2]:1404 to 15001; \
         inbound as the node agent read it back (only user 1337 can try it here)\n"
    );
    // The proxy finds its port free.
    bed.pod.run(|| TcpListener::bind("0.0.0.0:15001")).unwrap().unwrap();
}

#[test]
fn the_proxys_own_user_tries_the_inbound_rules() {
    let Some(bed) = pod() else { return };
    put_rules_in_force(&bed);
    keep_saying(gate(&bed, 0), "meshward 1 ready in=127.0.0.6:1404>15006@1337\n");
    let (code, out, _) = Wait::start(&bed, In::Container(PROXY), &["--timeout=20"]).end();
    assert_eq!((code, out.as_str()), (Some(0), "redirected: 127.0.0.6:1404 to 15006\n"));
    // It is exempt from the outbound ones, which are therefore not tried.
    let bed = pod().unwrap();
    put_rules_in_force(&bed);
    keep_saying(gate(&bed, 0), READY);
    let (code, out, errors) = Wait::start(&bed, In::Container(PROXY), &["--timeout=20"]).end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "redirected: 127.0.0.6:1404 to 15006; outbound as the node agent read it back (this is the proxy's user)\n"
    );
}

/// What can be proven from inside of a pod, in every mesh: outbound rules by an ordinary user, inbound rules by the
/// proxy's own user where the mesh sends its calls to itself through them, and nothing where it does not.
#[test]
fn each_mesh_is_proven_as_far_as_it_can_be() {
    let istio = &[("istio-inbound-ports", "*"), ("istio-service-cidr", "*")][..];
    for (mesh, options, user, outbound, inbound) in [
        (Mesh::Istio, istio, 1337, 15001, Some(15006)),
        (Mesh::Kuma, &[("kuma-dp-user", "5678")], 5678, 15001, Some(15006)),
        (Mesh::Linkerd, &[], 2102, 4140, None),
        (Mesh::Consul, &[("proxy-uid", "5995")], 5995, 15001, None),
    ] {
        let proven = |user: u32, line: String| {
            let bed = pod()?;
            put(&bed, mesh, options);
            keep_saying(gate(&bed, 0), line.leak());
            Some(Wait::start(&bed, In::Container(user), &["--timeout=1"]).end())
        };
        let out = |to: &str| format!("meshward 1 ready out={to}>{outbound}\n");
        let Some((code, told, errors)) = proven(ORDINARY, out("192.0.2.2:1404")) else { return };
        let says = format!("redirected: 192.0.2.2:1404 to {outbound}\n");
        assert_eq!((code, told, errors), (Some(0), says, String::new()), "{mesh}");
        let (code, ..) = proven(user, out("192.0.2.2:1404")).unwrap();
        assert_eq!(code, Some(96), "{mesh}: the proxy's own traffic is left alone");

        let port = inbound.unwrap_or(4143);
        let line = format!("meshward 1 ready in=127.0.0.6:1404>{port}@{user}\n");
        let (code, told, _) = proven(user, line).unwrap();
        let expected = inbound.map_or((Some(96), String::new()), |port| {
            (Some(0), format!("redirected: 127.0.0.6:1404 to {port}\n"))
        });
        assert_eq!((code, told), expected, "{mesh}");
    }
}

#[test]
fn it_waits_for_the_gate_and_says_why_once() {
    let Some(bed) = pod() else { return };
    put_rules_in_force(&bed);
    let mut wait = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=20"]);
    wait.until("waiting: the gate @meshward-ready is closed");
    let gate = gate(&bed, 0);
    let (mut agent, _) = gate.accept().unwrap();
    agent.write_all(b"meshward 1 wait annotation X: found \"y\"\n").unwrap();
    wait.until("waiting: the node agent says: annotation X: found \"y\"");
    // The same connection brings the news, and in pieces if need be.
    agent.write_all(&READY.as_bytes()[..20]).unwrap();
    agent.write_all(&READY.as_bytes()[20..]).unwrap();
    let (code, out, errors) = wait.end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(out.starts_with("redirected: 192.0.2.2:1404 to 15001"), "{out}");
}

#[test]
fn the_agents_reason_is_the_last_word() {
    let Some(bed) = pod() else { return };
    keep_saying(gate(&bed, 0), "meshward 1 wait annotation X: found \"y\"\n");
    let (code, out, errors) = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=2"]).end();
    assert_eq!((code, out.as_str()), (Some(96), ""));
    let reason = "the node agent says: annotation X: found \"y\"";
    let expected = format!("meshward-wait: waiting: {reason}\nmeshward-wait: gave up after 2 s: {reason}\n");
    assert_eq!(errors, expected);
}

#[test]
fn without_a_gate_it_gives_up_with_the_exit_code_asked_for() {
    let Some(bed) = pod() else { return };
    for (code, arguments) in [
        (96, &["--timeout=1"][..]),
        (126, &["--timeout=1", "--exit-code=126"]),
        (95, &["--timeout=1", "--exit-code=95"]),
    ] {
        let (ended, out, errors) = Wait::start(&bed, In::Container(ORDINARY), arguments).end();
        assert_eq!((ended, out.as_str()), (Some(code), ""));
        let lines: Vec<&str> = errors.lines().collect();
        assert_eq!(lines.len(), 2, "{errors}");
        assert!(
            lines[0].starts_with("meshward-wait: waiting: the gate @meshward-ready is closed"),
            "{errors}"
        );
        assert!(lines[1].starts_with("meshward-wait: gave up after 1 s: the gate"), "{errors}");
    }
    let (code, _, errors) = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=soon"]).end();
    assert_eq!(code, Some(2));
    assert!(errors.contains("found \"soon\", accepted: seconds"), "{errors}");
}

#[test]
fn a_gate_inside_the_pod_is_not_believed() {
    let Some(bed) = pod() else { return };
    put_rules_in_force(&bed);
    keep_saying(gate(&bed, 0), "meshward 1 nothing to wait for\n");
    let (code, out, errors) = Wait::start(&bed, In::SamePids, &["--timeout=1"]).end();
    assert_eq!((code, out.as_str()), (Some(96), ""));
    let says = format!("is held by process {} of this pod", std::process::id());
    assert!(errors.contains(&says), "{errors}");
}

#[test]
fn a_gate_of_another_container_is_not_believed() {
    let Some(bed) = pod() else { return };
    // Its PID namespace is not ours either, but under `restricted` it is not root.
    keep_saying(gate(&bed, 65534), "meshward 1 nothing to wait for\n");
    let (code, out, errors) = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=1"]).end();
    assert_eq!((code, out.as_str()), (Some(96), ""));
    assert!(errors.contains("is held by user 65534, accepted: the node's root"), "{errors}");
}

#[test]
fn a_gate_without_rules_is_not_believed() {
    let Some(bed) = pod() else { return };
    keep_saying(gate(&bed, 0), READY);
    let (code, out, errors) = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=1"]).end();
    assert_eq!((code, out.as_str()), (Some(96), ""));
    assert!(
        errors.contains("not redirected: a call to 192.0.2.2:1404 did not arrive at port 15001"),
        "{errors}"
    );
}

#[test]
fn a_port_that_is_taken_is_told() {
    let Some(bed) = pod() else { return };
    put_rules_in_force(&bed);
    let taken = bed.pod.run(|| TcpListener::bind("127.0.0.1:15001")).unwrap().unwrap();
    keep_saying(gate(&bed, 0), READY);
    let mut wait = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=20"]);
    wait.until("port 15001 is taken by another process of the pod");
    drop(taken);
    assert_eq!(wait.end().0, Some(0));
}

#[test]
fn a_pod_without_rules_starts_and_says_so() {
    let Some(bed) = pod() else { return };
    keep_saying(gate(&bed, 0), "meshward 1 nothing interception is off\n");
    let (code, out, _) = Wait::start(&bed, In::Container(ORDINARY), &["--timeout=20"]).end();
    assert_eq!((code, out.as_str()), (Some(0), "nothing is redirected: interception is off\n"));
}

#[test]
fn in_a_user_namespace_the_agent_is_nobody() {
    let Some(bed) = pod() else { return };
    if std::fs::read_to_string("/proc/sys/user/max_user_namespaces").is_ok_and(|most| most.trim() == "0") {
        meshward_netlab::skipped("no user namespaces");
        return;
    }
    put_rules_in_force(&bed);
    keep_saying(gate(&bed, 0), READY);
    let (code, out, errors) = Wait::start(&bed, In::UserNamespace, &["--timeout=5"]).end();
    assert_eq!((code, errors.as_str()), (Some(0), ""));
    assert!(out.starts_with("redirected: "), "{out}");
}

/// What admission writes into pods is what this program takes.
#[test]
fn it_takes_the_arguments_that_swapped_pods_give_it() {
    let pod = serde_json::json!({"kind": "Pod", "spec": {
        "initContainers": [{"name": "istio-init", "args": ["istio-iptables", "-u", "1337"]}],
        "containers": [{"name": "istio-proxy"}],
    }});
    for exit in [WaitExit::Own, WaitExit::Istio, WaitExit::Linkerd] {
        let options = SwapOptions { exit, timeout: 20, ..SwapOptions::default() };
        let Ok(Swapped::Changed(swapped)) = swap(&pods(&pod)[0], None, &options) else { unreachable!() };
        let arguments = swapped.template["spec"]["initContainers"][0]["args"].as_array().unwrap().clone();
        let arguments = arguments.iter().map(|argument| argument.as_str().unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_meshward-wait"));
        let output = command.args(arguments).arg("--version").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
