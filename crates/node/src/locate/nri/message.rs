//! The part of NRI's and ttrpc's protocol buffers that a plugin of ours needs, written by hand: protocol buffers skip
//! fields that are not named, so the rest of a pod or container costs nothing, and no `protoc` is needed to build.
//! Field numbers: nri pkg/api/api.proto, ttrpc request.proto.

use std::collections::HashMap;

/// ttrpc's envelope of a call.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Request {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) method: String,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) payload: Vec<u8>,
}

/// ttrpc's envelope of an answer.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) status: Option<Status>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) payload: Vec<u8>,
}

/// google.rpc.Status.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Status {
    #[prost(int32, tag = "1")]
    pub(super) code: i32,
    #[prost(string, tag = "2")]
    pub(super) message: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct RegisterPlugin {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) index: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Configure {
    #[prost(string, tag = "2")]
    pub(super) runtime_name: String,
    #[prost(string, tag = "3")]
    pub(super) runtime_version: String,
    /// Milliseconds; 0 where the runtime does not say.
    #[prost(int64, tag = "5")]
    pub(super) request_timeout: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Configured {
    /// Bit `n - 1` asks for event `n`.
    #[prost(int32, tag = "2")]
    pub(super) events: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Synchronize {
    #[prost(message, repeated, tag = "1")]
    pub(super) pods: Vec<PodSandbox>,
    #[prost(bool, tag = "3")]
    pub(super) more: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Synchronized {
    #[prost(bool, tag = "2")]
    pub(super) more: bool,
}

/// RunPodSandbox, StopPodSandbox and RemovePodSandbox have the same shape.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OfPod {
    #[prost(message, optional, tag = "1")]
    pub(super) pod: Option<PodSandbox>,
}

/// How runtimes before NRI 0.10 tell of pods.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct StateChange {
    #[prost(int32, tag = "1")]
    pub(super) event: i32,
    #[prost(message, optional, tag = "2")]
    pub(super) pod: Option<PodSandbox>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PodSandbox {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) uid: String,
    #[prost(string, tag = "4")]
    pub(super) namespace: String,
    #[prost(map = "string, string", tag = "5")]
    pub(super) labels: HashMap<String, String>,
    #[prost(map = "string, string", tag = "6")]
    pub(super) annotations: HashMap<String, String>,
    #[prost(message, optional, tag = "8")]
    pub(super) linux: Option<LinuxPodSandbox>,
    #[prost(uint32, tag = "9")]
    pub(super) pid: u32,
    #[prost(string, repeated, tag = "10")]
    pub(super) ips: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LinuxPodSandbox {
    #[prost(message, repeated, tag = "5")]
    pub(super) namespaces: Vec<LinuxNamespace>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LinuxNamespace {
    #[prost(string, tag = "1")]
    pub(super) kind: String,
    #[prost(string, tag = "2")]
    pub(super) path: String,
}
