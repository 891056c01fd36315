//! What was found, for people and as JSON.

use std::fmt;

use serde::Serialize;

use crate::machine::Machine;
use crate::series::{Series, Summary};

/// Characters of a line of prose.
const LINE: usize = 90;

/// Everything of one run.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) machine: Machine,
    /// Too few runs to rely on.
    pub(crate) quick: bool,
    pub(crate) sections: Vec<Section>,
}

/// One measure.
#[derive(Serialize)]
pub(crate) struct Section {
    pub(crate) title: String,
    /// What the figures are of and how they came about.
    pub(crate) note: String,
    pub(crate) unit: &'static str,
    pub(crate) rows: Vec<Row>,
    pub(crate) targets: Vec<Target>,
}

/// One contender; the first of a section is ours and what the others' ratios refer to.
#[derive(Serialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    #[serde(flatten)]
    pub(crate) summary: Summary,
    /// How many times as much as ours.
    pub(crate) ratio: Option<f64>,
}

/// What was aimed at.
#[derive(Serialize)]
pub(crate) struct Target {
    pub(crate) aim: String,
    pub(crate) found: f64,
    pub(crate) reached: bool,
}

impl Section {
    /// A section with a row for each series, all compared with the first.
    pub(crate) fn new(
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
        Self { title: title.into(), note: note.into(), unit, rows: rows.collect(), targets: Vec::new() }
    }

    /// Aims at a median of ours of at most this.
    pub(crate) fn at_most(mut self, limit: f64, aim: impl Into<String>) -> Self {
        let found = self.rows.first().map_or(f64::NAN, |row| row.summary.median);
        self.targets.push(Target { aim: aim.into(), found, reached: found <= limit });
        self
    }

    /// Aims at one contender being at least so many times faster than another.
    pub(crate) fn faster(mut self, series: &[(String, Series)], ours: &str, peer: &str, factor: f64) -> Self {
        let of = |name: &str| series.iter().find(|(known, _)| known == name).map(|(_, series)| series);
        let found = of(peer).zip(of(ours)).map_or(f64::NAN, |(peer, ours)| peer.ratio_to(ours));
        let aim = format!("{ours} at least {factor} times faster than {peer}");
        self.targets.push(Target { aim, found, reached: found >= factor });
        self
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
        let names = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        writeln!(
            f,
            "  {:names$}  {:>9} {:>9} {:>9} {:>6}  ratio",
            self.unit, "median", "min", "p95", "runs"
        )?;
        for Row { name, summary, ratio } in &self.rows {
            let Summary { median, min, p95, runs } = summary;
            write!(f, "  {name:names$}  {median:>9.3} {min:>9.3} {p95:>9.3} {runs:>6}")?;
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
