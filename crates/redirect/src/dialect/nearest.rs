//! Unknown names come with the nearest known one, because nearly all of them are misspellings.

/// The candidate with the fewest edits from `text`, case aside; none when even that one is a different word.
pub fn nearest<'a>(text: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 80;
    let text: Vec<char> = text.to_lowercase().chars().take(LONGEST).collect();
    candidates
        .into_iter()
        .map(|candidate| {
            let known: Vec<char> = candidate.to_lowercase().chars().take(LONGEST).collect();
            (edits(&text, &known), known.len(), candidate)
        })
        .filter(|(edits, length, _)| *edits <= length.div_ceil(3))
        .min_by_key(|(edits, ..)| *edits)
        .map(|(.., candidate)| candidate)
}

/// Levenshtein's distance.
fn edits(left: &[char], right: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, one) in left.iter().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, other) in right.iter().enumerate() {
            let changed = diagonal + usize::from(one != other);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_misspelling_finds_its_word_and_another_word_finds_none() {
        let known = ["excludePorts", "includePorts", "enabled"];
        assert_eq!(nearest("excludeports", known), Some("excludePorts"));
        assert_eq!(nearest("exludePort", known), Some("excludePorts"));
        assert_eq!(nearest("enable", known), Some("enabled"));
        assert_eq!(nearest("sidecar", known), None);
        assert_eq!(nearest("", known), None);
    }
}
