//! Tables as Kyverno's command line prints them, for scripts that cut them at the bars.

use std::fmt::Write as _;

/// What the cells of a table look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Letters only.
    Plain,
    /// Colours for a terminal.
    Colours,
}

/// A cell: its text, and the colour Kyverno gives it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cell {
    text: String,
    colour: &'static str,
}

const CYAN: &str = "1;36";
const GREEN: &str = "1;32";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";

impl Cell {
    /// Without colour.
    pub(crate) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: "" }
    }

    /// The name of a policy, rule or object.
    pub(crate) fn name(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: CYAN }
    }

    /// Something that is as it should be.
    pub(crate) fn good(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: GREEN }
    }

    /// Something that is not.
    pub(crate) fn bad(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: RED }
    }

    /// Something to look at.
    pub(crate) fn doubtful(text: impl Into<String>) -> Self {
        Self { text: text.into(), colour: YELLOW }
    }
}

/// Cells longer than this are wrapped.
const LONGEST: usize = 300;
/// From how many rows on their number stands in the first heading.
const COUNTED: usize = 11;

/// The table, with a line break at its end.
pub(crate) fn render(headings: &[&str], rows: &[Vec<Cell>], paint: Paint) -> String {
    let mut headings: Vec<Cell> = headings.iter().map(|heading| Cell::plain(*heading)).collect();
    if let (Some(first), true) = (headings.first_mut(), rows.len() >= COUNTED) {
        let _ = write!(first.text, " ({})", rows.len());
    }
    let rows: Vec<Vec<Wrapped>> = rows.iter().map(|row| row.iter().map(Wrapped::new).collect()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|heading| width(&heading.text)).collect();
    // Kyverno's heading with a number is one wider than its letters.
    if let (Some(first), true) = (widths.first_mut(), rows.len() >= COUNTED) {
        *first += 1;
    }
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.width());
        }
    }
    let rule =
        widths.iter().fold(String::from("│"), |rule, width| rule + &"─".repeat(width + 2) + "│") + "\n";
    let mut text = rule.clone();
    let headings: Vec<Wrapped> = headings.iter().map(Wrapped::new).collect();
    line(&headings, 0, &widths, paint, &mut text);
    text.push_str(&rule);
    for row in &rows {
        let height = row.iter().map(|cell| cell.lines.len()).max().unwrap_or_default();
        (0..height).for_each(|index| line(row, index, &widths, paint, &mut text));
    }
    text + &rule
}

fn line(row: &[Wrapped<'_>], index: usize, widths: &[usize], paint: Paint, text: &mut String) {
    text.push('│');
    for (cell, wide) in row.iter().zip(widths) {
        let part = cell.lines.get(index).map_or("", String::as_str);
        let pad = " ".repeat(wide.saturating_sub(width(part)));
        let _ = match (paint, cell.colour, part) {
            (Paint::Plain, ..) | (_, "", _) | (.., "") => write!(text, " {part}{pad} │"),
            (Paint::Colours, colour, part) => write!(text, " \x1b[{colour}m{part}\x1b[0m{pad} │"),
        };
    }
    text.push('\n');
}

fn width(text: &str) -> usize {
    text.chars().count()
}

/// A cell's lines.
struct Wrapped<'c> {
    lines: Vec<String>,
    colour: &'c str,
}

impl Wrapped<'_> {
    fn new(cell: &Cell) -> Wrapped<'_> {
        Wrapped { lines: wrap(&cell.text), colour: cell.colour }
    }

    fn width(&self) -> usize {
        self.lines.iter().map(|line| width(line)).max().unwrap_or_default()
    }
}

/// Lines of a cell as the library that Kyverno prints with makes them: it counts every space twice.
fn wrap(text: &str) -> Vec<String> {
    if text.len() <= LONGEST || text.contains('\n') {
        return text.trim_end_matches('\n').split('\n').map(str::to_owned).collect();
    }
    let mut lines: Vec<String> = Vec::new();
    let mut left = 0;
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if word.len() < left => {
                line.push(' ');
                line.push_str(word);
                left -= (word.len() + 2).min(left);
            }
            _ => {
                lines.push(word.to_owned());
                left = LONGEST.saturating_sub(word.len());
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows =
            [vec![Cell::plain("1"), Cell::good("Pass")], vec![Cell::plain("2"), Cell::plain("a\nlonger")]];
        let expected = "\
│────│────────│
│ ID │ RESULT │
│────│────────│
│ 1  │ Pass   │
│ 2  │ a      │
│    │ longer │
│────│────────│
";
        assert_eq!(render(&["ID", "RESULT"], &rows, Paint::Plain), expected);
        assert!(render(&["ID", "RESULT"], &rows, Paint::Colours).contains("\x1b[1;32mPass\x1b[0m   │"));
    }

    #[test]
    fn many_rows_are_counted_in_the_heading() {
        let rows: Vec<Vec<Cell>> = (1..=14).map(|id| vec![Cell::plain(id.to_string())]).collect();
        let text = render(&["ID"], &rows, Paint::Plain);
        assert!(text.starts_with("│──────────│\n│ ID (14)  │\n"), "{text}");
    }

    #[test]
    fn long_cells_are_wrapped_between_words() {
        let text = "word ".repeat(100);
        let lines = wrap(&text);
        assert!(lines.len() > 1 && lines.iter().all(|line| line.len() <= LONGEST), "{lines:?}");
        assert_eq!(lines.join(" "), text.trim_end());
    }
}
