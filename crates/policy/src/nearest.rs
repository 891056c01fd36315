//! A wrong name is most often a right one with a slip of the finger, so every error that refuses a name offers the
//! nearest one that is accepted.

/// The longest text that is compared, in bytes: whoever writes the names also decides how long they are.
const LONGEST: usize = 128;

/// The candidate that is nearest to a text, letter case aside; `None` if none is near enough to be meant.
pub fn nearest<'c>(text: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let lower = text.to_lowercase();
    let scored = candidates.into_iter().filter(|candidate| candidate.len() <= LONGEST);
    let (distance, best) =
        scored.map(|candidate| (distance(&lower, &candidate.to_lowercase()), candidate)).min()?;
    let limit = (text.chars().count().max(best.chars().count()) / 3).max(1);
    (distance <= limit).then_some(best)
}

/// Insertions, deletions, replacements and swaps of neighbours that make one text the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn offers_what_is_meant() {
        let names = ["Capabilities", "Host Ports", "spec", "kinds"];
        let cases = [
            ("Capabilites", Some("Capabilities")),
            ("capabilities", Some("Capabilities")),
            ("HostPorts", Some("Host Ports")),
            ("sepc", Some("spec")),
            ("kind", Some("kinds")),
            ("entirely else", None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(nearest(text, names), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn is_a_distance(a in "\\PC{0,8}", b in "\\PC{0,8}") {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert_eq!(distance(&a, &b) == 0, a == b);
            prop_assert!(distance(&a, &b) <= a.chars().count().max(b.chars().count()));
        }
    }
}
