//! What a mesh's options are made of: values, flags, arguments, configuration objects. All but the first are text lines,
//! so that seeds can be read and a fuzzer can take them apart.

use meshward_manifest::{Documents, Limits, Options};
use meshward_redirect::Mesh;
use meshward_redirect::dialect::{
    self, InvalidOption, Lint, Origin, Settings, Surroundings, consul, flags, kuma,
};
use meshward_redirect::net::{
    Family, InterfaceName, InvalidValue, PortRange, Protocol, parse_cidr, parse_id, parse_listening_port,
    parse_net, parse_port,
};
use serde_json::Value;

use super::check_message;
use super::rules::check_rules;

/// The small values: each is refused, or printed as a text that means the same.
pub fn values(data: &[u8]) {
    let text = &*String::from_utf8_lossy(data);
    read(text, parse_port, |port| port.to_string());
    read(text, parse_listening_port, |port| port.to_string());
    read(text, parse_id, |id| id.to_string());
    read(text, parse_cidr, |net| net.to_string());
    read(text, parse_net, |net| net.to_string());
    read(text, str::parse::<Protocol>, Protocol::to_string);
    read(text, str::parse::<InterfaceName>, InterfaceName::to_string);
    read(text, |text| PortRange::parse(text, '-'), PortRange::to_string);
    read(text, |text| PortRange::parse(text, ':'), |range| range.to_string().replace('-', ":"));
    if let Ok(net) = parse_net(text) {
        assert_eq!(net, net.trunc());
        assert_eq!(Family::of_net(&net), Family::of(net.addr()));
    }
    if let Ok(range) = PortRange::parse(text, '-') {
        assert!(range.start() <= range.end() && range.contains(range.start()) && range.contains(range.end()));
    }
    if let Ok(name) = text.parse::<InterfaceName>() {
        assert!(name.matches(name.name()) && name.to_string().len() <= 15);
    }
}

fn read<T: PartialEq + std::fmt::Debug>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, InvalidValue>,
    print: impl Fn(&T) -> String,
) {
    match parse(text) {
        Ok(value) => assert_eq!(parse(&print(&value)).as_ref(), Ok(&value)),
        Err(error) => {
            check_message(&error.to_string());
            assert!(error.found.chars().count() <= 121);
        }
    }
}

/// First line: the mesh. Then `option=value`, with `\n`, `\t` and `\0` written so.
pub fn settings(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mesh = mesh(lines.next().unwrap_or_default());
    let mut settings = Settings::new(dialect::flags_of(mesh));
    for line in lines.take(64) {
        let (option, value) = line.split_once('=').unwrap_or((line, ""));
        let option = known(settings.flags(), option);
        settings.set(option, unescaped(value), Origin::Flag { flag: format!("--{option}") });
    }
    check_settings(mesh, &settings);
}

/// First line: the mesh. Then one argument a line; `NAME=value` in capitals is a variable.
pub fn arguments(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mesh = mesh(lines.next().unwrap_or_default());
    let mut settings = Settings::new(dialect::flags_of(mesh));
    let (mut variables, mut words) = (Vec::new(), Vec::new());
    for line in lines.take(64) {
        match line.split_once('=') {
            Some((name, value)) if name.starts_with(|c: char| c.is_ascii_uppercase()) => {
                variables.push((name.to_string(), unescaped(value)));
            }
            _ => words.push(unescaped(line)),
        }
    }
    flags::environment(&variables, &mut settings, |variable| Origin::Variable { variable: variable.into() });
    let origin = |flag: &str| Origin::Argument { container: "init".into(), flag: format!("--{flag}") };
    let read = flags::parse_arguments("init", dialect::flags_of(mesh), &words, &mut settings, origin);
    match read {
        Ok(()) => check_settings(mesh, &settings),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Kuma's configuration object, YAML or JSON.
pub fn kuma_config(data: &[u8]) {
    config(data, Mesh::Kuma, |value, settings| {
        kuma::config::apply(value, settings, |path| Origin::File { file: "config".into(), path: path.into() })
    });
}

/// Consul's.
pub fn consul_config(data: &[u8]) {
    config(data, Mesh::Consul, |value, settings| {
        consul::config::apply(value, settings, |path| Origin::File {
            file: "config".into(),
            path: path.into(),
        })
    });
}

fn config(
    data: &[u8],
    mesh: Mesh,
    apply: impl Fn(&Value, &mut Settings) -> Result<Vec<Lint>, InvalidOption>,
) {
    let limits = Limits { bytes: 256 * 1024, depth: 32, nodes: 32_768, repeated_nodes: 4096 };
    let mut settings = Settings::new(dialect::flags_of(mesh));
    for document in Documents::new(data, Options { limits, spans: false, strict: false }).flatten() {
        match apply(&document.value, &mut settings) {
            Ok(lints) => lints.iter().for_each(|lint| check_message(&lint.to_string())),
            Err(error) => check_message(&error.to_string()),
        }
    }
    check_settings(mesh, &settings);
}

/// Rules or an error; and `check` agrees.
fn check_settings(mesh: Mesh, settings: &Settings) {
    // Of the surroundings, Istio alone takes notice.
    let surroundings: &[Option<bool>] = if mesh == Mesh::Istio { &[None, Some(true)] } else { &[None] };
    for global_ipv6 in surroundings.iter().copied() {
        match dialect::build(mesh, settings, Surroundings { global_ipv6, ..Surroundings::default() }) {
            Ok(built) => {
                check_rules(&built.rules);
                built.lints.iter().for_each(|lint| check_message(&lint.to_string()));
                assert!(dialect::check(mesh, settings).is_ok());
            }
            Err(error) => {
                check_message(&error.to_string());
                let all = dialect::check(mesh, settings).expect_err("an error");
                assert!(all.contains(&error));
            }
        }
    }
}

fn mesh(name: &str) -> Mesh {
    let known = Mesh::ALL.into_iter().find(|mesh| mesh.name() == name);
    known.unwrap_or(Mesh::ALL[name.len() % Mesh::ALL.len()])
}

/// The option of this name; for any other text, one that depends on it.
fn known(flags: &'static [dialect::Flag], name: &str) -> &'static str {
    let sum: usize = name.bytes().map(usize::from).sum();
    flags.iter().find(|flag| flag.long == name).map_or(flags[sum % flags.len()].long, |flag| flag.long)
}

fn unescaped(text: &str) -> String {
    text.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0")
}
