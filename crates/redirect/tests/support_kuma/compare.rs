//! Two rule sets, one lattice of packets: the first packet they treat differently, and which single rules nobody would
//! miss.

use meshward_redirect::RuleSet;

use super::packet::{Outcome, Packet, outcome};

/// Packets with what the peer does to them.
pub(crate) type Expected = Vec<(Packet, Outcome)>;

/// The first packet that `rules` treats otherwise than expected.
pub(crate) fn difference(rules: &RuleSet, expected: &Expected) -> Option<String> {
    expected.iter().find_map(|(packet, peer)| {
        let ours = outcome(rules, packet);
        (ours != *peer).then(|| format!("{packet:?}\nours: {ours:?}\npeer: {peer:?}"))
    })
}

/// The names of the rules whose removal no packet notices.
pub(crate) fn redundant(rules: &RuleSet, expected: &Expected) -> Vec<String> {
    let mut names = Vec::new();
    for table in 0..rules.tables.len() {
        for chain in 0..rules.tables[table].chains.len() {
            for rule in 0..rules.tables[table].chains[chain].rules.len() {
                let mut without = rules.clone();
                let removed = without.tables[table].chains[chain].rules.remove(rule);
                if difference(&without, expected).is_none() {
                    names.push(removed.name.to_string());
                }
            }
        }
    }
    names
}
