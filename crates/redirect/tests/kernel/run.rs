//! Cases against the kernel, with each backend.

use std::collections::BTreeMap;

use meshward_netlab::{Bed, can_switch_users, skipped};
use meshward_redirect::iptables::{Iptables, Variant};
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::Lock;
use meshward_redirect::program::{Backend, Options, check, cleanup, program};
use meshward_redirect::{Action, Mesh, RuleSet};

use crate::bed::{Answer, connection, furnished, send};
use crate::case::{Case, End, Sent, cases};
use crate::evaluate::Seen;

pub(crate) fn options(backend: Backend) -> Options {
    Options { backend, lock: Lock::Off, ..Options::default() }
}

/// Why a backend cannot be tried here, if so.
fn hindrance(backend: Backend) -> Option<String> {
    if !can_switch_users() {
        return Some("packets of other users (one mapped id only)".into());
    }
    let variant = match backend {
        Backend::IptablesNft => Variant::Nft,
        Backend::IptablesLegacy => Variant::Legacy,
        _ => return None,
    };
    // In a user namespace xt_owner knows no users that are not mapped, and legacy cannot list its tables.
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if !map.split_whitespace().eq(["0", "0", "4294967295"]) {
        return Some(format!("{backend} needs root outside of user namespaces"));
    }
    let namespace = NetNs::create().ok()?;
    let found = Iptables::find(variant).and_then(|iptables| iptables.works_in(&namespace));
    found.err().map(|error| format!("{backend}: {error}"))
}

fn every_case(mesh: Mesh, backend: Backend) {
    if let Some(reason) = hindrance(backend) {
        return skipped(&format!("kernel cases of {mesh} on {backend}: {reason}"));
    }
    let mut problems = Vec::new();
    let mut packets = 0;
    for case in cases(mesh) {
        if let Some(part) = &case.refused {
            let error = case.rules_of(&case.settings).expect_err(&case.name);
            assert!(error.contains(part), "{}: {error}", case.name);
            continue;
        }
        let rules = case.rules();
        let Some(bed) = furnished(&case, &rules) else { return };
        packets += case.packets.len();
        let found = Run { case: &case, rules: &rules, bed: &bed, backend }.problems();
        problems.extend(found.into_iter().map(|problem| format!("{}\n  {problem}", case.name)));
    }
    assert!(problems.is_empty(), "{backend}: {} problems\n{}", problems.len(), problems.join("\n"));
    println!("{packets} packets as {mesh} wants them, by {backend}");
}

struct Run<'a> {
    case: &'a Case,
    rules: &'a RuleSet,
    bed: &'a Bed,
    backend: Backend,
}

