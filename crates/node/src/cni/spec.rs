//! The CNI specification's side of the plugin: environment and standard input in, a typed call out, and the error that the
//! runtime expects otherwise. Pure: <https://github.com/containernetworking/cni/blob/main/SPEC.md>.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::InstallSettings;

/// Versions that we speak, oldest first. The result is passed through, so only the shape of errors would differ.
pub const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// The longest standard input that is read: a result with thousands of routes is far below.
pub const LONGEST_INPUT: usize = 4 << 20;

/// The longest wait that a configuration may ask for: the kubelet gives a sandbox four minutes.
const LONGEST_WAIT: f64 = 120.0;

const INCOMPATIBLE_VERSION: u32 = 1;
const INVALID_ENVIRONMENT: u32 = 4;
pub(super) const IO_FAILURE: u32 = 5;
const DECODING: u32 = 6;
const INVALID_CONFIG: u32 = 7;
pub(super) const INVALID_NETNS: u32 = 8;
pub(super) const TRY_AGAIN: u32 = 11;
pub(super) const NOT_AVAILABLE: u32 = 50;
/// From 100 on the plugin's own: CHECK found the rules not in force.
pub(super) const NOT_IN_FORCE: u32 = 100;

/// An error result (section 5 of the specification).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One of the specification's codes, or our own from 100 on.
    pub code: u32,
    /// What failed.
    pub message: String,
    /// Why, and what to do.
    pub details: String,
    version: String,
}

impl Failure {
    pub(super) fn new(code: u32, message: impl Into<String>, details: impl Into<String>) -> Self {
        let version = VERSIONS[VERSIONS.len() - 1].to_owned();
        Self { code, message: message.into(), details: details.into(), version }
    }

    fn speaking(self, version: &str) -> Self {
        Self { version: version.to_owned(), ..self }
    }

    /// What goes to standard output.
    pub fn to_json(&self) -> Value {
        json!({"cniVersion": self.version, "code": self.code, "msg": self.message, "details": self.details})
    }
}

/// What the runtime asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    /// The versions that we speak.
    Version {
        /// The version that was asked in.
        asked: String,
    },
    /// A pod's network was made.
    Add(Box<Attachment>, Config),
    /// Whether it is still as it should be.
    Check(Box<Attachment>, Config),
    /// It is taken away. Nothing about it can be wrong enough to be an error.
    Del {
        /// The sandbox, where it was told.
        container: Option<String>,
        /// How to reach the agent, where that could be read.
        config: Option<Config>,
    },
    /// Attachments that are not listed are gone. Our rules went with their namespaces.
    Gc,
    /// Whether ADD would work.
    Status(Config),
}

/// Our part of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Version of the specification that the answer is to be in.
    pub version: String,
    /// The agent's socket.
    pub socket: PathBuf,
    /// How long to wait for the agent.
    pub timeout: Duration,
    /// Whether a pod may not start without the agent.
    pub fail_closed: bool,
    /// What the plugins before us made, to be passed on.
    pub previous: Option<Map<String, Value>>,
}

impl Config {
    /// A failure in the version that the runtime speaks.
    pub(super) fn failure(
        &self,
        code: u32,
        message: impl Into<String>,
        details: impl Into<String>,
    ) -> Failure {
        Failure::new(code, message, details).speaking(&self.version)
    }
}

/// A pod's sandbox as the environment describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// Id of the sandbox.
    pub container: String,
    /// Its network namespace.
    pub netns: PathBuf,
    /// The pod; none when this is no pod of Kubernetes (podman uses CNI too).
    pub pod: Option<Pod>,
    /// The addresses that the plugins before us gave it.
    pub ips: Vec<IpAddr>,
}

/// From `CNI_ARGS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pod {
    /// `K8S_POD_NAMESPACE`
    pub namespace: String,
    /// `K8S_POD_NAME`
    pub name: String,
    /// `K8S_POD_UID`; empty where the runtime does not tell it (containerd before 1.4)
    pub uid: String,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default, rename = "cniVersion")]
    version: String,
    #[serde(default)]
    name: String,
    socket: Option<PathBuf>,
    #[serde(rename = "timeoutSeconds")]
    timeout: Option<f64>,
    #[serde(default, rename = "failClosed")]
    fail_closed: bool,
    #[serde(rename = "prevResult")]
    previous: Option<Map<String, Value>>,
}

/// Reads a call. `variable` looks up an environment variable.
pub fn read(variable: &dyn Fn(&str) -> Option<String>, input: &[u8]) -> Result<Call, Failure> {
    let command = required(variable, "CNI_COMMAND")?;
    match command.as_str() {
        "VERSION" => {
            let asked = serde_json::from_slice::<Input>(input).map(|input| input.version).unwrap_or_default();
            return Ok(Call::Version { asked });
        }
        "DEL" => {
            let container = variable("CNI_CONTAINERID").filter(|id| is_container_id(id));
            return Ok(Call::Del { container, config: config(input).ok() });
        }
        "ADD" | "CHECK" | "GC" | "STATUS" => {}
        other => {
            let other: String = other.chars().take(40).collect();
            return Err(Failure::new(
                INVALID_ENVIRONMENT,
                format!("unknown CNI_COMMAND {other:?}"),
                "accepted are ADD, CHECK, DEL, GC, STATUS and VERSION",
            ));
        }
    }
    let config = config(input)?;
    let version = config.version.clone();
    call(&command, config, variable).map_err(|failure| failure.speaking(&version))
}

