//! One base chain and the chains it jumps to. The chains are walked with a stack of our own, as deep as the kernel's.

use std::net::SocketAddr;

use super::matching::mismatch;
use super::walk::{Passage, redirect_address};
use super::{Error, RuleStep, Step, Terminal, Verdict, text};
use crate::net::Family;
use crate::ruleset::{Action, Chain, Hook, Rule, Table};

/// `NFT_JUMP_STACK_SIZE`, include/net/netfilter/nf_tables.h.
const DEEPEST: usize = 16;

/// More rules than any real packet passes; a bound for rule sets made by hand.
const MOST_STEPS: usize = 1 << 16;

/// What a hook makes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// To the next hook.
    On,
    /// Gone.
    Dropped,
}

/// What a rule that fits makes of its chain.
enum Next<'a> {
    Rule,
    Chain(&'a Chain),
    Back,
    End(Fate),
}

pub(super) fn run(passage: &mut Passage<'_>, hook: Hook, table: &Table, base: &Chain) -> Result<Fate, Error> {
    let mut stack: Vec<(&Chain, usize)> = vec![(base, 0)];
    while let Some((chain, position)) = stack.pop() {
        let Some(rule) = chain.rules.get(position) else { continue };
        if passage.steps.len() >= MOST_STEPS {
            return Err(Error::TooLong);
        }
        let failed = rule.matches.iter().find_map(|one| mismatch(one, passage, hook));
        let matched = failed.is_none();
        passage.steps.push(Step::Rule(RuleStep {
            hook,
            table: table.kind,
            chain: chain.name.clone(),
            position: position + 1,
            rule: rule.name.clone(),
            option: rule.option.clone(),
            text: text::rule(rule),
            matched,
            passed_by: None,
            failed,
            terminal: terminal(&rule.action),
        }));
        stack.push((chain, position + 1));
        if !matched {
            continue;
        }
        match act(passage, hook, table, rule)? {
            Next::Rule => {}
            Next::Back => _ = stack.pop(),
            Next::End(fate) => return Ok(fate),
            Next::Chain(_) if stack.len() >= DEEPEST => {
                return Err(Error::TooDeep { chain: chain.name.clone(), rule: rule.name.clone() });
            }
            Next::Chain(to) => stack.push((to, 0)),
        }
    }
    Ok(Fate::On)
}

fn act<'a>(passage: &mut Passage<'_>, hook: Hook, table: &'a Table, rule: &Rule) -> Result<Next<'a>, Error> {
    Ok(match &rule.action {
        Action::Return => Next::Back,
        Action::Accept => Next::End(Fate::On),
        Action::Drop => Next::End(Fate::Dropped),
        Action::Jump(to) => Next::Chain(table.chain(to).ok_or_else(|| Error::NoChain {
            chain: to.clone(),
            table: table.kind,
            rule: rule.name.clone(),
        })?),
        Action::Redirect(port) => {
            let original = passage.destination;
            passage.destination = SocketAddr::new(redirect_address(passage, hook), *port);
            passage.rewritten = Some(Verdict::Redirected { port: *port, original });
            Next::End(Fate::On)
        }
        Action::Dnat { address, port } => {
            if Family::of(*address) != passage.packet.family() {
                return Ok(passed_by(passage, "the new address is of the other family"));
            }
            let original = passage.destination;
            let to = SocketAddr::new(*address, port.unwrap_or(original.port()));
            passage.destination = to;
            passage.rewritten = Some(Verdict::Dnat { to, original });
            Next::End(Fate::On)
        }
        Action::Tproxy { port, mark } => {
            if !passage.environment.transparent_listener {
                return Ok(passed_by(passage, "no transparent socket listens there"));
            }
            passage.tproxy = Some(*port);
            passage.effects.mark = *mark;
            Next::End(Fate::On)
        }
        other => {
            effect(passage, other);
            Next::Rule
        }
    })
}

fn effect(passage: &mut Passage<'_>, action: &Action) {
    let connection_mark = passage.connection_mark();
    let tracked = passage.tracked;
    let effects = &mut passage.effects;
    match action {
        Action::SetMark(mark) => effects.mark = *mark,
        Action::SaveMark if connection_mark.is_some() => effects.connection_mark = effects.mark,
        Action::RestoreMark => effects.mark = connection_mark.unwrap_or(effects.mark),
        // The first zone stays, and a connection that is there keeps its own (`nft_ct_set_zone_eval`).
        Action::CtZone(zone) if !tracked => _ = effects.zone.get_or_insert(*zone),
        Action::Log { prefix, .. } => effects.logged.push(prefix.to_string()),
        _ => {}
    }
}

fn terminal(action: &Action) -> Terminal {
    match action {
        Action::Return | Action::Accept => Terminal::Pass,
        action if action.is_terminal() => Terminal::Take,
        _ => Terminal::No,
    }
}

/// The rule fits, but its action does not come about.
fn passed_by<'a>(passage: &mut Passage<'_>, why: &'static str) -> Next<'a> {
    if let Some(Step::Rule(step)) = passage.steps.last_mut() {
        step.passed_by = Some(why.into());
    }
    Next::Rule
}
