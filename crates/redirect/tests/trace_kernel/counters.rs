//! What the kernel counted: one number per rule, how many packets it matched.

use std::collections::{BTreeMap, VecDeque};

use meshward_redirect::{RuleSet, TableKind};

/// A rule's place: table, chain, position from 1.
pub(crate) type Key = (String, usize);

pub(crate) fn key(kind: TableKind, chain: &str, position: usize) -> Key {
    (format!("{}_{chain}", kind.name()), position)
}

/// Each rule's count, from `nft -j list table`, which lists the rules of a chain in their order.
pub(crate) fn read(json: &str, rules: &RuleSet) -> BTreeMap<Key, u64> {
    let document: serde_json::Value = serde_json::from_str(json).expect("JSON of nft");
    let listed =
        document["nftables"].as_array().expect("a list").iter().filter_map(|entry| entry.get("rule"));
    let mut found: BTreeMap<&str, VecDeque<u64>> = BTreeMap::new();
    for rule in listed {
        let chain = rule["chain"].as_str().expect("a chain's name");
        let counter = rule["expr"].as_array().into_iter().flatten().find_map(|expr| expr.get("counter"));
        let packets = counter.and_then(|counter| counter["packets"].as_u64()).expect("a counter");
        found.entry(chain).or_default().push_back(packets);
    }
    let mut counts = BTreeMap::new();
    for table in &rules.tables {
        for chain in &table.chains {
            // Rules that cannot match any packet are left out of what the kernel gets.
            let kept = chain.rules.iter().enumerate().filter(|(_, rule)| rule.can_match());
            for (index, _) in kept {
                let key = key(table.kind, chain.name.as_str(), index + 1);
                let next = found
                    .get_mut(key.0.as_str())
                    .and_then(VecDeque::pop_front)
                    .expect("as many rules as were sent");
                counts.insert(key, next);
            }
        }
    }
    counts
}