impl Run<'_> {
    fn problems(&self) -> Vec<String> {
        let namespace = NetNs::open(self.bed.pod.path()).unwrap();
        let before = self.left_over();
        let programmed = match program(&namespace, self.rules, &options(self.backend)) {
            Ok(programmed) => programmed,
            Err(error) => return vec![format!("cannot be programmed: {error}")],
        };
        let mut problems = Vec::new();
        if programmed.backend != self.backend || !(programmed.changed || self.rules.tables.is_empty()) {
            problems.push(format!("was programmed as {programmed:?}"));
        }
        let answers =
            send(self.case, self.bed, |place| self.case.packets[place].expected.end == End::Nothing);
        problems.extend(self.ends(&answers));
        problems.extend(self.connections(&answers));
        problems.extend(self.logs());
        problems.extend(self.shows());
        match check(&namespace, self.rules, &options(self.backend)) {
            Ok(None) => {}
            Ok(Some(drift)) => problems.push(format!("checked, is not as it was programmed: {drift}")),
            Err(error) => problems.push(format!("cannot be checked: {error}")),
        }
        drop(programmed);
        if let Err(error) = cleanup(&namespace, None, &options(self.backend)) {
            problems.push(format!("cannot be removed: {error}"));
        }
        let after = self.left_over();
        if before != after {
            problems.push(format!("removal leaves\n{after}\nwhere there was\n{before}"));
        }
        problems
    }

    fn ends(&self, answers: &[Answer]) -> Vec<String> {
        let packets = self.case.packets.iter().zip(answers);
        packets
            .filter_map(|(sent, answer)| match &answer.end {
                Ok(end) if *end == sent.expected.end => None,
                Ok(end) => Some(format!("{}\n    reached {end}", sent.text)),
                Err(strange) => Some(format!("{}\n    reached {strange}", sent.text)),
            })
            .collect()
    }

    fn connections(&self, answers: &[Answer]) -> Vec<String> {
        let told = |sent: &&Sent| sent.expected.zone.is_some() || sent.expected.connmark.is_some();
        if !self.case.packets.iter().any(|sent| told(&sent)) {
            return Vec::new();
        }
        let Some(connections) = self.bed.connections().unwrap() else {
            skipped("conntrack zones and marks (the kernel does not list connections)");
            return Vec::new();
        };
        let packets = self.case.packets.iter().zip(answers).filter(|(sent, _)| told(sent));
        packets
            .filter_map(|(sent, answer)| {
                // Of a family without rules nothing is tracked, which is as good as zone and mark 0.
                let found = connection(&connections, sent, answer);
                let (zone, mark) = found.map_or((0, 0), |found| (found.zone, found.mark));
                let zone = sent.expected.zone.is_none_or(|expected| expected == zone);
                let mark = sent.expected.connmark.is_none_or(|expected| expected == mark);
                (!zone || !mark).then(|| format!("{}\n    is connection {found:?}", sent.text))
            })
            .collect()
    }

    /// The counters of log rules against the lines that the evaluator expects. A line itself cannot be seen: the
    /// kernel log belongs to the machine.
    fn logs(&self) -> Vec<String> {
        let log_rules = self.rules.rules().filter(|(.., rule)| matches!(rule.action, Action::Log { .. }));
        let mut expected: BTreeMap<String, usize> =
            log_rules.map(|(.., rule)| (rule.name.to_string(), 0)).collect();
        if expected.is_empty() {
            return Vec::new();
        }
        for Seen { logs, .. } in self.case.seen(self.rules) {
            for prefix in logs {
                let mut rules = self.rules.rules().map(|(.., rule)| rule);
                let by = rules.find(|rule| match &rule.action {
                    Action::Log { prefix: own, .. } => **own == prefix,
                    _ => false,
                });
                *expected.entry(by.unwrap().name.to_string()).or_default() += 1;
            }
        }
        let found = self.counted(expected.keys());
        (found != expected)
            .then(|| format!("log rules fit {found:?} packets, not {expected:?}"))
            .into_iter()
            .collect()
    }

    fn counted<'n>(&self, names: impl Iterator<Item = &'n String>) -> BTreeMap<String, usize> {
        let listing = self.listing(true);
        let count = |line: &str| match self.backend {
            Backend::Nft => {
                let after = line.split("counter packets ").nth(1).unwrap_or_default();
                after.split(' ').next().and_then(|n| n.parse::<usize>().ok())
            }
            _ => line.strip_prefix('[').and_then(|rest| rest.split(':').next()).and_then(|n| n.parse().ok()),
        };
        names
            .map(|name| {
                let lines = listing.lines().filter(|line| line.contains(&format!("{name}\"")));
                (name.clone(), lines.filter_map(count).sum())
            })
            .collect()
    }

    fn listing(&self, counters: bool) -> String {
        let pod = &self.bed.pod;
        let run = |program: &str, arguments: &[&str]| pod.command(program, arguments, "").unwrap();
        let arguments: &[&str] = if counters { &["-c"] } else { &[] };
        let both = |variant: &str| {
            run(&format!("iptables-{variant}-save"), arguments)
                + &run(&format!("ip6tables-{variant}-save"), arguments)
        };
        match self.backend {
            Backend::IptablesNft => both("nft"),
            Backend::IptablesLegacy => both("legacy"),
            _ => run("nft", &["list", "table", "inet", &self.rules.mesh.table_name()]),
        }
    }

    fn shows(&self) -> Vec<String> {
        let shows = &self.case.shows;
        let wanted = if self.backend == Backend::Nft { &shows.nft } else { &shows.iptables };
        let mut problems = Vec::new();
        if let Some(text) = wanted {
            let listing = self.listing(false);
            if !listing.contains(text.as_str()) {
                problems.push(format!("{text:?} is not in\n{listing}"));
            }
        }
        if let Some(text) = &shows.routing {
            let listing = self.ip("-4", &["rule"]);
            if !listing.contains(text.as_str()) {
                problems.push(format!("{text:?} is not in\n{listing}"));
            }
        }
        problems
    }

    fn ip(&self, family: &str, arguments: &[&str]) -> String {
        self.bed.pod.command("ip", &[&[family], arguments].concat(), "").unwrap()
    }

    /// Everything that programming could have left behind.
    fn left_over(&self) -> String {
        let run = |program: &str, arguments: &[&str]| self.bed.pod.command(program, arguments, "").unwrap();
        let mut text = match self.backend {
            Backend::Nft => run("nft", &["-s", "list", "ruleset"]),
            _ => self.listing(false),
        };
        if self.backend != Backend::Nft {
            // The tables themselves, and in nf_tables the built-in chains, come with the first look at them.
            let rules = text.lines().filter(|line| line.starts_with("-A") || line.contains("MESHWARD"));
            text = rules.map(|line| format!("{line}\n")).collect();
        }
        if self.rules.routing.is_some() {
            for family in ["-4", "-6"] {
                text += &self.ip(family, &["rule"]);
                text += &self.ip(family, &["route", "show", "table", "all", "type", "local", "default"]);
            }
        }
        if !self.rules.loopback_addresses.is_empty() {
            text += &self.ip("-6", &["addr", "show", "dev", "lo"]);
        }
        text
    }
}

macro_rules! on_each_backend {
    ($($mesh:ident: $kind:ident),*) => {$(
        mod $mesh {
            use super::*;

            #[test]
            fn on_nft() {
                every_case(Mesh::$kind, Backend::Nft);
            }

            #[test]
            fn on_iptables_nft() {
                every_case(Mesh::$kind, Backend::IptablesNft);
            }

            #[test]
            fn on_iptables_legacy() {
                every_case(Mesh::$kind, Backend::IptablesLegacy);
            }
        }
    )*};
}

on_each_backend!(istio: Istio, linkerd: Linkerd, kuma: Kuma, consul: Consul);
