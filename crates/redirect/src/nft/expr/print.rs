//! Expressions for people: close to nft's own language, made for rules we did not write and so cannot render from
//! their source. Nothing reads it back.

use std::fmt::{self, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{CompareOp, CtKey, Expr, MetaKey, PayloadBase, Register, SetRef, Value, Verdict};
use crate::nft::lower::Set;
use crate::nft::uapi::family;

/// A rule's expressions with the sets they look into.
#[derive(Debug, Clone, Copy)]
pub struct Printed<'a> {
    exprs: &'a [Expr<'a>],
    sets: &'a [Set],
}

impl<'a> Printed<'a> {
    pub(crate) fn new(exprs: &'a [Expr<'a>], sets: &'a [Set]) -> Self {
        Self { exprs, sets }
    }
}

/// How a register's bytes read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Format {
    #[default]
    Bytes,
    HostNumber,
    NetworkNumber,
    Mark,
    Text,
    Protocol,
    Family,
    Ipv4,
    Ipv6,
    CtState,
}

/// What is known of a register.
#[derive(Debug, Clone, Default)]
struct Loaded {
    what: String,
    format: Format,
    mask: Option<Value>,
    constant: Option<Value>,
}

/// What is known so far.
#[derive(Debug, Default)]
struct State {
    registers: [Loaded; 5],
    protocol: Option<&'static str>,
}

impl fmt::Display for Printed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut state = State::default();
        let mut first = true;
        for expr in self.exprs {
            let word = state.word(expr, self.sets);
            if !word.is_empty() {
                f.write_str(if first { "" } else { " " })?;
                f.write_str(&word)?;
                first = false;
            }
        }
        Ok(())
    }
}

impl State {
    fn at(&self, register: Register) -> &Loaded {
        &self.registers[(register.0 as usize).min(4)]
    }

    fn set(&mut self, register: Register, loaded: Loaded) -> String {
        self.registers[(register.0 as usize).min(4)] = loaded;
        String::new()
    }

    /// The words an expression adds to the rule; loads add none, they are told where they are used.
    fn word(&mut self, expr: &Expr<'_>, sets: &[Set]) -> String {
        match expr {
            Expr::MetaLoad { key, to } => self.set(*to, meta(*key)),
            Expr::CtLoad { key, to } => self.set(*to, ct(*key)),
            Expr::Payload { base, offset, length, to } => {
                let loaded = payload(*base, *offset, *length, self.protocol);
                self.set(*to, loaded)
            }
            Expr::Immediate { to, value } => {
                self.set(*to, Loaded { constant: Some(*value), ..Loaded::default() })
            }
            Expr::Bitwise { from, to, mask, .. } => {
                let loaded = Loaded { mask: Some(*mask), ..self.at(*from).clone() };
                self.set(*to, loaded)
            }
            Expr::ByteOrder { from, to, .. } => {
                let loaded = Loaded { format: Format::NetworkNumber, ..self.at(*from).clone() };
                self.set(*to, loaded)
            }
            Expr::Compare { from, op, value } => self.compare(*from, *op, value),
            Expr::Range { from, op, low, high } => {
                let Loaded { what, format, .. } = self.at(*from);
                let not = if *op == CompareOp::EQ { "" } else { "!= " };
                format!("{what} {not}{}-{}", show(*format, low), show(*format, high))
            }
            Expr::Lookup { from, set, invert } => {
                let Loaded { what, format, .. } = self.at(*from);
                format!("{what} {}{}", if *invert { "!= " } else { "" }, set_text(set, sets, *format))
            }
            _ => self.action(expr),
        }
    }

    fn compare(&mut self, from: Register, op: CompareOp, value: &Value) -> String {
        let Loaded { what, format, mask, .. } = self.at(from).clone();
        if format == Format::Protocol && op == CompareOp::EQ {
            self.protocol = match value.as_bytes() {
                [6] => Some("tcp"),
                [17] => Some("udp"),
                _ => None,
            };
        }
        let sign = match op {
            CompareOp::EQ => "",
            CompareOp::NEQ => "!= ",
            CompareOp::LTE => "<= ",
            CompareOp::GTE => ">= ",
            CompareOp(2) => "< ",
            CompareOp(_) => "> ",
        };
        match (format, mask) {
            (Format::CtState, Some(mask)) if op == CompareOp::NEQ && *value == Value::zero(4) => {
                format!("{what} {}", show(Format::CtState, &mask))
            }
            (Format::Ipv4 | Format::Ipv6, Some(mask)) => {
                format!("{what} {sign}{}/{}", show(format, value), leading_ones(&mask))
            }
            (_, Some(mask)) => {
                let sign = if sign.is_empty() { "== " } else { sign };
                format!("{what} & {} {sign}{}", show(format, &mask), show(format, value))
            }
            (_, None) => format!("{what} {sign}{}", show(format, value)),
        }
    }

