//! What is said at the gate: one line of words that the wait container (`crates/wait/src/greeting.rs`), and a person with
//! `socat`, can read.
//!
//! ```text
//! meshward 1 wait REASON                    not yet, and why; the connection stays open
//! meshward 1 nothing REASON                 this pod gets no rules: start
//! meshward 1 ready [out=TO>PORT] [in=TO>PORT@UID]…
//! ```

use super::proof::Proof;

/// The longest line with its end; the wait container reads no longer one.
pub const LONGEST: usize = 4096;

/// One line, with its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    text: String,
    last: bool,
}

impl Line {
    /// Not yet.
    pub fn wait(reason: &str) -> Self {
        Self { text: line("wait", reason), last: false }
    }

    /// There are no rules, and none are to come.
    pub fn nothing(reason: &str) -> Self {
        Self { text: line("nothing", reason), last: true }
    }

    /// The rules are in force, and these connections prove it.
    pub fn ready(proofs: &[Proof]) -> Self {
        let words: Vec<String> = proofs.iter().map(ToString::to_string).collect();
        Self { text: line("ready", &words.join(" ")), last: true }
    }

    /// The line as it is sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether whoever has heard it has no reason to stay.
    pub fn is_last(&self) -> bool {
        self.last
    }
}

/// Reasons quote what a pod's author wrote: no line breaks, no control characters, and not too long.
fn line(word: &str, rest: &str) -> String {
    let mut text = format!("meshward 1 {word}");
    if !rest.is_empty() {
        text.push(' ');
    }
    for one in rest.chars() {
        if text.len() + one.len_utf8() >= LONGEST {
            break;
        }
        text.push(if one.is_control() { ' ' } else { one });
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_stay_lines() {
        let hostile = format!("a\nmeshward 1 ready\r\x1b[2J{}", "ß".repeat(LONGEST));
        for line in [Line::wait(&hostile), Line::nothing(&hostile)] {
            assert!(line.text().len() <= LONGEST);
            assert_eq!(line.text().matches('\n').count(), 1);
            assert!(line.text().ends_with('\n'));
            assert!(!line.text().contains(['\r', '\x1b']));
        }
        assert_eq!(Line::wait("why").text(), "meshward 1 wait why\n");
        assert_eq!(Line::ready(&[]).text(), "meshward 1 ready\n");
        assert_eq!(Line::nothing("").text(), "meshward 1 nothing\n");
    }
}
