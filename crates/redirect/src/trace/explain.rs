//! A trace as text for the person who is awake at three: first what happens and which rule decides, then the way.

use std::fmt::Write as _;

use super::packet::Direction;
use super::{Ending, RuleStep, Step, Trace, Verdict};
use crate::builder::IPV6_GUARD;

impl Trace {
    /// The trace in words, about ten lines. With `verbose`, also every rule the packet met in vain, with the first
    /// match that failed and why.
    pub fn explain(&self, verbose: bool) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        let _ = self.write(&mut text, verbose);
        text
    }

    fn write(&self, out: &mut String, verbose: bool) -> std::fmt::Result {
        writeln!(out, "packet   {}", self.subject())?;
        if !self.assumed.is_empty() {
            writeln!(out, "assumed  {}", self.assumed.join("; "))?;
        }
        writeln!(out, "verdict  {}", self.outcome())?;
        writeln!(out, "because  {}", self.because())?;
        if let Some(effects) = self.left_behind() {
            writeln!(out, "carries  {effects}")?;
        }
        let steps: Vec<&Step> = self
            .steps
            .iter()
            .filter(|step| verbose || !matches!(step, Step::Rule(r) if !r.matched))
            .collect();
        if !steps.is_empty() {
            writeln!(out, "way")?;
        }
        let wide = |of: fn(&RuleStep) -> usize| {
            steps
                .iter()
                .filter_map(|s| if let Step::Rule(r) = s { Some(of(r)) } else { None })
                .max()
                .unwrap_or(0)
        };
        let (place_width, name_width) = (wide(|r| place(r).len()), wide(|r| r.rule.len()));
        for step in steps {
            match step {
                Step::Way { text } => writeln!(out, "  · {text}")?,
                Step::Rule(rule) => {
                    let sign = if rule.matched { '✓' } else { '-' };
                    let (place, name, text) = (place(rule), &rule.rule, &rule.text);
                    write!(out, "  {sign} {place:place_width$}  {name:name_width$}  {text}")?;
                    let aside = rule.failed.as_deref().or(rule.passed_by.as_deref());
                    writeln!(out, "{}", aside.map(|why| format!("  ({why})")).unwrap_or_default())?;
                }
            }
        }
        if !verbose {
            let passed = self.rules().filter(|rule| !rule.matched).count();
            if passed > 0 {
                writeln!(out, "  {passed} other rules did not match (listed with --verbose)")?;
            }
        }
        Ok(())
    }

    fn subject(&self) -> String {
        let packet = &self.packet;
        let way = if packet.direction == Direction::Out { "out" } else { "in" };
        let mut text = format!("{way} {} {} → {}", packet.protocol, packet.source, packet.destination);
        match packet.owner {
            Some(owner) => text.push_str(&format!(", uid {}, gid {}", owner.uid, owner.gid)),
            None if packet.direction == Direction::Out => text.push_str(", no sending process"),
            None => {}
        }
        if let Some(interface) = &packet.interface {
            text.push_str(&format!(", by {interface}"));
        }
        if packet.mark != 0 {
            text.push_str(&format!(", mark {:#x}", packet.mark));
        }
        if packet.connection_mark != 0 {
            text.push_str(&format!(", connection mark {:#x}", packet.connection_mark));
        }
        format!("{text}, {}", super::text::state(packet.state))
    }

    fn outcome(&self) -> String {
        let verdict = match self.verdict {
            Verdict::Untouched => "not captured".to_string(),
            Verdict::Redirected { port, original } => {
                format!(
                    "captured: redirected to port {port} of the pod; the proxy sees it was meant for {original}"
                )
            }
            Verdict::Dnat { to, original } => format!("sent to {to} instead of {original}"),
            Verdict::Tproxied { port } => {
                format!("captured: handed unchanged to the transparent socket on port {port}")
            }
            Verdict::Dropped => return "dropped".into(),
        };
        let ending = match (&self.ending, self.verdict) {
            (Ending::Local { to, .. }, Verdict::Untouched) => format!("; goes to {to} in the pod itself"),
            (Ending::Local { .. } | Ending::Dropped, _) => String::new(),
            (Ending::Leaves { interface, to }, _) => format!("; leaves by {interface} to {to}"),
            (Ending::Forwarded { to }, _) => format!("; is for {to}, not for this pod"),
            (Ending::Discarded { reason }, _) => format!("; then lost: {reason}"),
        };
        verdict + &ending
    }

    fn because(&self) -> String {
        match self.decided_by() {
            Some(rule) if rule.rule == IPV6_GUARD => {
                "IPv6 is not captured by these rules, so IPv6 packets pass as if there were none".into()
            }
            Some(rule) => format!("{}: {}{}", rule.rule, rule.text, origin(rule)),
            None if self.rules().next().is_none() => "no rule looks at such packets".into(),
            None => "no rule captures or excludes it".into(),
        }
    }

    fn left_behind(&self) -> Option<String> {
        let (effects, packet) = (&self.effects, &self.packet);
        let mut parts = Vec::new();
        if effects.mark != packet.mark {
            parts.push(format!("mark {:#x}", effects.mark));
        }
        if effects.connection_mark != packet.connection_mark {
            parts.push(format!("connection mark {:#x}", effects.connection_mark));
        }
        if let Some(zone) = effects.zone {
            parts.push(format!("connection tracked in zone {zone}"));
        }
        parts.extend(effects.logged.iter().map(|prefix| format!("log line {prefix:?}")));
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

fn place(rule: &RuleStep) -> String {
    format!("{} {} {}", rule.hook.name(), rule.table.name(), rule.chain)
}

fn origin(rule: &RuleStep) -> String {
    match &rule.option {
        Some(option) => format!(" (from --{option})"),
        None => String::new(),
    }
}