    fn action(&self, expr: &Expr<'_>) -> String {
        match expr {
            Expr::MetaSet { key, from } => {
                let target = meta(*key);
                format!("{} set {}", target.what, self.source(*from, target.format))
            }
            Expr::CtSet { key, from } => {
                let target = ct(*key);
                format!("{} set {}", target.what, self.source(*from, target.format))
            }
            Expr::Verdict(verdict) => match verdict {
                Verdict::Drop => "drop".into(),
                Verdict::Accept => "accept".into(),
                Verdict::Return => "return".into(),
                Verdict::Jump(chain) => format!("jump {chain}"),
                Verdict::Goto(chain) => format!("goto {chain}"),
                Verdict::Other(code) => format!("verdict {code}"),
            },
            Expr::Counter => "counter".into(),
            Expr::Redirect { port: None } => "redirect".into(),
            Expr::Redirect { port: Some(port) } => {
                format!("redirect to :{}", self.source(*port, Format::NetworkNumber))
            }
            Expr::Dnat { family, address, port } => self.dnat(*family, *address, *port),
            Expr::Tproxy { family, port } => {
                let family = match *family {
                    family::IPV4 => " ip",
                    family::IPV6 => " ip6",
                    _ => "",
                };
                format!("tproxy{family} to :{}", self.source(*port, Format::NetworkNumber))
            }
            Expr::Log { prefix, level } => format!("log prefix {prefix:?} level {level}"),
            Expr::Other { name, data } => format!("[{} of {} bytes]", plain(name), data.len()),
            _ => String::new(),
        }
    }

    fn dnat(&self, family: u8, address: Option<Register>, port: Option<Register>) -> String {
        let (word, format) = match family {
            family::IPV6 => ("ip6", Format::Ipv6),
            _ => ("ip", Format::Ipv4),
        };
        let mut text = format!("dnat {word} to");
        if let Some(address) = address {
            let address = self.source(address, format);
            let bracket = format == Format::Ipv6 && port.is_some();
            let _ = if bracket { write!(text, " [{address}]") } else { write!(text, " {address}") };
        }
        if let Some(port) = port {
            let _ = write!(text, ":{}", self.source(port, Format::NetworkNumber));
        }
        text
    }

    fn source(&self, register: Register, format: Format) -> String {
        let loaded = self.at(register);
        loaded.constant.map_or_else(|| loaded.what.clone(), |value| show(format, &value))
    }
}

fn meta(key: MetaKey) -> Loaded {
    let (what, format) = match key {
        MetaKey::MARK => ("meta mark", Format::Mark),
        MetaKey::IIFNAME => ("iifname", Format::Text),
        MetaKey::OIFNAME => ("oifname", Format::Text),
        MetaKey::SKUID => ("meta skuid", Format::HostNumber),
        MetaKey::SKGID => ("meta skgid", Format::HostNumber),
        MetaKey::NFPROTO => ("meta nfproto", Format::Family),
        MetaKey::L4PROTO => ("meta l4proto", Format::Protocol),
        MetaKey(other) => return Loaded { what: format!("meta key {other}"), ..Loaded::default() },
    };
    Loaded { what: what.into(), format, ..Loaded::default() }
}

fn ct(key: CtKey) -> Loaded {
    let (what, format) = match key {
        CtKey::STATE => ("ct state", Format::CtState),
        CtKey::MARK => ("ct mark", Format::Mark),
        CtKey::ZONE => ("ct zone", Format::HostNumber),
        CtKey(other) => return Loaded { what: format!("ct key {other}"), ..Loaded::default() },
    };
    Loaded { what: what.into(), format, ..Loaded::default() }
}

fn payload(base: PayloadBase, offset: u32, length: u32, protocol: Option<&str>) -> Loaded {
    let l4 = protocol.unwrap_or("th");
    let (what, format) = match (base, offset, length) {
        (PayloadBase::NETWORK, 12, 1..=4) => ("ip saddr".to_string(), Format::Ipv4),
        (PayloadBase::NETWORK, 16, 1..=4) => ("ip daddr".to_string(), Format::Ipv4),
        (PayloadBase::NETWORK, 8, 1..=16) => ("ip6 saddr".to_string(), Format::Ipv6),
        (PayloadBase::NETWORK, 24, 1..=16) => ("ip6 daddr".to_string(), Format::Ipv6),
        (PayloadBase::TRANSPORT, 0, 2) => (format!("{l4} sport"), Format::NetworkNumber),
        (PayloadBase::TRANSPORT, 2, 2) => (format!("{l4} dport"), Format::NetworkNumber),
        _ => (format!("payload base {} bytes {offset}+{length}", base.0), Format::Bytes),
    };
    Loaded { what, format, ..Loaded::default() }
}

