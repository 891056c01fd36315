//! The demonstration's page: numbered steps, one fact a line, 80 columns, colours only on a terminal.

use std::io::{self, IsTerminal};

use crate::terminal;

const WIDTH: usize = 79;
const INDENT: usize = 3;
const LABEL: usize = 12;

/// What has been told so far.
#[derive(Debug)]
pub(super) struct Paper {
    steps: usize,
    colours: bool,
    wait: bool,
}

impl Paper {
    /// An empty page. `wait` asks for Enter before each step but the first.
    pub(super) fn new(wait: bool) -> Self {
        Self { steps: 0, colours: terminal::colours_on(io::stdout().is_terminal()), wait }
    }

    /// A line that is no step.
    pub(super) fn title(&self, title: &str) {
        terminal::print(&format!("{}\n", self.paint("1", title)));
    }

    /// Begins a step.
    pub(super) fn step(&mut self, title: &str) {
        if self.wait && self.steps > 0 {
            terminal::print("   (Enter)");
            // At the end of the input nobody can press anything: go on.
            let _ = io::stdin().read_line(&mut String::new());
        }
        self.steps += 1;
        let title = format!("{}. {title}", self.steps);
        terminal::print(&format!("\n{}\n", self.paint("1", &title)));
    }

    /// Why the step is there.
    pub(super) fn why(&self, text: &str) {
        terminal::print(&format!("{}\n", wrap(&" ".repeat(INDENT), INDENT, text)));
    }

    /// Something that is so, or was done.
    pub(super) fn fact(&self, label: &str, text: &str) {
        self.line("0", label, text);
    }

    /// Something that was observed and is as it should be.
    pub(super) fn seen(&self, label: &str, text: &str) {
        self.line("32", label, text);
    }

    fn line(&self, colour: &str, label: &str, text: &str) {
        let indent = INDENT + LABEL;
        let wrapped = wrap(&" ".repeat(indent), indent, text);
        let label = self.paint(colour, &format!("{label:<width$}", width = LABEL - 1));
        terminal::print(&format!("{}{label} {}\n", " ".repeat(INDENT), wrapped.trim_start()));
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colours && code != "0" { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// Breaks text at spaces; every line begins with `margin`. Lines of the text itself stay lines.
fn wrap(margin: &str, indent: usize, text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > WIDTH {
                lines.push(std::mem::take(&mut line).trim_end().to_string());
            } else if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines.iter().map(|line| format!("{margin}{line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_breaks_at_spaces_before_the_edge() {
        let text = "word ".repeat(40);
        let wrapped = wrap("   ", 3, text.trim_end());
        assert!(wrapped.lines().all(|line| line.len() <= WIDTH && line.starts_with("   word")), "{wrapped}");
        assert_eq!(wrapped.split_whitespace().count(), 40);
    }

    #[test]
    fn a_word_longer_than_a_line_stays_whole() {
        let long = "x".repeat(100);
        assert_eq!(wrap("", 0, &format!("a {long} b")), format!("a\n{long}\nb"));
    }
}
