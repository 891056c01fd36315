//! What the runtime asks of us, as a value: a call's bytes in, a decision what to do out. Pure, so that every byte of it
//! can be tested and fuzzed without a runtime.

use std::path::PathBuf;

use prost::Message as _;

use super::frame::{Connection, Kind, Message};
use super::message::{Configure, OfPod, PodSandbox, Request, Response, StateChange, Status, Synchronize};
use crate::located::{Located, Source};

const PLUGIN_SERVICE: &str = "nri.pkg.api.v1alpha1.Plugin";
const RUNTIME_SERVICE: &str = "nri.pkg.api.v1alpha1.Runtime";

const RUN_POD_SANDBOX: i32 = 1;
const STOP_POD_SANDBOX: i32 = 2;
const REMOVE_POD_SANDBOX: i32 = 3;

/// The events we ask for, and no others: an event that nobody wants still holds the runtime's lock.
pub(super) const EVENTS: i32 =
    1 << (RUN_POD_SANDBOX - 1) | 1 << (STOP_POD_SANDBOX - 1) | 1 << (REMOVE_POD_SANDBOX - 1);

/// Codes of google.rpc.Code. The runtime falls back to StateChange on `UNIMPLEMENTED`.
pub(super) const UNKNOWN: i32 = 2;
pub(super) const INVALID_ARGUMENT: i32 = 3;
pub(super) const UNIMPLEMENTED: i32 = 12;

/// One call of the runtime.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Call {
    Configure(Configure),
    Synchronize(Synchronize),
    /// A sandbox has its network; none: it has the node's, or the runtime told of no pod.
    Started(Option<Box<Located>>),
    Stopped(Option<String>),
    Shutdown,
    /// An event that we did not ask for.
    Other,
    Unimplemented {
        method: String,
    },
    /// Not decodable.
    Malformed {
        method: String,
        starts_a_pod: bool,
    },
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Call {
    let Ok(request) = Request::decode(body) else {
        return Call::Malformed { method: "request".into(), starts_a_pod: false };
    };
    let Request { service, method, payload } = request;
    if service != PLUGIN_SERVICE {
        return Call::Unimplemented { method: shorten(&format!("{service}/{method}")) };
    }
    let call = match method.as_str() {
        "Configure" => Configure::decode(&payload[..]).map(Call::Configure),
        "Synchronize" => Synchronize::decode(&payload[..]).map(Call::Synchronize),
        "RunPodSandbox" => OfPod::decode(&payload[..]).map(|of| started(of.pod)),
        "StopPodSandbox" | "RemovePodSandbox" => OfPod::decode(&payload[..]).map(|of| stopped(of.pod)),
        "StateChange" => StateChange::decode(&payload[..]).map(|change| match change.event {
            RUN_POD_SANDBOX => started(change.pod),
            STOP_POD_SANDBOX | REMOVE_POD_SANDBOX => stopped(change.pod),
            _ => Call::Other,
        }),
        "Shutdown" => Ok(Call::Shutdown),
        _ => Ok(Call::Unimplemented { method: shorten(&method) }),
    };
    call.unwrap_or_else(|_| Call::Malformed {
        starts_a_pod: matches!(method.as_str(), "RunPodSandbox" | "StateChange"),
        method: shorten(&method),
    })
}

fn started(pod: Option<PodSandbox>) -> Call {
    Call::Started(pod.and_then(located).map(Box::new))
}

fn stopped(pod: Option<PodSandbox>) -> Call {
    Call::Stopped(pod.map(|pod| pod.id).filter(|id| !id.is_empty()))
}

/// Where a pod is; none when it has no network namespace of its own (hostNetwork), or none any more.
pub(super) fn located(pod: PodSandbox) -> Option<Located> {
    let namespaces = pod.linux.map(|linux| linux.namespaces).unwrap_or_default();
    let network = namespaces.into_iter().find(|namespace| namespace.kind == "network")?;
    if !network.path.starts_with('/') || network.path.contains('\0') {
        return None;
    }
    Some(Located {
        namespace: pod.namespace,
        name: pod.name,
        uid: pod.uid,
        sandbox: pod.id,
        netns: PathBuf::from(network.path),
        ips: pod.ips.iter().filter_map(|ip| ip.parse().ok()).collect(),
        labels: pod.labels.into_iter().collect(),
        annotations: pod.annotations.into_iter().collect(),
        source: Source::Nri,
    })
}

/// A good answer.
pub(super) fn answer(stream: u32, payload: &impl prost::Message) -> Message {
    respond(stream, Response { status: None, payload: payload.encode_to_vec() })
}

/// A bad one. For the start of a sandbox it means that the sandbox does not start, with this text in the pod's Events.
pub(super) fn refuse(stream: u32, code: i32, reason: &str) -> Message {
    let message = shorten(reason);
    respond(stream, Response { status: Some(Status { code, message }), payload: Vec::new() })
}

fn respond(stream: u32, response: Response) -> Message {
    Message { connection: Connection::Plugin, stream, kind: Kind::Response, body: response.encode_to_vec() }
}

/// A call of ours.
pub(super) fn request(stream: u32, method: &str, payload: &impl prost::Message) -> Message {
    let request =
        Request { service: RUNTIME_SERVICE.into(), method: method.into(), payload: payload.encode_to_vec() };
    Message { connection: Connection::Runtime, stream, kind: Kind::Request, body: request.encode_to_vec() }
}

/// Why the runtime refused a call of ours; none when it did not.
pub(super) fn refusal(body: &[u8]) -> Option<String> {
    match Response::decode(body) {
        Ok(response) => {
            response.status.filter(|status| status.code != 0).map(|status| shorten(&status.message))
        }
        Err(_) => Some("its answer is not decodable".into()),
    }
}

/// Texts of the runtime end in our logs, ours in its Events: one line of bounded length.
fn shorten(text: &str) -> String {
    text.chars().take(512).map(|c| if c.is_control() { ' ' } else { c }).collect()
}
