//! Where a pod's network namespace is, as one of the sources tells: NRI, CRI, the CNI plugin or /proc. The sources only
//! look; whether the path may be written to is decided by the guards of `meshward_redirect::netns`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use tokio::sync::oneshot;

/// Which source told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// The runtime's node resource interface, while the sandbox starts.
    Nri,
    /// The runtime's CRI socket.
    Cri,
    /// Our CNI plugin, while the sandbox's network is made.
    Cni,
    /// The processes of the node.
    Proc,
}

impl Source {
    /// The name in logs, metrics and records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nri => "nri",
            Self::Cri => "cri",
            Self::Cni => "cni",
            Self::Proc => "proc",
        }
    }
}

/// A pod's sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's uid; empty when the source cannot tell (a CNI runtime that does not pass `K8S_POD_UID`).
    pub uid: String,
    /// Id of the sandbox in the runtime; empty from /proc.
    pub sandbox: String,
    /// A path that leads to its network namespace.
    pub netns: PathBuf,
    /// The pod's addresses; empty when the source does not know them.
    pub ips: Vec<IpAddr>,
    /// The pod's labels, as the runtime was given them; empty when it does not know.
    pub labels: BTreeMap<String, String>,
    /// The pod's annotations at the time of its creation; empty when the source does not know.
    pub annotations: BTreeMap<String, String>,
    /// Who says so.
    pub source: Source,
}

/// What a source saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A sandbox has its network; no container of it runs yet (NRI, CNI), or it was found later (CRI, /proc).
    Started(Located),
    /// A sandbox is gone or going.
    Stopped {
        /// Its id.
        sandbox: String,
    },
    /// Everything there is, at one moment: sandboxes that this source told of before and that are not in the list are
    /// gone. From NRI that is true of every sandbox, since the runtime lets none start while it makes the list. A list over
    /// CRI lacks a sandbox that is starting at that moment, which NRI or CNI may have told of already.
    All(Source, Vec<Located>),
}

/// A sighting on its way to the engine.
#[derive(Debug)]
pub struct Notice {
    /// What was seen.
    pub sighting: Sighting,
    /// Told once the engine has done what it can do at once (rules in force, or a reason why not). The source holds the
    /// runtime until then, for a bounded time. Of a list, that is once all of it is done. Dropping it is an answer too.
    pub done: Option<oneshot::Sender<Outcome>>,
}

/// How the engine answers a source that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Rules in force, or none wanted.
    Settled,
    /// Not yet, and why: the wait container guards the pod, so the sandbox may start.
    Later(String),
}