fn show(format: Format, value: &Value) -> String {
    let bytes = value.as_bytes();
    match (format, bytes) {
        (Format::Family, [family::IPV4]) => "ipv4".into(),
        (Format::Family, [family::IPV6]) => "ipv6".into(),
        (Format::Protocol, [6]) => "tcp".into(),
        (Format::Protocol, [17]) => "udp".into(),
        (Format::HostNumber, _) if bytes.len() <= 4 => host_number(bytes).to_string(),
        (Format::Mark, _) if bytes.len() == 4 => format!("0x{:x}", host_number(bytes)),
        (Format::CtState, _) if bytes.len() == 4 => ct_states(host_number(bytes)),
        (Format::NetworkNumber, _) if bytes.len() <= 4 => {
            bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)).to_string()
        }
        (Format::Text, _) => {
            // A name shorter than the register stands for every name that starts so.
            let text: Vec<u8> = bytes.iter().copied().take_while(|byte| *byte != 0).collect();
            let star = if bytes.len() < 16 { "*" } else { "" };
            format!("\"{}{star}\"", plain(&String::from_utf8_lossy(&text)))
        }
        (Format::Ipv4, _) if bytes.len() <= 4 => {
            let mut address = [0; 4];
            address[..bytes.len()].copy_from_slice(bytes);
            format!("{}{}", Ipv4Addr::from(address), prefix(bytes.len(), 4))
        }
        (Format::Ipv6, _) => {
            let mut address = [0; 16];
            address[..bytes.len()].copy_from_slice(bytes);
            format!("{}{}", Ipv6Addr::from(address), prefix(bytes.len(), 16))
        }
        _ => bytes.iter().fold("0x".to_string(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        }),
    }
}

fn prefix(loaded: usize, whole: usize) -> String {
    if loaded < whole { format!("/{}", loaded * 8) } else { String::new() }
}

fn host_number(bytes: &[u8]) -> u32 {
    match *bytes {
        [a] => u32::from(a),
        [a, b] => u32::from(u16::from_ne_bytes([a, b])),
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]),
        _ => 0,
    }
}

fn leading_ones(mask: &Value) -> u32 {
    mask.as_bytes().iter().map(|byte| byte.leading_ones()).sum()
}

fn ct_states(bits: u32) -> String {
    let names = [(1, "invalid"), (2, "established"), (4, "related"), (8, "new"), (64, "untracked")];
    let known: Vec<&str> = names.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect();
    if known.is_empty() { format!("0x{bits:x}") } else { known.join(",") }
}

fn set_text(set: &SetRef<'_>, sets: &[Set], format: Format) -> String {
    match set {
        SetRef::Named(name) => format!("@{}", plain(name)),
        SetRef::Own(place) => sets.get(*place).map_or("{ }".into(), |set| {
            let elements: Vec<String> = if set.is_interval() && format == Format::NetworkNumber {
                intervals(set)
            } else {
                set.elements.iter().map(|element| show(format, &element.key)).collect()
            };
            format!("{{ {} }}", elements.join(", "))
        }),
    }
}

/// Intervals of numbers: each goes from its start to just before the next boundary, the last one to the highest.
fn intervals(set: &Set) -> Vec<String> {
    let number = |value: &Value| value.as_bytes().iter().fold(0u128, |n, byte| n << 8 | u128::from(*byte));
    let starts = set.elements.iter().enumerate().filter(|(_, element)| !element.end);
    starts
        .map(|(place, element)| {
            let start = number(&element.key);
            let end = match set.elements.get(place + 1) {
                Some(next) => number(&next.key).saturating_sub(1),
                None => {
                    number(&Value::of([0xff; 16])) >> (128 - 8 * element.key.as_bytes().len().clamp(1, 16))
                }
            };
            if start == end { start.to_string() } else { format!("{start}-{end}") }
        })
        .collect()
}

/// Text of somebody else, safe to print.
fn plain(text: &str) -> String {
    text.chars().take(64).map(|c| if c.is_control() { '?' } else { c }).collect()
}