fn call(command: &str, config: Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<Call, Failure> {
    let since = match command {
        "CHECK" => "0.4.0",
        "GC" | "STATUS" => "1.1.0",
        _ => VERSIONS[0],
    };
    if place(&config.version) < place(since) {
        let message = format!("{command} is not part of CNI {}", config.version);
        return Err(Failure::new(INCOMPATIBLE_VERSION, message, format!("it came with {since}")));
    }
    match command {
        "GC" => Ok(Call::Gc),
        "STATUS" => Ok(Call::Status(config)),
        _ => {
            let attachment = Box::new(attachment(variable, config.previous.as_ref())?);
            if config.previous.is_none() {
                return Err(Failure::new(
                    INVALID_CONFIG,
                    "there is no prevResult",
                    "meshward-cni changes a network that another plugin made: put it behind one in `plugins`",
                ));
            }
            Ok(if command == "ADD" { Call::Add(attachment, config) } else { Call::Check(attachment, config) })
        }
    }
}

fn place(version: &str) -> Option<usize> {
    VERSIONS.iter().position(|known| *known == version)
}

fn config(input: &[u8]) -> Result<Config, Failure> {
    let input: Input = serde_json::from_slice(input).map_err(|error| {
        Failure::new(DECODING, "the network configuration cannot be read", error.to_string())
    })?;
    if place(&input.version).is_none() {
        let found: String = input.version.chars().take(40).collect();
        return Err(Failure::new(
            INCOMPATIBLE_VERSION,
            format!("incompatible CNI version {found:?}"),
            format!("accepted are {}", VERSIONS.join(", ")),
        ));
    }
    let invalid = |field: &str, accepted: &str| {
        let message = format!("invalid {field} in the network configuration");
        Failure::new(INVALID_CONFIG, message, format!("accepted: {accepted}")).speaking(&input.version)
    };
    if input.name.is_empty() {
        return Err(invalid("name", "the name of the network"));
    }
    let usual = InstallSettings::default();
    let socket = input.socket.unwrap_or(usual.socket);
    if !socket.is_absolute() {
        return Err(invalid("socket", "an absolute path"));
    }
    let timeout = match input.timeout {
        None => usual.timeout,
        Some(seconds) if seconds > 0.0 && seconds <= LONGEST_WAIT => Duration::from_secs_f64(seconds),
        Some(_) => return Err(invalid("timeoutSeconds", "a number above 0, at most 120")),
    };
    let (version, fail_closed, previous) = (input.version, input.fail_closed, input.previous);
    Ok(Config { version, socket, timeout, fail_closed, previous })
}

fn attachment(
    variable: &dyn Fn(&str) -> Option<String>,
    previous: Option<&Map<String, Value>>,
) -> Result<Attachment, Failure> {
    let container = required(variable, "CNI_CONTAINERID")?;
    if !is_container_id(&container) {
        return Err(invalid_variable(
            "CNI_CONTAINERID",
            "letters, digits, `_`, `.` and `-`, a letter or digit first",
        ));
    }
    let netns = PathBuf::from(required(variable, "CNI_NETNS")?);
    if !netns.is_absolute() {
        return Err(invalid_variable("CNI_NETNS", "an absolute path"));
    }
    let interface = required(variable, "CNI_IFNAME")?;
    if interface.len() > 15 || interface.contains(['/', ':']) || interface.contains(char::is_whitespace) {
        return Err(invalid_variable("CNI_IFNAME", "at most 15 bytes without `/`, `:` and blanks"));
    }
    let pod = pod(&variable("CNI_ARGS").unwrap_or_default());
    Ok(Attachment { container, netns, pod, ips: previous.map(addresses).unwrap_or_default() })
}

/// `IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=…`
fn pod(arguments: &str) -> Option<Pod> {
    let value = |name: &str| {
        let pairs = arguments.split(';').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next_back()
    };
    let namespace = value("K8S_POD_NAMESPACE").filter(|value| !value.is_empty())?;
    let name = value("K8S_POD_NAME").filter(|value| !value.is_empty())?;
    Some(Pod { namespace, name, uid: value("K8S_POD_UID").unwrap_or_default() })
}

/// The addresses in a result: `ips: [{address: 10.1.0.7/24}]` in every version that we speak.
fn addresses(result: &Map<String, Value>) -> Vec<IpAddr> {
    let all = result.get("ips").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let texts = all.iter().filter_map(|ip| ip.get("address")?.as_str());
    texts.filter_map(|text| text.split('/').next()?.parse().ok()).take(64).collect()
}

fn required(variable: &dyn Fn(&str) -> Option<String>, name: &str) -> Result<String, Failure> {
    variable(name).filter(|value| !value.is_empty()).ok_or_else(|| {
        let message = format!("required environment variable {name} is missing");
        Failure::new(INVALID_ENVIRONMENT, message, "this program is run by the container runtime")
    })
}

fn invalid_variable(name: &str, accepted: &str) -> Failure {
    let message = format!("invalid environment variable {name}");
    Failure::new(INVALID_ENVIRONMENT, message, format!("accepted: {accepted}"))
}

fn is_container_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= 1024
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// What the runtime gets when nothing is wrong: what the plugins before us made.
pub(super) fn result(config: &Config) -> Value {
    let mut result = config.previous.clone().unwrap_or_default();
    result.entry("cniVersion").or_insert_with(|| Value::String(config.version.clone()));
    Value::Object(result)
}

/// The answer to VERSION.
pub(super) fn versions(asked: &str) -> Value {
    let version = if place(asked).is_some() { asked } else { VERSIONS[VERSIONS.len() - 1] };
    json!({"cniVersion": version, "supportedVersions": VERSIONS})
}
