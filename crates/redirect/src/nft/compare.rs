//! What was meant against what is there.

use super::drift::{Difference, Drift};
use super::error::NftError;
use super::expr::Printed;
use super::found::{Found, FoundChain, FoundRule};
use super::lower::{Base, Program, ProgramChain, ProgramRule};
use super::read;
use super::socket::NfSocket;
use super::uapi::{hook, table_flag};
use crate::render::nft as text;

/// The longest chains whose rules are aligned as well as can be; beyond, only equal beginnings and ends are.
const MOST_CELLS: usize = 4 << 20;

/// More rules that were not meant than this are counted, not told.
const MOST_UNEXPECTED: usize = 100;

/// See [`super::compare`].
pub(super) fn compare(socket: &NfSocket, program: &Program<'_>) -> Result<Option<Drift>, NftError> {
    let differences = read::look(socket, &program.table, |found, dropped| {
        let mut differences = differences(program, found);
        let beyond = dropped + shorten(&mut differences);
        if beyond > 0 {
            differences.push(Difference::TooManyRules { beyond });
        }
        differences
    })?;
    Ok((!differences.is_empty()).then(|| Drift { table: program.table.clone(), differences }))
}

/// Leaves out unexpected rules beyond a readable number and returns how many those were.
fn shorten(differences: &mut Vec<Difference>) -> usize {
    let (mut unexpected, before) = (0, differences.len());
    differences.retain(|difference| {
        unexpected += usize::from(matches!(difference, Difference::RuleUnexpected { .. }));
        unexpected <= MOST_UNEXPECTED || !matches!(difference, Difference::RuleUnexpected { .. })
    });
    before - differences.len()
}

/// Everything that differs.
pub(super) fn differences(program: &Program<'_>, found: &Found<'_>) -> Vec<Difference> {
    let Some(state) = &found.state else { return vec![Difference::TableMissing] };
    let mut out = Vec::new();
    if state.flags & table_flag::DORMANT != 0 {
        out.push(Difference::TableDormant);
    }
    if state.comment != Some(&program.comment) {
        let found = state.comment.map(str::to_string);
        out.push(Difference::Fingerprint { meant: program.comment.clone(), found });
    }
    for chain in &program.chains {
        match found.chains.iter().find(|there| there.name == chain.name) {
            None => out.push(Difference::ChainMissing { chain: chain.name.clone() }),
            Some(there) => {
                if there.base != chain.base || there.comment != chain.comment {
                    let (meant, found) = (head(chain.base.as_ref(), chain.comment), found_head(there));
                    out.push(Difference::ChainChanged { chain: chain.name.clone(), meant, found });
                }
                let rules: Vec<&FoundRule<'_>> =
                    found.rules.iter().filter(|rule| rule.chain == chain.name).collect();
                compare_rules(chain, &rules, &mut out);
            }
        }
    }
    for there in &found.chains {
        if !program.chains.iter().any(|chain| chain.name == there.name) {
            out.push(Difference::ChainUnexpected { chain: there.name.to_string(), found: found_head(there) });
            for (place, rule) in found.rules.iter().filter(|rule| rule.chain == there.name).enumerate() {
                out.push(unexpected(there.name, place, rule));
            }
        }
    }
    out
}

fn head(base: Option<&Base<'_>>, comment: Option<&str>) -> String {
    let mut text = match base {
        None => "no hook".to_string(),
        Some(base) => {
            let hook = match base.hook {
                hook::PREROUTING => "prerouting",
                hook::OUTPUT => "output",
                1 => "input",
                2 => "forward",
                4 => "postrouting",
                _ => "ingress",
            };
            let policy = if base.policy == 0 { "drop" } else { "accept" };
            text::base(&base.kind, hook, base.priority, policy)
        }
    };
    if let Some(comment) = comment {
        text.push_str(&format!(" comment {comment:?}"));
    }
    text
}

fn found_head(chain: &FoundChain<'_>) -> String {
    head(chain.base.as_ref(), chain.comment)
}

fn same(meant: &ProgramRule<'_>, there: &FoundRule<'_>) -> bool {
    there.comment == Some(&*meant.comment) && meant.exprs == there.exprs && meant.sets == there.sets
}

fn meant_text(rule: &ProgramRule<'_>) -> String {
    text::rule_text(rule.kind, rule.rule)
}

fn found_text(rule: &FoundRule<'_>) -> String {
    let text = Printed::new(&rule.exprs, &rule.sets).to_string();
    match rule.comment {
        Some(comment) => format!("{text} comment {comment:?}"),
        None => text,
    }
}

fn unexpected(chain: &str, place: usize, rule: &FoundRule<'_>) -> Difference {
    Difference::RuleUnexpected { chain: chain.to_string(), position: place + 1, found: found_text(rule) }
}

