//! The ports of one match in the form nf_tables looks them up: sorted, without overlap, and as simple as they can be.
//! The text and the bytes both start from here, so they cannot differ in it.

use crate::net::PortRange;

/// Ports to compare with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PortSet {
    /// No port at all.
    Empty,
    /// One port.
    One(u16),
    /// One range of at least two ports.
    Range(PortRange),
    /// Several single ports, ascending.
    Singles(Vec<u16>),
    /// Several ranges, ascending, with gaps between them.
    Ranges(Vec<PortRange>),
}

impl PortSet {
    pub(crate) fn new(ports: &[PortRange]) -> Self {
        match ports {
            [] => return PortSet::Empty,
            [one] => return Self::of_one(*one),
            _ => {}
        }
        let mut sorted = ports.to_vec();
        sorted.sort();
        if sorted.iter().all(|range| range.is_single()) {
            sorted.dedup();
            if let [one] = sorted[..] {
                return Self::of_one(one);
            }
            return PortSet::Singles(sorted.into_iter().map(PortRange::start).collect());
        }
        let merged = merge(&sorted);
        if let [one] = merged[..] { Self::of_one(one) } else { PortSet::Ranges(merged) }
    }

    fn of_one(range: PortRange) -> Self {
        if range.is_single() { PortSet::One(range.start()) } else { PortSet::Range(range) }
    }
}

/// Joins sorted ranges that overlap or touch: an interval set takes neither.
fn merge(sorted: &[PortRange]) -> Vec<PortRange> {
    let mut merged: Vec<PortRange> = Vec::with_capacity(sorted.len());
    for range in sorted {
        match merged.last_mut() {
            Some(last) if u32::from(range.start()) <= u32::from(last.end()) + 1 => {
                let end = last.end().max(range.end());
                *last = PortRange::new(last.start(), end).unwrap_or(*last);
            }
            _ => merged.push(*range),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> PortSet {
        let ports: Vec<PortRange> =
            text.split_whitespace().map(|p| PortRange::parse(p, '-').unwrap()).collect();
        PortSet::new(&ports)
    }

    fn range(start: u16, end: u16) -> PortRange {
        PortRange::new(start, end).unwrap()
    }

    #[test]
    fn ports_take_their_simplest_form() {
        let table = [
            ("", PortSet::Empty),
            ("80", PortSet::One(80)),
            ("80 80", PortSet::One(80)),
            ("80-90", PortSet::Range(range(80, 90))),
            ("90 80", PortSet::Singles(vec![80, 90])),
            ("80 81", PortSet::Singles(vec![80, 81])),
            ("5-10 11-20", PortSet::Range(range(5, 20))),
            ("5-10 8-20", PortSet::Range(range(5, 20))),
            ("5-30 8-20", PortSet::Range(range(5, 30))),
            ("0-65535 11", PortSet::Range(PortRange::ALL)),
            ("65535 1-2", PortSet::Ranges(vec![range(1, 2), range(65535, 65535)])),
        ];
        for (ports, wanted) in table {
            assert_eq!(set(ports), wanted, "{ports}");
        }
    }
}
