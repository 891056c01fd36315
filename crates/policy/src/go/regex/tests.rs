use super::*;
use proptest::prelude::*;

#[test]
fn matches_as_go() {
    let cases = [
        (r"^\d+$", "123", true),
        (r"^\d+$", "١٢٣", false),
        (r"^\w+$", "é", false),
        (r"\s", "\u{a0}", false),
        (r"\s", "\u{b}", false),
        (r"[\d]", "٣", false),
        (r"^[^\d\s]+$", "ab", true),
        (r"^[\D]$", "x", true),
        (r"\bé", "é", false),
        (r"a\Bb", "ab", true),
        (r"\B", "é", true),
        (r"a{,2}", "a{,2}", true),
        (r"a{", "a{", true),
        (r"^a{2,3}$", "aaa", true),
        (r"{{", "{{", true),
        (r"\Qa.b\E.", "a.bx", true),
        (r"\Qa.b\E.", "axbx", false),
        (r"^[[a]$", "[", true),
        (r"^[a&&b]$", "&", true),
        (r"^[]a]$", "]", true),
        (r"^[a-]$", "-", true),
        (r"^[--/]$", ".", true),
        (r"^[a~~b]+$", "~", true),
        (r"^[[:alpha:]]+$", "é", false),
        (r"^[[:^digit:]x]$", "x", true),
        (r"\<", "<", true),
        (r"^\pL$", "é", true),
        (r"^\p{^Greek}$", "α", false),
        (r"^\101$", "A", true),
        (r"^\x41\x{e9}[\x{3b1}-\x{3b3}]$", "Aéβ", true),
        (r"(?i)^k$", "\u{212a}", true),
        (r"^.$", "é", true),
        (r"^.$", "\n", false),
        (r"(?s)^.$", "\n", true),
        (r"(?m)^b$", "a\nb\nc", true),
        (r"^b$", "a\nb", false),
        (r"a|b", "xbx", true),
        ("", "", true),
    ];
    for (pattern, text, expected) in cases {
        assert_eq!(Regex::compile(pattern).unwrap().is_match(text), expected, "{pattern} on {text:?}");
    }
}

#[test]
fn refuses_what_go_refuses() {
    for pattern in [
        "(",
        ")",
        "[a",
        "a**",
        "a{2}{3}",
        "*a",
        "(?=a)",
        "(?!a)",
        r"\1",
        r"\Z",
        r"\C",
        r"\u0041",
        "a{1001}",
        "[b-a]",
        "(?x)a",
        "(?P<a-b>c)",
        r"[[:foo:]]",
        r"\p{Foo}",
        r"\",
        "a{3,2}",
        r"\y",
    ] {
        assert!(Regex::compile(pattern).is_err(), "{pattern}");
    }
    let error = Regex::compile("[a").unwrap_err();
    assert_eq!(error.to_string(), "error parsing regexp: missing closing ]: `[a`");
}

#[test]
fn replaces_as_go() {
    let cases = [
        ("a(x*)b", "-ab-axxb-", "T", "-T-T-"),
        ("a(x*)b", "-ab-axxb-", "$1", "--xx-"),
        ("a(x*)b", "-ab-axxb-", "$1W", "---"),
        ("a(x*)b", "-ab-axxb-", "${1}W", "-W-xxW-"),
        ("a(?P<n>x*)b", "-axxb-", "<$n>", "-<xx>-"),
        ("a", "a", "$$", "$"),
        ("a", "a", "$", "$"),
        ("a", "a", "${", "${"),
        ("a", "a", "$0$0", "aa"),
        ("a", "a", "$00", ""),
        ("a*", "baac", "x", "xbxcx"),
        ("", "é", "-", "-é-"),
        (r"\B", "é a", "-", "-é- a"),
        ("b", "", "x", ""),
    ];
    for (pattern, text, replacement, expected) in cases {
        let regex = Regex::compile(pattern).unwrap();
        assert_eq!(regex.replace_all(text, replacement, false, 1000).as_deref(), Ok(expected), "{pattern}");
    }
    let regex = Regex::compile("a").unwrap();
    assert_eq!(regex.replace_all("aa", "$0", true, 10).unwrap(), "$0$0");
    assert_eq!(regex.replace_all(&"a".repeat(10), "xxxx", false, 20), Err(TooLong(20)));
}

proptest! {
    #[test]
    fn never_panics(pattern in "([a-z0-9\\[\\](){}*+?|^$.\\\\&~:,<>QEpPxdwsb-]|\\PC){0,24}", text in "\\PC{0,12}") {
        if let Ok(regex) = Regex::compile(&pattern) {
            let _ = regex.replace_all(&text, &pattern, false, 10_000);
        }
    }

    #[test]
    fn plain_text_matches_itself_quoted(text in "[^\\\\]{0,12}") {
        let quoted = format!(r"^\Q{text}\E$");
        prop_assert!(Regex::compile(&quoted).unwrap().is_match(&text));
    }
}