/// Rules that stay in order are aligned; of the others, equal ones have moved, those of one name have changed, and the
/// rest are missing or too many.
fn compare_rules(chain: &ProgramChain<'_>, found: &[&FoundRule<'_>], out: &mut Vec<Difference>) {
    let equal = |meant: usize, there: usize| same(&chain.rules[meant], found[there]);
    if chain.rules.len() == found.len() && (0..found.len()).all(|place| equal(place, place)) {
        return;
    }
    let (mut meant_left, mut found_left) = unaligned(chain.rules.len(), found.len(), equal);
    let name = &chain.name;
    meant_left.retain(|place| {
        let Some(at) = found_left.iter().position(|there| equal(*place, *there)) else { return true };
        let rule = &chain.rules[*place];
        out.push(Difference::RuleMoved {
            chain: name.clone(),
            rule: rule.rule.name.to_string(),
            text: meant_text(rule),
            meant: place + 1,
            found: found_left.remove(at) + 1,
        });
        false
    });
    for place in meant_left {
        let rule = &chain.rules[place];
        let renamed = found_left.iter().position(|there| found[*there].comment == Some(&*rule.comment));
        let (chain, position) = (name.clone(), place + 1);
        let (name, meant) = (rule.rule.name.to_string(), meant_text(rule));
        out.push(match renamed {
            Some(at) => {
                let found = found_text(found[found_left.remove(at)]);
                Difference::RuleChanged { chain, position, rule: name, meant, found }
            }
            None => Difference::RuleMissing { chain, position, rule: name, meant },
        });
    }
    out.extend(found_left.into_iter().map(|there| unexpected(name, there, found[there])));
}

/// Places of both sides that a longest common subsequence leaves over.
fn unaligned(meant: usize, found: usize, equal: impl Fn(usize, usize) -> bool) -> (Vec<usize>, Vec<usize>) {
    let start = (0..meant.min(found)).take_while(|at| equal(*at, *at)).count();
    let end =
        (0..meant.min(found) - start).take_while(|back| equal(meant - 1 - back, found - 1 - back)).count();
    let (rows, columns) = (meant - end - start, found - end - start);
    if rows * columns > MOST_CELLS || rows * columns == 0 {
        return ((start..meant - end).collect(), (start..found - end).collect());
    }
    // lengths[row][column]: longest common subsequence of what follows both.
    let width = columns + 1;
    let mut lengths = vec![0u32; (rows + 1) * width];
    for row in (0..rows).rev() {
        for column in (0..columns).rev() {
            lengths[row * width + column] = if equal(start + row, start + column) {
                lengths[(row + 1) * width + column + 1] + 1
            } else {
                lengths[(row + 1) * width + column].max(lengths[row * width + column + 1])
            };
        }
    }
    let (mut left_meant, mut left_found) = (Vec::new(), Vec::new());
    let (mut row, mut column) = (0, 0);
    while row < rows && column < columns {
        if equal(start + row, start + column) {
            (row, column) = (row + 1, column + 1);
        } else if lengths[(row + 1) * width + column] >= lengths[row * width + column + 1] {
            left_meant.push(start + row);
            row += 1;
        } else {
            left_found.push(start + column);
            column += 1;
        }
    }
    left_meant.extend(start + row..meant - end);
    left_found.extend(start + column..found - end);
    (left_meant, left_found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(meant: &[u8], found: &[u8]) -> (Vec<usize>, Vec<usize>) {
        unaligned(meant.len(), found.len(), |a, b| meant[a] == found[b])
    }

    #[test]
    fn as_few_rules_as_possible_are_left_over() {
        let table = [
            ("abc", "abc", vec![], vec![]),
            ("abc", "", vec![0, 1, 2], vec![]),
            ("abcd", "abxcd", vec![], vec![2]),
            ("abcd", "acd", vec![1], vec![]),
            ("abcd", "bcda", vec![0], vec![3]),
            ("abcd", "xbyd", vec![0, 2], vec![0, 2]),
        ];
        for (meant, found, left_meant, left_found) in table {
            assert_eq!(left(meant.as_bytes(), found.as_bytes()), (left_meant, left_found), "{meant} {found}");
        }
    }

    proptest! {
        #[test]
        fn what_is_not_left_over_is_the_same(
            meant in proptest::collection::vec(0u8..4, 0..24),
            found in proptest::collection::vec(0u8..4, 0..24),
        ) {
            let (left_meant, left_found) = left(&meant, &found);
            let rest = |all: &[u8], left: &[usize]| -> Vec<u8> {
                (0..all.len()).filter(|at| !left.contains(at)).map(|at| all[at]).collect()
            };
            prop_assert_eq!(rest(&meant, &left_meant), rest(&found, &left_found));
        }
    }
}
