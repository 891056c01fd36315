//! Reads the text that meshes print of their rules (`iptables-restore` input with `-N`, `-A` and `-I`) into
//! [`Chains`]. Text it does not know fails the test, it is never skipped.
#![allow(dead_code, unreachable_pub)]

use std::iter::Peekable;
use std::str::SplitWhitespace;

use meshward_redirect::net::{IdRange, MaskedMark, PortRange, Protocol, parse_net};
use meshward_redirect::ruleset::Side;
use meshward_redirect::{Action, CtState, Match, TableKind};

use super::oracle::{Chains, Line, Step};

type Words<'a> = Peekable<SplitWhitespace<'a>>;

/// Parses one family's rules.
pub fn parse(text: &str) -> Chains {
    let mut chains = Chains { tproxy_drops: true, ..Chains::default() };
    let mut table = None;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('*') {
            table = Some(table_kind(name.trim()));
        } else if line != "COMMIT" && !line.starts_with("-N ") && !line.starts_with(':') {
            let kind = table.expect("a table before its rules");
            add(chains.tables.entry(kind).or_default(), line);
        }
    }
    chains
}

fn table_kind(name: &str) -> TableKind {
    match name {
        "raw" => TableKind::Raw,
        "mangle" => TableKind::Mangle,
        "nat" => TableKind::Nat,
        _ => unreachable!("unknown table {name}"),
    }
}

fn chain_name(name: &str) -> String {
    match name {
        "PREROUTING" | "OUTPUT" => name.to_lowercase(),
        _ => name.to_string(),
    }
}

fn add(table: &mut std::collections::BTreeMap<String, Vec<Line>>, text: &str) {
    let mut words = text.split_whitespace().peekable();
    let command = words.next().expect("a command");
    let chain = table.entry(chain_name(words.next().expect("a chain"))).or_default();
    let at = match command {
        "-A" => chain.len(),
        "-I" => match words.peek().and_then(|word| word.parse::<usize>().ok()) {
            Some(number) => {
                words.next();
                number - 1
            }
            None => 0,
        },
        _ => unreachable!("unknown command in {text}"),
    };
    chain.insert(at, line(words, text));
}

fn line(mut words: Words<'_>, text: &str) -> Line {
    let mut matches = Vec::new();
    let mut protocol = None;
    let mut module = "";
    let mut negate = false;
    while let Some(word) = words.next() {
        let mut value = || words.next().unwrap_or_else(|| unreachable!("{word} without value in {text}"));
        let one = match word {
            "!" => {
                negate = true;
                continue;
            }
            "-m" | "--match" => {
                module = value();
                continue;
            }
            "-j" => {
                let step = step(value(), words, text);
                return Line { matches, step };
            }
            "-p" => {
                let given: Protocol = value().parse().expect("a protocol");
                protocol = Some(given);
                Match::Protocol(given)
            }
            "--dport" | "--dports" | "--destination-port" => {
                ports(protocol, Side::Destination, value(), negate)
            }
            "--sport" | "--sports" => ports(protocol, Side::Source, value(), negate),
            "-s" => Match::source(parse_net(value()).expect("a network"), negate),
            "-d" => Match::destination(parse_net(value()).expect("a network"), negate),
            "-i" => Match::InInterface(value().parse().expect("an interface")),
            "-o" => Match::OutInterface(value().parse().expect("an interface")),
            "--uid-owner" => Match::Uid { ids: ids(value()), negate },
            "--gid-owner" => Match::Gid { ids: ids(value()), negate },
            "--mark" if module == "connmark" => Match::ConnMark(mark(value())),
            "--mark" => Match::Mark { mark: mark(value()), negate },
            "--ctstate" => Match::CtState(value().split(',').map(state).collect()),
            _ => unreachable!("unknown {word} in {text}"),
        };
        matches.push(one);
        negate = false;
    }
    unreachable!("no target in {text}")
}

fn step(target: &str, mut words: Words<'_>, text: &str) -> Step {
    let mut options = std::collections::BTreeMap::new();
    while let Some(word) = words.next() {
        match word {
            "--save-mark" | "--restore-mark" => options.insert(word, ""),
            _ => options.insert(word, words.next().unwrap_or_else(|| unreachable!("{word} in {text}"))),
        };
    }
    let number = |names: &[&str]| {
        let found = names.iter().find_map(|name| options.get(name));
        found.unwrap_or_else(|| unreachable!("{names:?} in {text}")).parse::<u32>().expect("a number")
    };
    Step::Take(match target {
        "RETURN" => Action::Return,
        "ACCEPT" => Action::Accept,
        "DROP" => Action::Drop,
        "REDIRECT" => Action::Redirect(number(&["--to-ports", "--to-port"]) as u16),
        "MARK" => Action::SetMark(number(&["--set-mark"])),
        "CONNMARK" if options.contains_key("--save-mark") => Action::SaveMark,
        "CONNMARK" => Action::RestoreMark,
        "CT" => Action::CtZone(number(&["--zone"]) as u16),
        "TPROXY" => Action::Tproxy {
            port: number(&["--on-port"]) as u16,
            mark: mark(options.get("--tproxy-mark").expect("a mark")).value,
        },
        chain => return Step::Jump(chain_name(chain)),
    })
}

fn ports(protocol: Option<Protocol>, side: Side, text: &str, negate: bool) -> Match {
    let ports = text.split(',').map(|port| PortRange::parse(port, ':').expect("a port")).collect();
    Match::ports(protocol.expect("-p before ports"), side, ports, negate)
}

fn ids(text: &str) -> IdRange {
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    IdRange::new(start.parse().expect("an id"), end.parse().expect("an id")).expect("a range")
}

fn mark(text: &str) -> MaskedMark {
    let (value, mask) = text.split_once('/').unwrap_or((text, "0xffffffff"));
    let mask = u32::from_str_radix(mask.trim_start_matches("0x"), 16).expect("a mask");
    MaskedMark { value: value.parse().expect("a mark"), mask }
}

fn state(text: &str) -> CtState {
    match text {
        "INVALID" => CtState::Invalid,
        "ESTABLISHED" => CtState::Established,
        "RELATED" => CtState::Related,
        "NEW" => CtState::New,
        _ => unreachable!("unknown state {text}"),
    }
}
