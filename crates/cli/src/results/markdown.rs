//! A table in Markdown, for the comment on a pull request or a job's summary.

use super::colour::printable;
use super::{Problem, Results, Status};

pub(super) fn render(results: &Results) -> String {
    let mut text = String::new();
    if results.verdicts().next().is_some() {
        text += "| Result | Object | Rule | Where | Message |\n|---|---|---|---|---|\n";
    }
    for (listed, verdict) in results.verdicts() {
        let place = listed.place_of(verdict);
        let word = match verdict.status {
            Status::Fail | Status::Error => format!("**{}**", verdict.status),
            _ => verdict.status.to_string(),
        };
        let cells =
            [&listed.object.title(), &verdict.title(), &place, &verdict.message].map(|cell| escape(cell));
        text += &format!("| {word} | {} |\n", cells.join(" | "));
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text += &format!("{}\n", results.totals());
    if !results.problems.is_empty() {
        text += "\nThe input could not be read completely:\n\n";
        results.problems.iter().for_each(|problem| text += &line(problem));
    }
    text
}

fn line(problem: &Problem) -> String {
    let place = problem.position.map(|position| format!(":{}", position.line)).unwrap_or_default();
    let file = if problem.file.is_empty() { String::new() } else { format!("{}{place}: ", problem.file) };
    format!("- {}\n", escape(&format!("{file}{}", problem.message)))
}

/// Text that Markdown and HTML take as it is, in one line. Line breaks would end the table's row, and names are
/// anybody's text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.trim().chars() {
        match character {
            '\n' => escaped.push_str("<br>"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '~' => {
                escaped.push('\\');
                escaped.push(character);
            }
            other => escaped.push_str(&printable(other.encode_utf8(&mut [0; 4]))),
        }
    }
    escaped
}
