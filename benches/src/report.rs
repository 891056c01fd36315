//! What was found, for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::machine::Machine;
use crate::series::{Series, Summary};

/// Characters of a line of prose.
const LINE: usize = 90;

/// Everything of one run.
#[derive(Serialize)]
pub struct Report {
    /// What it was measured on.
    pub machine: Machine,
    /// Too few runs to rely on.
    pub quick: bool,
    /// In the order in which they were measured.
    pub sections: Vec<Section>,
}

/// One measure.
#[derive(Serialize)]
pub struct Section {
    /// What was measured.
    pub title: String,
    /// What the figures are of and how they came about.
    pub note: String,
    /// One-minute load averages before and after it, where a run is too long for the one at its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<(String, String)>,
    /// Of every figure.
    pub unit: &'static str,
    /// The figures.
    pub rows: Vec<Row>,
    /// What was aimed at.
    pub targets: Vec<Target>,
}

/// One contender; the first of a section is ours and what the others' ratios refer to.
#[derive(Serialize)]
pub struct Row {
    /// Who, or what of it.
    pub name: String,
    /// Its figures.
    #[serde(flatten)]
    pub summary: Summary,
    /// How many times as much as ours.
    pub ratio: Option<f64>,
}

/// What was aimed at.
#[derive(Serialize)]
pub struct Target {
    /// In words, with its number.
    pub aim: String,
    /// What was found instead.
    pub found: f64,
    /// Whether that is as good.
    pub reached: bool,
}

impl Section {
    /// A section with a row for each series, all compared with the first.
    pub fn new(
        title: impl Into<String>,
        note: impl Into<String>,
        unit: &'static str,
        series: &[(String, Series)],
    ) -> Self {
        let rows = series.iter().enumerate().map(|(place, (name, own))| Row {
            name: name.clone(),
            summary: own.summary(),
            ratio: (place > 0).then(|| own.ratio_to(&series[0].1)),
        });
        Self {
            title: title.into(),
            note: note.into(),
            load: None,
            unit,
            rows: rows.collect(),
            targets: Vec::new(),
        }
    }

    /// A section whose rows are parts of one thing, or different things: none is compared with another.
    pub fn of_parts(
        title: impl Into<String>,
        note: impl Into<String>,
        unit: &'static str,
        series: &[(String, Series)],
    ) -> Self {
        let mut section = Self::new(title, note, unit, series);
        section.rows.iter_mut().for_each(|row| row.ratio = None);
        section
    }

    /// Aims at something that the caller has found out, whether or not it is one of the rows.
    #[must_use]
    pub fn aim(mut self, aim: impl Into<String>, found: f64, reached: bool) -> Self {
        self.targets.push(Target { aim: aim.into(), found, reached });
        self
    }

    /// Aims at a median of ours of at most this.
    #[must_use]
    pub fn at_most(self, limit: f64, aim: impl Into<String>) -> Self {
        let found = self.rows.first().map_or(f64::NAN, |row| row.summary.median);
        self.aim(aim, found, found <= limit)
    }

    /// Aims at one contender being at least so many times faster than another.
    #[must_use]
    pub fn faster(self, series: &[(String, Series)], ours: &str, peer: &str, factor: f64) -> Self {
        let of = |name: &str| series.iter().find(|(known, _)| known == name).map(|(_, series)| series);
        let found = of(peer).zip(of(ours)).map_or(f64::NAN, |(peer, ours)| peer.ratio_to(ours));
        let aim = format!("{ours} at least {factor} times faster than {peer}");
        self.aim(aim, found, found >= factor)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.machine)?;
        if self.quick {
            writeln!(f, "quick: too few runs to rely on a figure")?;
        }
        for section in &self.sections {
            writeln!(f)?;
            write!(f, "{section}")?;
        }
        Ok(())
    }
}

/// Lines of at most so many characters as a terminal has.
fn wrap(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + word.len() < LINE => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.title)?;
        for line in wrap(&self.note) {
            writeln!(f, "  {line}")?;
        }
        if let Some((before, after)) = &self.load {
            writeln!(f, "  load {before} before, {after} after")?;
        }
        let names = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        writeln!(
            f,
            "  {:names$}  {:>9} {:>9} {:>9} {:>9} {:>6}  ratio",
            self.unit, "median", "min", "p95", "p99", "runs"
        )?;
        for Row { name, summary, ratio } in &self.rows {
            let Summary { median, min, p95, p99, runs } = summary;
            write!(f, "  {name:names$}  {median:>9.3} {min:>9.3} {p95:>9.3} {p99:>9.3} {runs:>6}")?;
            match ratio {
                Some(ratio) => writeln!(f, "  {ratio:.1}x")?,
                None => writeln!(f)?,
            }
        }
        for Target { aim, found, reached } in &self.targets {
            let verdict = if *reached { "reached" } else { "NOT reached" };
            writeln!(f, "  target: {aim}: {verdict} ({found:.3})")?;
        }
        Ok(())
    }
}
