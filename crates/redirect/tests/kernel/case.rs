//! Cases as they stand in the files.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use meshward_manifest::{Documents, Options};
use meshward_netlab::Layout;
use meshward_redirect::dialect::{Origin, Settings, Surroundings, build, flags, flags_of, kuma};
use meshward_redirect::net::Protocol;
use meshward_redirect::trace::Direction;
use meshward_redirect::{Mesh, RuleSet};
use serde::Deserialize;

/// One case.
#[derive(Debug)]
pub(crate) struct Case {
    /// `istio/proxy-uid.yaml, case 2 (…)`
    pub(crate) name: String,
    pub(crate) mesh: Mesh,
    /// The option it is for, by the file's name; none in files about whole rule sets.
    pub(crate) option: Option<&'static str>,
    pub(crate) settings: Settings,
    pub(crate) layout: Layout,
    pub(crate) proxy_listens: bool,
    /// Rules of the option that change nothing here.
    pub(crate) idle: BTreeSet<String>,
    pub(crate) refused: Option<String>,
    pub(crate) shows: Shows,
    pub(crate) packets: Vec<Sent>,
}

/// Text that the kernel's state has to show.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Shows {
    pub(crate) nft: Option<String>,
    pub(crate) iptables: Option<String>,
    pub(crate) routing: Option<String>,
}

/// A packet to send, and what should become of it.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// As the file has it.
    pub(crate) text: String,
    pub(crate) direction: Direction,
    pub(crate) protocol: Protocol,
    pub(crate) destination: SocketAddr,
    pub(crate) source: Option<IpAddr>,
    pub(crate) source_port: Option<u16>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mark: u32,
    /// The cable it arrives by, when it is not the one of its destination.
    pub(crate) cable: Option<usize>,
    pub(crate) stray: bool,
    pub(crate) expected: Expected,
}

/// What is expected of a packet; what is not said is not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) end: End,
    pub(crate) zone: Option<u16>,
    pub(crate) connmark: Option<u32>,
    pub(crate) logs: Option<Vec<String>>,
}

/// Where a packet ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Outside, at this address.
    Peer(SocketAddr),
    /// In the pod, at a listener on this port.
    Pod(u16),
    /// In the pod, and its TCP does not want it.
    Refused,
    /// Nowhere.
    Nothing,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Peer(address) => write!(f, "peer {address}"),
            End::Pod(port) => write!(f, "pod {port}"),
            End::Refused => f.write_str("refused"),
            End::Nothing => f.write_str("nothing"),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CaseFile {
    about: String,
    #[serde(default)]
    flags: String,
    config: Option<serde_json::Value>,
    #[serde(default)]
    pod: PodFamilies,
    #[serde(default)]
    links: Vec<String>,
    #[serde(default)]
    idle: BTreeSet<String>,
    #[serde(default = "yes")]
    proxy_listens: bool,
    refused: Option<String>,
    #[serde(default)]
    shows: Shows,
    #[serde(default)]
    packets: Vec<serde_json::Value>,
}

#[derive(Deserialize, Default, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum PodFamilies {
    #[default]
    DualStack,
    Ipv4,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PacketFile {
    out: Option<String>,
    r#in: Option<String>,
    from: Option<String>,
    #[serde(default = "application")]
    uid: u32,
    #[serde(default = "application")]
    gid: u32,
    #[serde(default)]
    mark: u32,
    via: Option<String>,
    #[serde(default)]
    stray: bool,
    reaches: String,
    zone: Option<u16>,
    connmark: Option<u32>,
    logs: Option<Vec<String>>,
}

fn yes() -> bool {
    true
}

fn application() -> u32 {
    1000
}

fn folder(mesh: Mesh) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/kernel").join(mesh.name())
}

/// Every case of a mesh, in the order of file names.
pub(crate) fn cases(mesh: Mesh) -> Vec<Case> {
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder(mesh)).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().flat_map(|path| read(mesh, path)).collect()
}

fn read(mesh: Mesh, path: &Path) -> Vec<Case> {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let option = flags_of(mesh).iter().map(|flag| flag.long).find(|long| *long == stem);
    let text = std::fs::read(path).unwrap();
    let documents = Documents::new(&text, Options::default());
    let mut cases = Vec::new();
    for (index, document) in documents.enumerate() {
        let place = format!("{mesh}/{stem}.yaml, case {}", index + 1);
        let document = document.unwrap_or_else(|error| panic!("{place}: {error}"));
        let file = serde_json::from_value(document.value).unwrap_or_else(|error| panic!("{place}: {error}"));
        cases.push(case(mesh, option, &place, file));
    }
    assert!(!cases.is_empty(), "{}: no case", path.display());
    cases
}

