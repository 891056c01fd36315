//! From a runtime's status of a sandbox to the path of its network namespace. CRI has no field for it: runtimes tell it
//! in the verbose information, a JSON text whose shape is their own.
//!
//! | runtime | where |
//! |---|---|
//! | containerd 1.6 to 2.x | `runtimeSpec.linux.namespaces[network].path`, `sandboxMetadata.NetNSPath` (2.x) |
//! | CRI-O | `runtimeSpec.linux.namespaces[network].path`, also where it drops the infra container |
//! | both, at last | `/proc/PID/ns/net` of `pid` |

use std::collections::HashMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::message::{NODE, READY, SandboxStatus, StatusAnswer};
use crate::located::{Located, Source};

/// What a status says about the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Network {
    /// A path that leads to it.
    Path(PathBuf),
    /// The node's own (hostNetwork).
    Host,
    /// Torn down.
    Gone,
    /// The runtime does not tell.
    Untold,
}

/// What a sandbox turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sandbox {
    Located(Box<Located>),
    /// Nothing to do there, now or later.
    Without(Network),
}

pub(super) fn read(answer: StatusAnswer) -> Sandbox {
    let Some(status) = answer.status else { return Sandbox::Without(Network::Gone) };
    match network(&status, &answer.info) {
        Network::Path(netns) => Sandbox::Located(Box::new(located(status, netns))),
        other => Sandbox::Without(other),
    }
}

fn network(status: &SandboxStatus, info: &HashMap<String, String>) -> Network {
    let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
    if options.is_some_and(|options| options.network == NODE) {
        return Network::Host;
    }
    if status.state != READY {
        return Network::Gone;
    }
    info.get("info").map_or(Network::Untold, |text| network_of_info(text))
}

/// Reads the verbose information.
pub(super) fn network_of_info(text: &str) -> Network {
    let Ok(info) = serde_json::from_str::<Info>(text) else { return Network::Untold };
    if info.closed {
        return Network::Gone;
    }
    let namespaces = info.spec.and_then(|spec| spec.linux).map(|linux| linux.namespaces);
    let network = namespaces.as_ref().map(|all| all.iter().find(|namespace| namespace.kind == "network"));
    let told = network.flatten().map(|namespace| namespace.path.clone());
    let metadata = info.metadata.map(|metadata| metadata.netns);
    let path =
        [told, metadata].into_iter().flatten().find(|path| path.starts_with('/') && !path.contains('\0'));
    match (path, network, info.pid) {
        (Some(path), ..) => Network::Path(PathBuf::from(path)),
        // A specification without a network namespace is that of a pod on the node's network.
        (None, Some(None), _) => Network::Host,
        (None, _, pid @ 1..) => Network::Path(PathBuf::from(format!("/proc/{pid}/ns/net"))),
        _ => Network::Untold,
    }
}

fn located(status: SandboxStatus, netns: PathBuf) -> Located {
    let metadata = status.metadata.unwrap_or_default();
    let network = status.network.unwrap_or_default();
    let ips = std::iter::once(network.ip).chain(network.more.into_iter().map(|more| more.ip));
    Located {
        namespace: metadata.namespace,
        name: metadata.name,
        uid: metadata.uid,
        sandbox: status.id,
        netns,
        ips: ips.filter_map(|ip| ip.parse().ok()).collect(),
        labels: status.labels.into_iter().collect(),
        annotations: status.annotations.into_iter().collect(),
        source: Source::Cri,
    }
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    pid: u32,
    #[serde(default, rename = "netNamespaceClosed")]
    closed: bool,
    #[serde(rename = "runtimeSpec")]
    spec: Option<Spec>,
    #[serde(rename = "sandboxMetadata")]
    metadata: Option<SandboxMetadata>,
}

#[derive(Deserialize)]
struct Spec {
    linux: Option<Linux>,
}

#[derive(Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Vec<Namespace>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    path: String,
}

