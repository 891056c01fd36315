//! The programs that the meshes' own set-up runs, entered as ours is: a thread enters the namespace and starts them
//! there, which is less than `nsenter` or a container costs them.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use meshward_redirect::RuleSet;
use meshward_redirect::iptables::DIRECTORIES;
use meshward_redirect::net::Family;
use meshward_redirect::netns::NetNs;
use meshward_redirect::render;

/// What has to be installed.
pub(crate) const NEEDED: [&str; 3] = ["nft", "iptables-nft", "iptables-legacy"];

/// One program, its arguments and its input.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    program: PathBuf,
    arguments: Vec<String>,
    input: String,
}

/// Where a program is.
pub(crate) fn find(name: &str) -> Result<PathBuf> {
    let paths = DIRECTORIES.iter().map(|directory| PathBuf::from(directory).join(name));
    paths.into_iter().find(|path| path.is_file()).with_context(|| format!("{name} is not installed"))
}

impl Call {
    pub(crate) fn new(name: &str, arguments: &[&str], input: impl Into<String>) -> Result<Self> {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Ok(Self { program: find(name)?, arguments, input: input.into() })
    }

    /// A command that is ready to be started.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // Legacy programs of all namespaces wait for one lock by default; ours does not make them, so neither do we.
        command.args(&self.arguments).env_clear().env("XTABLES_LOCKFILE", "/proc/self/ns/net");
        command
    }

    fn run(&self) -> Result<()> {
        let mut command = self.command();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(self.input.as_bytes())?;
        }
        let output = child.wait_with_output()?;
        if !output.status.success() {
            bail!("{}: {}", self.program.display(), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

/// A line for each program, with its version.
pub(crate) fn versions() -> Vec<String> {
    let version = |name: &str| {
        let output = find(name).and_then(|path| Ok(Command::new(path).arg("--version").output()?));
        match output {
            Ok(output) => format!("{name}: {}", String::from_utf8_lossy(&output.stdout).trim()),
            Err(_) => format!("{name}: not installed"),
        }
    };
    NEEDED.iter().map(|name| version(name)).collect()
}

/// Runs calls one after the other in a namespace.
pub(crate) fn run(namespace: &NetNs, calls: &[Call]) -> Result<()> {
    namespace.run(|| calls.iter().try_for_each(Call::run))?
}

/// `iptables-restore` and `ip6tables-restore` of a variant with equal rules: what Istio's set-up runs.
pub(crate) fn restore_pair(rules: &RuleSet, variant: &str) -> Result<Vec<Call>> {
    [(Family::Ipv4, "iptables"), (Family::Ipv6, "ip6tables")]
        .into_iter()
        .map(|(family, stem)| {
            let text = render::iptables::render_family(rules, family);
            Call::new(&format!("{stem}-{variant}-restore"), &["--noflush", "-w"], text)
        })
        .collect()
}

/// `iptables-save` and `ip6tables-save`: the least that a look at their rules costs the peers.
pub(crate) fn save_pair() -> Result<Vec<Call>> {
    ["iptables-nft-save", "ip6tables-nft-save"].into_iter().map(|name| Call::new(name, &[], "")).collect()
}

/// `nft -f -` with our own text, without its first lines that delete an older table: in a fresh namespace there is none,
/// and a deletion costs the kernel some 10 ms.
pub(crate) fn nft(rules: &RuleSet) -> Result<Call> {
    let text = render::nft::render(rules);
    let table = text.split_inclusive('\n').skip_while(|line| !line.ends_with("{\n"));
    Call::new("nft", &["-f", "-"], table.collect::<String>())
}

/// One `iptables` for each chain and rule of IPv4: how Linkerd's proxy-init works, and Istio's once did.
pub(crate) fn single_calls(rules: &RuleSet) -> Result<Vec<Call>> {
    let text = render::iptables::render_family(rules, Family::Ipv4);
    let (mut table, mut calls) = (String::new(), Vec::new());
    for line in text.lines() {
        let words = match line.as_bytes().first() {
            Some(b'*') => {
                table = line[1..].to_string();
                continue;
            }
            Some(b':') => {
                vec!["-N".into(), line[1..].split(' ').next().unwrap_or_default().to_string()]
            }
            Some(b'-') => words(line),
            _ => continue,
        };
        let mut call = Call::new("iptables-nft", &["-w", "-t", &table], "")?;
        call.arguments.extend(words);
        calls.push(call);
    }
    Ok(calls)
}

/// The words of a line in which quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let parts = line.split('"').enumerate().flat_map(|(place, part)| {
        if place % 2 == 1 { vec![part] } else { part.split_whitespace().collect() }
    });
    parts.map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standard;

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(words(r#"-A X --comment "a b" -j Y"#), ["-A", "X", "--comment", "a b", "-j", "Y"]);
    }

    #[test]
    fn the_standard_set_is_24_calls() {
        if find("iptables-nft").is_ok() {
            assert_eq!(single_calls(&standard::rules().unwrap()).unwrap().len(), 24);
        }
    }
}
