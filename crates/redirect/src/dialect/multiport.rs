//! Long port lists in as few rules as the kernel allows. Only for rules whose order among each other does not matter
//! (a list of returns, a list of jumps to one chain).

use crate::net::PortRange;

/// `XT_MULTI_PORTS` of linux/netfilter/xt_multiport.h; a range takes two.
const SLOTS: usize = 15;

/// The ports in ascending order, cut where a rule is full. What overlaps is joined, because the intervals of an nft
/// set must not overlap.
pub(crate) fn chunks(ports: impl IntoIterator<Item = impl Into<PortRange>>) -> Vec<Vec<PortRange>> {
    let mut chunks: Vec<Vec<PortRange>> = Vec::new();
    let mut free = 0;
    for range in joined(ports.into_iter().map(Into::into).collect()) {
        let slots = if range.is_single() { 1 } else { 2 };
        if free < slots {
            chunks.push(Vec::new());
            free = SLOTS;
        }
        free -= slots;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(range);
        }
    }
    chunks
}

fn joined(mut ranges: Vec<PortRange>) -> Vec<PortRange> {
    ranges.sort();
    let mut joined: Vec<PortRange> = Vec::with_capacity(ranges.len());
    for range in ranges {
        let overlap = joined
            .last()
            .filter(|last| last.contains(range.start()))
            .and_then(|last| PortRange::new(last.start(), last.end().max(range.end())));
        match overlap {
            Some(both) => {
                joined.pop();
                joined.push(both);
            }
            None => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::{PortRange, chunks};

    fn range(start: u16, end: u16) -> PortRange {
        PortRange::new(start, end).expect("a range")
    }

    #[test]
    fn repeats_and_overlaps_are_joined() {
        assert!(chunks(Vec::<u16>::new()).is_empty());
        assert_eq!(chunks([443, 80, 443]), [[PortRange::one(80), PortRange::one(443)]]);
        let ports = [range(70, 90), PortRange::one(80), range(85, 100), PortRange::one(101)];
        assert_eq!(chunks(ports), [[range(70, 100), PortRange::one(101)]]);
    }

    #[test]
    fn a_range_takes_two_slots() {
        let sizes = |ports: Vec<PortRange>| chunks(ports).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(sizes((1..=31).map(PortRange::one).collect()), [15, 15, 1]);
        assert_eq!(sizes((1..=8).map(|n| range(10 * n, 10 * n + 5)).collect()), [7, 1]);
    }
}