fn case(mesh: Mesh, option: Option<&'static str>, place: &str, file: CaseFile) -> Case {
    let name = format!("{place} ({})", file.about);
    let mut layout = match file.pod {
        PodFamilies::DualStack => Layout::dual_stack(),
        PodFamilies::Ipv4 => Layout::ipv4(),
    };
    for link in &file.links {
        layout = layout.with_link(link);
    }
    let packets = file.packets.into_iter().map(|packet| sent(&name, &layout, packet)).collect();
    let settings = settings(mesh, &name, &file.flags, file.config.as_ref());
    Case {
        mesh,
        option,
        settings,
        layout,
        proxy_listens: file.proxy_listens,
        idle: file.idle,
        refused: file.refused,
        shows: file.shows,
        packets,
        name,
    }
}

fn settings(mesh: Mesh, name: &str, words: &str, config: Option<&serde_json::Value>) -> Settings {
    let table = flags_of(mesh);
    let mut settings = Settings::new(table);
    if let Some(config) = config {
        assert_eq!(mesh, Mesh::Kuma, "{name}: only Kuma has a configuration file");
        let origin = |path: &str| Origin::File { file: "config.yaml".into(), path: path.into() };
        let lints = kuma::config::apply(config, &mut settings, origin);
        assert_eq!(lints.unwrap_or_else(|error| panic!("{name}: {error}")), [], "{name}");
    }
    let words: Vec<String> = words.split_whitespace().map(str::to_string).collect();
    let origin = |flag: &str| Origin::Flag { flag: format!("--{flag}") };
    flags::parse_arguments(mesh.name(), table, &words, &mut settings, origin)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    settings
}

fn sent(name: &str, layout: &Layout, value: serde_json::Value) -> Sent {
    let text = value.to_string();
    let bad = |what: &str| -> ! { panic!("{name}: {text}: {what}") };
    let file: PacketFile = match serde_json::from_value(value) {
        Ok(file) => file,
        Err(error) => bad(&error.to_string()),
    };
    let (direction, packet) = match (&file.out, &file.r#in) {
        (Some(out), None) => (Direction::Out, out),
        (None, Some(inbound)) => (Direction::In, inbound),
        _ => bad("either out or in"),
    };
    let Some((protocol, to)) = packet.split_once(' ') else { bad("a protocol and a destination") };
    let protocol: Protocol = protocol.parse().unwrap_or_else(|_| bad("tcp or udp"));
    let pod = layout.links[0].ipv4(2);
    let destination = match to.parse::<u16>() {
        Ok(port) => SocketAddr::new(pod.into(), port),
        Err(_) => to.parse().unwrap_or_else(|_| bad("address and port")),
    };
    let from = file.from.as_deref().map(|from| match from.parse::<IpAddr>() {
        Ok(address) => (address, None),
        Err(_) => {
            let from: SocketAddr = from.parse().unwrap_or_else(|_| bad("a source address"));
            (from.ip(), Some(from.port()))
        }
    });
    let cable = file.via.as_deref().map(|via| {
        let place = layout.links.iter().position(|link| link.name == via);
        place.unwrap_or_else(|| bad("an interface of the pod"))
    });
    let end = match file.reaches.split_once(' ') {
        None if file.reaches == "peer" => End::Peer(destination),
        None if file.reaches == "pod" => End::Pod(destination.port()),
        None if file.reaches == "refused" => End::Refused,
        None if file.reaches == "nothing" => End::Nothing,
        Some(("peer", address)) => End::Peer(address.parse().unwrap_or_else(|_| bad("address and port"))),
        Some(("pod", port)) => End::Pod(port.parse().unwrap_or_else(|_| bad("a port"))),
        _ => bad("peer, pod, refused or nothing"),
    };
    Sent {
        direction,
        protocol,
        destination,
        source: from.map(|(address, _)| address),
        source_port: from.and_then(|(_, port)| port),
        uid: file.uid,
        gid: file.gid,
        mark: file.mark,
        cable,
        stray: file.stray,
        expected: Expected { end, zone: file.zone, connmark: file.connmark, logs: file.logs },
        text,
    }
}

impl Case {
    /// What its options are built with: the facts of its pod.
    pub(crate) fn surroundings(&self) -> Surroundings {
        // Every link of a test bed has an IPv4 address.
        Surroundings { global_ipv4: Some(true), global_ipv6: Some(self.layout.links[0].ipv6.is_some()) }
    }

    /// The rules of these settings in the case's pod, or why there are none.
    pub(crate) fn rules_of(&self, settings: &Settings) -> Result<RuleSet, String> {
        match build(self.mesh, settings, self.surroundings()) {
            Ok(built) => Ok(built.rules),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Its rules.
    pub(crate) fn rules(&self) -> RuleSet {
        self.rules_of(&self.settings).unwrap_or_else(|error| panic!("{}: {error}", self.name))
    }

    /// Its own option put back to the default.
    pub(crate) fn without_option(&self) -> Settings {
        let mut settings = self.settings.clone();
        // `--config` itself holds nothing: what it sets is other options.
        if self.option == Some("config") {
            return Settings::new(flags_of(self.mesh));
        }
        if let Some(option) = self.option {
            settings.reset(option);
        }
        settings
    }
}
