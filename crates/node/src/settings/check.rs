//! From texts to typed settings. Every setting is looked at, whatever was wrong before, so that one start tells all.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use meshward_kit::log::{self, Format, LogError};
use meshward_redirect::nft::Lock;
use meshward_redirect::program::Backend;

use super::value::{Given, problem};
use super::{Cni, Cri, Locate, Nri, Problem, Proc, Rules, Settings, Switch, Tell, Values};

/// Half of the runtime's default request timeout: a plugin that answers later is disconnected, and the pod starts.
const LONGEST_NRI: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// None when a setting cannot be used; what is wrong is added to `problems` either way.
pub(super) fn settings(values: &Values, problems: &mut Vec<Problem>) -> Option<Settings> {
    let mut reader = Reader { values, problems };
    let node_name = reader.node_name();
    let kubeconfig = reader.optional("kubeconfig", path);
    let log_format = reader.read("log-format", format);
    let log_level = reader.read("log-level", level);
    let admin_address = reader.read("admin-address", |text| {
        text.parse().map_err(|_| "accepted: an address and a port, 0.0.0.0:9901 or [::]:9901".to_string())
    });
    let socket = reader.read("socket", path);
    let shutdown_timeout = reader.read("shutdown-timeout", |text| duration(text, SECOND, HOUR));
    let locate = reader.locate();
    let rules = reader.rules();
    let tell = reader.tell();
    Some(Settings {
        node_name: node_name?,
        kubeconfig: kubeconfig?,
        log_format: log_format?,
        log_level: log_level?,
        admin_address: admin_address?,
        socket: socket?,
        shutdown_timeout: shutdown_timeout?,
        locate: locate?,
        rules: rules?,
        tell: tell?,
    })
}

struct Reader<'a> {
    values: &'a Values,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let given = self.values.get(name)?;
        match parse(given.text.trim()) {
            Ok(value) => Some(value),
            Err(accepted) => {
                self.fail(name, given, format!("found {:?}; {accepted}", shown(&given.text)));
                None
            }
        }
    }

    fn optional<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        match self.values.get(name) {
            None => Some(None),
            Some(given) if given.text.is_empty() => Some(None),
            Some(_) => self.read(name, parse).map(Some),
        }
    }

    fn fail(&mut self, name: &str, given: &Given, message: String) {
        self.problems.push(problem(name, given, message));
    }

    fn node_name(&mut self) -> Option<String> {
        if self.values.get("node-name").is_none() {
            let message =
                "not given; pass --node-name, MESHWARD_NODE_NAME, or NODE_NAME from spec.nodeName".into();
            self.problems.push(Problem { place: "setting node-name".into(), message });
            return None;
        }
        self.read("node-name", |text| {
            let good = is_subdomain(text);
            if good { Ok(text.to_string()) } else { Err("accepted: the name of a node".into()) }
        })
    }

    fn locate(&mut self) -> Option<Locate> {
        let (nri, cri, cni, proc) = (self.nri(), self.cri(), self.cni(), self.proc());
        let locate = Locate { nri: nri?, cri: cri?, proc: proc?, cni: cni? };
        let off = |mode| mode == Switch::Off;
        if off(locate.nri.mode) && off(locate.cri.mode) && !locate.proc.on && !locate.cni.on {
            let message = "all are off, so no pod would ever be found; leave at least one on".into();
            self.problems.push(Problem { place: "settings nri, cri, cni and proc".into(), message });
        }
        let nothing_held = |name| format!("{name} is off: nothing would be held");
        self.needless(
            "nri-fail-closed",
            locate.nri.fail_closed && off(locate.nri.mode),
            &nothing_held("nri"),
        );
        self.needless("cni-fail-closed", locate.cni.fail_closed && !locate.cni.on, &nothing_held("cni"));
        Some(locate)
    }

    /// A promise that another setting breaks.
    fn needless(&mut self, name: &'static str, broken: bool, why: &str) {
        if let Some(given) = self.values.get(name).filter(|_| broken) {
            self.fail(name, given, format!("it is on, but {why}"));
        }
    }

    fn nri(&mut self) -> Option<Nri> {
        let mode = self.read("nri", switch);
        let socket = self.read("nri-socket", path);
        let index = self.read("nri-index", two_digits);
        let deadline = self.read("nri-deadline", |text| duration(text, MILLISECOND, LONGEST_NRI));
        let fail_closed = self.read("nri-fail-closed", on_off);
        Some(Nri {
            mode: mode?,
            socket: socket?,
            index: index?,
            deadline: deadline?,
            fail_closed: fail_closed?,
        })
    }

    fn cri(&mut self) -> Option<Cri> {
        let mode = self.read("cri", switch);
        let socket = self.read("cri-socket", |text| match text {
            "auto" => Ok(None),
            // As crictl and the kubelet write it.
            _ => path(text.strip_prefix("unix://").unwrap_or(text))
                .map(Some)
                .map_err(|_| "accepted: auto or an absolute path".to_string()),
        });
        let events = self.read("cri-events", on_off);
        let poll = self.read("cri-poll", |text| duration(text, SECOND, HOUR));
        Some(Cri { mode: mode?, socket: socket?, events: events?, poll: poll? })
    }

    fn cni(&mut self) -> Option<Cni> {
        let on = self.read("cni", on_off);
        let conf_dir = self.read("cni-conf-dir", path);
        let bin_dir = self.read("cni-bin-dir", path);
        let socket = self.read("cni-socket", path);
        let timeout =
            self.read("cni-timeout", |text| duration(text, MILLISECOND, 2 * Duration::from_secs(60)));
        let fail_closed = self.read("cni-fail-closed", on_off);
        Some(Cni {
            on: on?,
            conf_dir: conf_dir?,
            bin_dir: bin_dir?,
            socket: socket?,
            timeout: timeout?,
            fail_closed: fail_closed?,
        })
    }

    fn proc(&mut self) -> Option<Proc> {
        let on = self.read("proc", on_off);
        let root = self.read("proc-root", path);
        let interval = self.read("proc-interval", |text| duration(text, SECOND, HOUR));
        Some(Proc { on: on?, root: root?, interval: interval? })
    }

    fn rules(&mut self) -> Option<Rules> {
        let backend = self.read("backend", |text| {
            text.parse::<Backend>().map_err(|error| format!("accepted: {}", error.accepted))
        });
        let lock = self.read("lock", |text| {
            Ok(match switch(text)? {
                Switch::Auto => Lock::IfAvailable,
                Switch::On => Lock::Required,
                Switch::Off => Lock::Off,
            })
        });
        let remove_older = self.read("remove-older", on_off);
        let recheck = self.read("recheck-interval", |text| match text {
            "off" | "false" | "no" => Ok(None),
            _ => {
                duration(text, SECOND, 24 * HOUR).map(Some).map_err(|accepted| format!("{accepted}, or off"))
            }
        });
        let exclude_namespaces = self.read("exclude-namespaces", namespaces);
        Some(Rules {
            backend: backend?,
            lock: lock?,
            remove_older: remove_older?,
            recheck: recheck?,
            exclude_namespaces: exclude_namespaces?,
        })
    }

    fn tell(&mut self) -> Option<Tell> {
        let status = self.read("status", on_off);
        let events = self.read("events", on_off);
        let seed_compatibility = self.read("seed-compatibility", on_off);
        let taint = self.read("taint", on_off);
        let key = self.read("taint-key", taint_key);
        self.needless(
            "seed-compatibility",
            seed_compatibility == Some(true) && status == Some(false),
            "status is off: nothing is written on pods",
        );
        Some(Tell {
            status: status?,
            events: events?,
            seed_compatibility: seed_compatibility?,
            taint: key.filter(|_| taint == Some(true)),
        })
    }
}

fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

fn on_off(text: &str) -> Result<bool, String> {
    // The words that YAML reads as booleans, so that a quoted one means the same.
    match text.to_ascii_lowercase().as_str() {
        "on" | "true" | "yes" => Ok(true),
        "off" | "false" | "no" => Ok(false),
        _ => Err("accepted: on or off".into()),
    }
}

fn switch(text: &str) -> Result<Switch, String> {
    if text == "auto" {
        return Ok(Switch::Auto);
    }
    match on_off(text) {
        Ok(true) => Ok(Switch::On),
        Ok(false) => Ok(Switch::Off),
        Err(_) => Err("accepted: auto, on or off".into()),
    }
}

fn format(text: &str) -> Result<Format, String> {
    Format::from_str(text, false).map_err(|_| "accepted: auto, text or json".into())
}

fn level(text: &str) -> Result<String, String> {
    log::check_level(text).map(|()| text.to_string()).map_err(|error| match error {
        LogError::Level { cause, accepted, .. } => format!("{cause}; accepted: {accepted}"),
        other => other.to_string(),
    })
}

fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_absolute() { Ok(path) } else { Err("accepted: an absolute path".into()) }
}

fn two_digits(text: &str) -> Result<u8, String> {
    let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits).ok_or_else(|| "accepted: two digits, 00 to 99".into())
}

fn duration(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let accepted =
        || format!("accepted: a duration from {least:?} to {}, such as 500ms, 30s or 1m30s", humane(most));
    let parsed: jiff::SignedDuration = text.parse().map_err(|_| accepted())?;
    Duration::try_from(parsed).ok().filter(|found| (least..=most).contains(found)).ok_or_else(accepted)
}

fn humane(duration: Duration) -> String {
    match duration.as_secs() {
        0..3600 => format!("{duration:?}"),
        seconds => format!("{}h", seconds / 3600),
    }
}

fn namespaces(text: &str) -> Result<BTreeSet<String>, String> {
    let names: BTreeSet<String> =
        text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(String::from).collect();
    match names.iter().find(|name| !is_label(name)) {
        None => Ok(names),
        Some(odd) => {
            Err(format!("accepted: names of namespaces, separated by commas; {:?} is none", shown(odd)))
        }
    }
}

/// RFC 1123 label, as apimachinery's `IsDNS1123Label` has it.
fn is_label(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| inner(byte) || byte == b'-')
        && text.bytes().next().is_some_and(inner)
        && text.bytes().last().is_some_and(inner)
}

fn is_subdomain(text: &str) -> bool {
    // The parts may be longer than a label (`IsDNS1123Subdomain`); no node has such a name.
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A qualified name, as the API server wants a taint's key.
fn taint_key(text: &str) -> Result<String, String> {
    let (prefix, name) = text.rsplit_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let good = (1..=63).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        && edge(name.bytes().next())
        && edge(name.bytes().last())
        && prefix.is_none_or(is_subdomain);
    if good {
        Ok(text.to_string())
    } else {
        Err("accepted: a qualified name such as meshward.dev/not-ready".into())
    }
}
