//! The form for people: each object's findings with the lines they stand on, then one row a verdict, then the totals.

use std::io::IsTerminal;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use comfy_table::{ColumnConstraint, ContentArrangement, Table, Width, presets};
use meshward_redirect::net::visible;

use super::colour::{paint, printable};
use super::{Excerpt, Listed, Results, Status, Verdict};
use crate::terminal;

/// An object's snippet marks at most so many places: whoever fixes these sees the rest.
const MARKS: usize = 60;

/// What the output is printed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    /// Columns.
    pub(crate) width: u16,
    /// Whether it shows colours.
    pub(crate) colours: bool,
}

impl Screen {
    /// Where nobody says how wide it is: a file, a pipe, a log.
    const WIDTH: u16 = 110;

    /// Without colours, for files.
    pub(crate) fn plain() -> Self {
        Self { width: Self::WIDTH, colours: false }
    }

    /// Standard output.
    pub(crate) fn standard_output() -> Self {
        let stdout = std::io::stdout();
        let terminal = stdout.is_terminal();
        let size = terminal.then(|| rustix::termios::tcgetwinsize(&stdout).ok()).flatten();
        let width = size.map_or(Self::WIDTH, |size| size.ws_col.max(40));
        Self { width, colours: terminal::colours_on(terminal) }
    }

    fn renderer(self) -> Renderer {
        let renderer = if self.colours { Renderer::styled() } else { Renderer::plain() };
        renderer.term_width(usize::from(self.width))
    }
}

pub(super) fn render(results: &Results, screen: Screen) -> String {
    let mut text = String::new();
    for listed in results.objects.iter().filter(|listed| listed.verdicts.iter().any(Verdict::is_finding)) {
        for report in reports(listed, screen) {
            text.push_str(&report);
            text.push_str("\n\n");
        }
    }
    text.push_str(&table(results, screen));
    text.push_str(&summary(results));
    text
}

/// The numbers, and that they are not the whole story where something could not be read.
fn summary(results: &Results) -> String {
    let objects = results.objects.iter().filter(|listed| !listed.verdicts.is_empty()).count();
    let plural = if objects == 1 { "" } else { "s" };
    let mut text = format!("{objects} object{plural}; {}\n", results.totals());
    if !results.problems.is_empty() {
        let Results { problems, .. } = results;
        let (count, plural) = (problems.len(), if problems.len() == 1 { "" } else { "s" });
        text += &format!("incomplete: {count} problem{plural} in the input, see the errors\n");
    }
    text
}

/// The findings of one object, laid out: one report where there is one sentence for all, otherwise one each.
fn reports(listed: &Listed, screen: Screen) -> Vec<String> {
    let findings: Vec<&Verdict> = listed.verdicts.iter().filter(|verdict| verdict.is_finding()).collect();
    let title = listed.object.title();
    match &listed.headline {
        Some(headline) => vec![report(listed, &format!("{title} {headline}"), &findings, screen)],
        None => findings
            .iter()
            .map(|verdict| {
                let message = format!("{title}: {}: {}", verdict.title(), verdict.message.trim());
                report(listed, &message, std::slice::from_ref(verdict), screen)
            })
            .collect(),
    }
}

fn report(listed: &Listed, message: &str, findings: &[&Verdict], screen: Screen) -> String {
    let warns = findings.iter().all(|verdict| verdict.status == Status::Warn);
    let level = if warns { Level::WARNING } else { Level::ERROR };
    let title = level.primary_title(printable(message));
    let marked = listed.excerpt.as_ref().and_then(|excerpt| snippet(excerpt, listed, findings));
    match marked {
        Some(snippet) => screen.renderer().render(&[title.element(snippet)]),
        None => {
            let text = screen.renderer().render(&[Group::with_title(title)]);
            let place = printable(&listed.object.place());
            if place.is_empty() { text } else { format!("{text}\n  --> {place}") }
        }
    }
}

/// The lines with everything that is wrong on them. What one place lacks is said once, in one label.
fn snippet<'a>(
    excerpt: &'a Excerpt,
    listed: &'a Listed,
    findings: &[&'a Verdict],
) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let mut marks: Vec<(Range<usize>, Vec<&str>)> = Vec::new();
    for field in findings.iter().flat_map(|verdict| &verdict.fields) {
        let Some(range) = field.position.as_ref().and_then(|position| excerpt.range(position)) else {
            continue;
        };
        match marks.iter_mut().find(|(known, _)| *known == range) {
            Some((_, remarks)) if remarks.contains(&field.remark.as_str()) => {}
            Some((_, remarks)) => remarks.push(&field.remark),
            None => marks.push((range, vec![&field.remark])),
        }
        if marks.len() == MARKS {
            break;
        }
    }
    if marks.is_empty() {
        return None;
    }
    let snippet = Snippet::source(excerpt.text.as_str())
        .line_start(excerpt.line as usize)
        .path(printable(&listed.object.file))
        .annotations(marks.into_iter().map(|(range, remarks)| {
            AnnotationKind::Primary.span(range).label(printable(&remarks.join("; ")))
        }));
    Some(snippet)
}

/// One row a verdict. The status comes first, so that a glance down the margin is enough.
fn table(results: &Results, screen: Screen) -> String {
    let Some((_, first)) = results.verdicts().next() else { return String::new() };
    let one_policy = results.verdicts().all(|(_, verdict)| verdict.policy == first.policy);
    let rule = |verdict: &Verdict| match verdict.rule.as_str() {
        "" => verdict.policy.clone(),
        rule if one_policy => rule.to_owned(),
        _ => verdict.title(),
    };
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(screen.width)
        .set_header(["RESULT", "OBJECT", "RULE", "WHERE"]);
    let mut statuses = Vec::new();
    for (listed, verdict) in results.verdicts() {
        statuses.push(verdict.status);
        table.add_row([
            verdict.status.as_str().to_owned(),
            listed.object.title(),
            visible(&rule(verdict)).into_owned(),
            visible(&listed.place_of(verdict)).into_owned(),
        ]);
    }
    if let Some(column) = table.column_mut(0) {
        column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(8)));
    }
    paint_margin(&table.trim_fmt(), &statuses, screen)
}

/// Colours the first column: a line that begins with a status begins a row.
fn paint_margin(text: &str, statuses: &[Status], screen: Screen) -> String {
    let mut statuses = statuses.iter().peekable();
    let mut painted = String::with_capacity(text.len() + text.len() / 8);
    for line in text.lines() {
        let line = line.trim_end();
        let begins = |status: &Status| line.strip_prefix(' ').unwrap_or(line).starts_with(status.as_str());
        match statuses.next_if(|status| begins(status)) {
            Some(status) => {
                let word = status.as_str();
                painted.push_str(&line.replacen(word, &paint(*status, word, screen.colours), 1));
            }
            None => painted.push_str(line),
        }
        painted.push('\n');
    }
    painted.push('\n');
    painted
}