#[derive(Deserialize)]
struct SandboxMetadata {
    #[serde(default, rename = "NetNSPath")]
    netns: String,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::message::{LinuxStatus, Metadata, NamespaceOptions, Namespaces, NetworkStatus, PodIp};
    use super::*;

    fn path(text: &str) -> Network {
        Network::Path(PathBuf::from(text))
    }

    #[test]
    fn each_runtimes_shape_is_read() {
        let cases = [
            // containerd 1.6, 1.7 and 2.x
            (
                r#"{"pid":7,"netNamespaceClosed":false,"runtimeSpec":{"linux":{"namespaces":
                   [{"type":"pid"},{"type":"network","path":"/var/run/netns/cni-1"}]}}}"#,
                path("/var/run/netns/cni-1"),
            ),
            // containerd 2.x while the sandbox is being made
            (
                r#"{"pid":0,"runtimeSpec":null,"sandboxMetadata":{"NetNSPath":"/var/run/netns/cni-2"}}"#,
                path("/var/run/netns/cni-2"),
            ),
            // CRI-O without an infra container
            (
                r#"{"runtimeSpec":{"ociVersion":"1.1.0","linux":{"namespaces":
                   [{"type":"network","path":"/var/run/netns/5c1"}]}}}"#,
                path("/var/run/netns/5c1"),
            ),
            // only the process is told
            (r#"{"image":"pause","pid":812}"#, path("/proc/812/ns/net")),
            (
                r#"{"pid":812,"runtimeSpec":{"linux":{"namespaces":[{"type":"network"}]}}}"#,
                path("/proc/812/ns/net"),
            ),
            // hostNetwork
            (r#"{"pid":812,"runtimeSpec":{"linux":{"namespaces":[{"type":"ipc"}]}}}"#, Network::Host),
            // ended
            (
                r#"{"pid":0,"netNamespaceClosed":true,"sandboxMetadata":{"NetNSPath":"/var/run/netns/cni-3"}}"#,
                Network::Gone,
            ),
            (r#"{"pid":0}"#, Network::Untold),
            (r#"{"pid":-1}"#, Network::Untold),
            ("no JSON", Network::Untold),
            (
                r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"network","path":"relative"}]}}}"#,
                Network::Untold,
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(network_of_info(text), expected, "{text}");
        }
    }

    #[test]
    fn a_status_becomes_a_located_pod() {
        let info = [("info".to_owned(), r#"{"sandboxMetadata":{"NetNSPath":"/run/netns/a"}}"#.to_owned())];
        let status = SandboxStatus {
            id: "sandbox-1".into(),
            metadata: Some(Metadata { name: "web".into(), uid: "uid-1".into(), namespace: "shop".into() }),
            network: Some(NetworkStatus {
                ip: "10.1.0.7".into(),
                more: vec![PodIp { ip: "fd00::7".into() }, PodIp { ip: String::new() }],
            }),
            ..SandboxStatus::default()
        };
        let answer = StatusAnswer { status: Some(status.clone()), info: info.clone().into() };
        let Sandbox::Located(located) = read(answer) else { panic!("not located") };
        assert_eq!((located.namespace.as_str(), located.name.as_str()), ("shop", "web"));
        assert_eq!((located.uid.as_str(), located.sandbox.as_str()), ("uid-1", "sandbox-1"));
        assert_eq!(located.ips.len(), 2);

        let options = Some(NamespaceOptions { network: NODE });
        let linux = Some(LinuxStatus { namespaces: Some(Namespaces { options }) });
        let host = SandboxStatus { linux, ..status.clone() };
        let answer = StatusAnswer { status: Some(host), info: info.clone().into() };
        assert_eq!(read(answer), Sandbox::Without(Network::Host));
        let ended = StatusAnswer { status: Some(SandboxStatus { state: 1, ..status }), info: info.into() };
        assert_eq!(read(ended), Sandbox::Without(Network::Gone));
    }

    proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC{0,200}") {
            network_of_info(&text);
        }
    }
}
