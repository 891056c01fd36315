//! What was found, as a table and as JSON.

use std::fmt;

use serde_json::{Value, json};

/// All figures of one run.
#[derive(Default)]
pub(crate) struct Figures {
    rows: Vec<Row>,
    aims: Vec<Aim>,
}

struct Row {
    what: String,
    who: &'static str,
    values: Vec<(&'static str, f64)>,
}

struct Aim {
    text: String,
    found: f64,
    reached: bool,
}

impl Figures {
    pub(crate) fn push(
        &mut self,
        what: impl Into<String>,
        who: &'static str,
        values: &[(&'static str, f64)],
    ) {
        let row = Row { what: what.into(), who, values: values.to_vec() };
        eprintln!("{row}");
        self.rows.push(row);
    }

    /// The figure of a row.
    pub(crate) fn get(&self, what: &str, who: &str, name: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.what == what && row.who == who)?;
        row.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// What was aimed at; nothing where a figure of it is missing.
    pub(crate) fn aim(&mut self, text: &str, found: Option<f64>, reached: impl Fn(f64) -> bool) {
        if let Some(found) = found {
            self.aims.push(Aim { text: text.into(), found, reached: reached(found) });
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        let row = |row: &Row| {
            let values: serde_json::Map<_, _> =
                row.values.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
            json!({"what": row.what, "who": row.who, "values": values})
        };
        let aim = |aim: &Aim| json!({"aim": aim.text, "found": aim.found, "reached": aim.reached});
        json!({
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "aims": self.aims.iter().map(aim).collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {:<58} {:<9}", self.what, self.who)?;
        self.values.iter().try_for_each(|(name, value)| write!(f, "  {value:>10.2} {name}"))
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.iter().try_for_each(|row| writeln!(f, "{row}"))?;
        self.aims.iter().try_for_each(|aim| {
            let verdict = if aim.reached { "reached" } else { "NOT reached" };
            writeln!(f, "  target: {}: {verdict} ({:.2})", aim.text, aim.found)
        })
    }
}
