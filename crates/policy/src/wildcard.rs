//! Policies compare images, names and labels by wildcard, and a verdict hangs on what `*` and `?` mean. The meaning
//! is that of IGLOU-EU/go-wildcard 1.0.3, which Kyverno calls; the search is linear in memory and at worst
//! pattern × text in time, where the original is exponential.

/// Says whether the whole of `text` matches `pattern`: `*` stands for any characters or none, `?` for exactly one
/// character, everything else for itself. There is no escape, and `/` is a character like any other.
///
/// ```
/// assert!(meshward_policy::wildcard::matches("*/istio/proxyv2*", "docker.io/istio/proxyv2:1.27"));
/// assert!(!meshward_policy::wildcard::matches("app?", "app"));
/// ```
pub fn matches(pattern: &str, text: &str) -> bool {
    // Most of what is compared: nearly every kind in a policy is of any group and version.
    if pattern == "*" {
        return true;
    }
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += width(text[t]);
            }
            Some(&byte) if byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                None => return false,
                Some((after_star, from)) => {
                    let from = from + width(text[from]);
                    retry = Some((after_star, from));
                    (p, t) = (after_star, from);
                }
            },
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Says whether `text` holds a `*` or a `?`, so that it means more than itself.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?'])
}

/// Bytes of the UTF-8 character that starts with `first`.
fn width(first: u8) -> usize {
    match first {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn behaves_as_go_wildcard() {
        let cases = [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "any/thing", true),
            ("?", "", false),
            ("?", "é", true),
            ("??", "é", false),
            ("a?c", "aéc", true),
            ("a*c", "abbc", true),
            ("a*c", "abbd", false),
            ("*a*b*", "xxaybzz", true),
            ("*/istio/proxyv2*", "evil.example/x/istio/proxyv2-evil:1", true),
            ("nginx:?*", "nginx:", false),
            ("nginx:?*", "nginx:1", true),
            ("\\*", "*", false),
            ("\\*", "\\anything", true),
            ("ê", "é", false),
            ("*ê", "éê", true),
            ("App", "app", false),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} on {text:?}");
        }
    }

    #[test]
    fn is_not_exponential() {
        assert!(!matches(&format!("{}c", "a*".repeat(500)), &"a".repeat(5_000)));
    }

    /// The definition, as recursion over characters.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match pattern {
            [] => text.is_empty(),
            ['*', rest @ ..] => {
                by_definition(rest, text) || (!text.is_empty() && by_definition(pattern, &text[1..]))
            }
            ['?', rest @ ..] => !text.is_empty() && by_definition(rest, &text[1..]),
            [c, rest @ ..] => text.first() == Some(c) && by_definition(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn equals_the_definition(pattern in "[ab*?é]{0,8}", text in "[abé]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pattern, &text), by_definition(&p, &t));
        }
    }
}
