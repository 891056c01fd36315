//! Reads what iptables-save prints, which is also the form of the text that we render. Pure and strict: what decides
//! about deleting rules must not be guessed.

/// A line that is no part of the save format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {number}: found {text:?}, accepted: *table, :chain, -A rule, COMMIT or a comment")]
pub struct MalformedSave {
    /// Its number, from 1.
    pub number: usize,
    /// Its text, cut to a bounded length.
    pub text: String,
}

/// The tables of one family.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Saved {
    pub(super) tables: Vec<SavedTable>,
}

/// One table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SavedTable {
    pub(super) name: String,
    /// Chains that are not built in, in the order of the text.
    pub(super) chains: Vec<String>,
    /// Rules of all chains, in order within each chain.
    pub(super) rules: Vec<SavedRule>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SavedRule {
    /// The chain it stands in.
    pub(super) chain: String,
    /// The rest of the line: matches and target.
    pub(super) body: String,
    /// The chain or target named by `-j` or `-g`.
    pub(super) target: Option<String>,
    /// The text of the first comment match.
    pub(super) comment: Option<String>,
}

impl Saved {
    /// Reads the text of one family.
    pub fn parse(text: &str) -> Result<Self, MalformedSave> {
        let mut saved = Saved::default();
        for (at, line) in text.lines().enumerate() {
            let malformed = || MalformedSave { number: at + 1, text: line.chars().take(200).collect() };
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') || line == "COMMIT" {
                continue;
            }
            if let Some(name) = line.strip_prefix('*') {
                saved.tables.push(SavedTable { name: name.into(), ..SavedTable::default() });
                continue;
            }
            let table = saved.tables.last_mut().ok_or_else(malformed)?;
            table.read(line).ok_or_else(malformed)?;
        }
        Ok(saved)
    }

    /// Whether there is neither a chain of somebody nor a rule.
    pub fn is_empty(&self) -> bool {
        self.tables.iter().all(|table| table.chains.is_empty() && table.rules.is_empty())
    }

    /// The table of this name.
    pub(super) fn table(&self, name: &str) -> Option<&SavedTable> {
        self.tables.iter().find(|table| table.name == name)
    }

    /// Every chain as `nat ISTIO_OUTPUT`, then every rule that stands in no chain of this text as `nat OUTPUT: RULE`.
    pub(super) fn places(&self) -> Vec<String> {
        let mut places = Vec::new();
        for table in &self.tables {
            places.extend(table.chains.iter().map(|chain| format!("{} {chain}", table.name)));
            let loose = table.rules.iter().filter(|rule| !table.chains.contains(&rule.chain));
            places.extend(loose.map(|rule| format!("{} {}: {}", table.name, rule.chain, rule.body)));
        }
        places
    }
}

impl SavedTable {
    fn read(&mut self, line: &str) -> Option<()> {
        if let Some(chain) = line.strip_prefix(':') {
            let (name, rest) = chain.split_once(' ')?;
            // Built-in chains have a policy in the place of the dash.
            if rest.starts_with('-') {
                self.chains.push(name.into());
            }
            return Some(());
        }
        let (chain, body) =
            line.strip_prefix("-A ").map(|rule| rule.split_once(' ').unwrap_or((rule, "")))?;
        let words = words(body)?;
        let after = |options: [&str; 2]| argument(&words, options);
        self.rules.push(SavedRule {
            chain: chain.into(),
            body: body.into(),
            target: after(["-j", "-g"]),
            comment: after(["--comment", "--comment"]),
        });
        Some(())
    }

    /// The rules of one chain.
    pub(super) fn rules_of(&self, chain: &str) -> impl Iterator<Item = &SavedRule> {
        self.rules.iter().filter(move |rule| rule.chain == chain)
    }
}

/// What follows the first of these options. A comment's or log prefix's own text is never taken for an option.
fn argument(words: &[String], options: [&str; 2]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if options.contains(&word.as_str()) {
            return words.next().cloned();
        }
        if matches!(word.as_str(), "--comment" | "--log-prefix" | "--string" | "--nflog-prefix") {
            words.next();
        }
    }
    None
}

/// Splits at spaces outside of double quotes, where a backslash keeps the next character; nothing when a quote is
/// left open.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quoted) = (Vec::new(), None::<String>, false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => word.get_or_insert_default().push(chars.next()?),
            '"' => {
                quoted = !quoted;
                word.get_or_insert_default();
            }
            ' ' if !quoted => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    (!quoted).then_some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = r#"# Generated by iptables-save
*nat
:PREROUTING ACCEPT [12:34]
:OUTPUT ACCEPT [0:0]
:ISTIO_OUTPUT - [0:0]
-A OUTPUT -p tcp -m comment --comment "say \"-j X\" now" -j ISTIO_OUTPUT
-A OUTPUT -m comment --comment -j -j RETURN
-A ISTIO_OUTPUT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_OUTPUT
COMMIT
# Completed
"#;

    #[test]
    fn chains_rules_targets_and_comments_are_read() {
        let saved = Saved::parse(TEXT).unwrap();
        let table = saved.table("nat").unwrap();
        assert_eq!(table.chains, ["ISTIO_OUTPUT"]);
        let read: Vec<_> = table
            .rules
            .iter()
            .map(|rule| (rule.chain.as_str(), rule.target.as_deref(), rule.comment.as_deref()))
            .collect();
        assert_eq!(
            read,
            [
                ("OUTPUT", Some("ISTIO_OUTPUT"), Some("say \"-j X\" now")),
                ("OUTPUT", Some("RETURN"), Some("-j")),
                ("ISTIO_OUTPUT", Some("REDIRECT"), None),
                ("ISTIO_OUTPUT", None, None),
            ]
        );
        assert!(!saved.is_empty());
        assert!(Saved::parse("*nat\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n").unwrap().is_empty());
    }

    #[test]
    fn anything_else_is_an_error_with_its_line() {
        for (text, number) in
            [(":X - [0:0]", 1), ("*nat\nhello", 2), ("*nat\n:X", 2), ("*nat\n\n-A X --comment \"open", 3)]
        {
            assert_eq!(Saved::parse(text).unwrap_err().number, number, "{text}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_read_without_a_panic(text in "[*:A-Z \"\\\\\\-jAC#\\[\\]0-9\n]{0,200}") {
            let _ = Saved::parse(&text);
        }

        #[test]
        fn a_comment_never_passes_for_a_target(comment in "[ -~]{0,40}") {
            let quoted = comment.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("*nat\n-A OUTPUT -m comment --comment \"{quoted}\" -j RETURN\n");
            let saved = Saved::parse(&text).unwrap();
            let rule = &saved.tables[0].rules[0];
            prop_assert_eq!(rule.target.as_deref(), Some("RETURN"));
            prop_assert_eq!(rule.comment.as_deref(), Some(&*comment));
        }
    }
}
