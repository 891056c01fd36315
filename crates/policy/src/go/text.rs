//! Functions of Go's `strings` that differ from Rust's: letter case is mapped one character to one, and an empty text
//! to look for lies between any two characters.

/// One character to upper case; characters whose upper case is longer stay, as in Go's `unicode.ToUpper`.
fn upper(c: char) -> char {
    // Greek letters with iota subscript have a one-character title case that Go uses.
    match c {
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            return char::from_u32(u32::from(c) + 8).unwrap_or(c);
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => return char::from_u32(u32::from(c) + 9).unwrap_or(c),
        _ => {}
    }
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// One character to lower case, as Go's `unicode.ToLower`.
fn lower(c: char) -> char {
    if c == 'İ' {
        return 'i';
    }
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(single), None) => single,
        _ => c,
    }
}

/// `strings.ToUpper`: `ß` stays.
pub fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

/// `strings.ToLower`: a final sigma is like any other.
pub fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

/// `strings.EqualFold`: equality but for letter case, character by character.
pub fn equal_fold(a: &str, b: &str) -> bool {
    // İ and ı fold only to themselves.
    let fold = |c| if matches!(c, 'İ' | 'ı') { c } else { lower(upper(c)) };
    a.chars().map(fold).eq(b.chars().map(fold))
}

/// `strings.Split`: an empty separator splits into characters.
pub fn split<'t>(text: &'t str, separator: &str) -> Vec<&'t str> {
    if separator.is_empty() {
        return text.char_indices().map(|(start, c)| &text[start..start + c.len_utf8()]).collect();
    }
    text.split(separator).collect()
}

/// `path.Clean`, except that an empty path stays empty: no `.`, no `//`, and `..` resolved where it can be.
pub fn clean_path(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_case_as_go() {
        for (text, expected) in
            [("straße", "STRAßE"), ("ŉ", "ŉ"), ("é", "É"), ("ᾳ", "ᾼ"), ("ᾀ", "ᾈ"), ("ǆ", "Ǆ")]
        {
            assert_eq!(to_upper(text), expected);
        }
        for (text, expected) in [("ΑΣ", "ας".replace('ς', "σ").as_str()), ("İ", "i"), ("ẞ", "ß")] {
            assert_eq!(to_lower(text), expected);
        }
        for (a, b, expected) in [
            ("Go", "GO", true),
            ("K", "\u{212a}", true),
            ("ß", "SS", false),
            ("a", "ab", false),
            ("s", "ſ", true),
        ] {
            assert_eq!(equal_fold(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn cleans_paths_as_go() {
        for (path, expected) in [
            ("", ""),
            (".", "."),
            ("a/..", "."),
            ("///", "/"),
            ("/../a", "/a"),
            ("../a/../../b", "../../b"),
            ("/var//lib/./x/../y/", "/var/lib/y"),
            ("a/../..", ".."),
        ] {
            assert_eq!(clean_path(path), expected, "{path}");
        }
    }

    #[test]
    fn splits_as_go() {
        assert_eq!(split("aé", ""), ["a", "é"]);
        assert_eq!(split("", ""), [""; 0]);
        assert_eq!(split("", ","), [""]);
        assert_eq!(split(",a,", ","), ["", "a", ""]);
    }
}
