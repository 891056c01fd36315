//! Jumps: where they lead, that they end, and what a packet can meet on its way. A chain is looked at once however often
//! it is jumped to; walking every way would take time that doubles with each level.

use super::{InvalidRuleSet, Wrong, rule_place};
use crate::ruleset::{Action, Chain, Hook, Match, Table};

/// How deep chains may call each other (`NFT_JUMP_STACK_SIZE`, include/net/netfilter/nf_tables.h), the base chain
/// counted.
const DEEPEST: usize = 16;
/// The most rules that one packet can pass in one table: chains that jump to each other several times would otherwise
/// make the kernel, which checks every way, and whoever follows a packet, work without end.
const MOST_STEPS: u64 = 1 << 16;

/// Checks the jumps of a table and what stands in the chains they lead to.
pub(super) fn check(table: &Table) -> Result<(), InvalidRuleSet> {
    let mut walk = Walk { table, depth: vec![None; table.chains.len()], open: Vec::new() };
    for (index, chain) in table.chains.iter().enumerate() {
        let depth = walk.visit(index)?;
        let place = format!("table {}, chain {}", table.kind.name(), chain.name);
        if depth.levels > DEEPEST {
            let accepted = "chains that jump to each other over at most 16 levels";
            return Err(Wrong::new(format!("{} levels of jumps", depth.levels), accepted).at(place));
        }
        if depth.steps > MOST_STEPS {
            let accepted = "at most 65536 rules on a packet's way through a table";
            return Err(Wrong::new(format!("{} rules on a packet's way", depth.steps), accepted).at(place));
        }
    }
    for hook in [Hook::Prerouting, Hook::Output] {
        check_hook(table, hook)?;
    }
    Ok(())
}

/// What lies below a chain.
#[derive(Clone, Copy)]
struct Below {
    /// Chains on top of each other, this one counted.
    levels: usize,
    /// Rules that a packet passes at most.
    steps: u64,
}

struct Walk<'a> {
    table: &'a Table,
    /// What is known of each chain.
    depth: Vec<Option<Below>>,
    /// Chains on the way to the one that is looked at. No longer than there are chains, so the recursion is bounded.
    open: Vec<usize>,
}

impl Walk<'_> {
    fn visit(&mut self, index: usize) -> Result<Below, InvalidRuleSet> {
        if let Some(known) = self.depth[index] {
            return Ok(known);
        }
        let table = self.table;
        let chain = &table.chains[index];
        self.open.push(index);
        let mut below = Below { levels: 1, steps: 0 };
        for (place, rule) in chain.rules.iter().enumerate() {
            below.steps = below.steps.saturating_add(1);
            if let Action::Jump(to) = &rule.action {
                let wrong =
                    |found: String, accepted| Wrong::new(found, accepted).at(rule_place(table, chain, place));
                let Some(target) = table.chains.iter().position(|one| one.name == *to) else {
                    let accepted = "the name of a chain of the same table";
                    return Err(wrong(format!("a jump to {to}, which is not there"), accepted));
                };
                if table.chains[target].hook.is_some() {
                    return Err(wrong(format!("a jump to base chain {to}"), "chains without a hook"));
                }
                if self.open.contains(&target) {
                    return Err(wrong(format!("a jump back to {to}"), "jumps that do not go round"));
                }
                let inner = self.visit(target)?;
                below.levels = below.levels.max(inner.levels + 1);
                below.steps = below.steps.saturating_add(inner.steps);
            }
        }
        self.open.pop();
        self.depth[index] = Some(below);
        Ok(below)
    }
}

/// Matches and actions that do not exist on one of the two hooks: iptables refuses them there, nf_tables only partly.
fn check_hook(table: &Table, hook: Hook) -> Result<(), InvalidRuleSet> {
    for chain in reached(table, hook) {
        for (index, rule) in chain.rules.iter().enumerate() {
            let unknown = rule.matches.iter().find_map(|one| unknown_on(hook, one));
            let action = match (hook, &rule.action) {
                (Hook::Output, Action::Tproxy { .. }) => Some(("tproxy", "tproxy in prerouting only")),
                _ => None,
            };
            if let Some((found, accepted)) = unknown.or(action) {
                let found = format!("{found} in {}", hook.name());
                return Err(Wrong::new(found, accepted).at(rule_place(table, chain, index)));
            }
        }
    }
    Ok(())
}

fn unknown_on(hook: Hook, one: &Match) -> Option<(&'static str, &'static str)> {
    match (hook, one) {
        (Hook::Output, Match::InInterface(_)) => {
            Some(("an incoming interface", "it in prerouting only, where packets arrive"))
        }
        (Hook::Prerouting, Match::OutInterface(_)) => {
            Some(("an outgoing interface", "it in output only, where packets are sent"))
        }
        (Hook::Prerouting, Match::Uid { .. } | Match::Gid { .. }) => {
            Some(("the owner of a socket", "it in output only, where packets have one"))
        }
        _ => None,
    }
}

/// The chains that packets of a hook can get to. Their jumps are known to lead somewhere and to end.
fn reached(table: &Table, hook: Hook) -> Vec<&Chain> {
    let mut reached: Vec<&Chain> = table.base_chain(hook).into_iter().collect();
    let mut next = 0;
    while let Some(chain) = reached.get(next).copied() {
        next += 1;
        for rule in &chain.rules {
            if let Action::Jump(to) = &rule.action
                && !reached.iter().any(|known| known.name == *to)
            {
                reached.extend(table.chain(to));
            }
        }
    }
    reached
}
