//! Some meshes hand over their whole resolved configuration as one document (an annotation, a file, a variable). Here
//! such a document becomes settings: each known path sets the option of the same meaning, with its own origin, so
//! that flags and document share one parser and one error text.
//!
//! Go's decoder is the model: keys match without regard to case, `null` and absent both keep the default, and an
//! unknown key is ignored. The last is a remark here, because it is nearly always a misspelling.

use serde_json::Value;

use super::lint::Lint;
use super::nearest::nearest;
use super::settings::{InvalidOption, Origin, Setting};
use crate::net::{InvalidValue, visible};

/// Elements an array may have; the option itself is bounded again when it is parsed.
const MOST_ELEMENTS: usize = 1024;

/// One path of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// Keys joined by dots.
    pub(crate) path: &'static str,
    /// The option it sets.
    pub(crate) option: &'static str,
    /// What it holds.
    pub(crate) shape: Shape,
}

/// What a path holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `true` or `false`
    Switch,
    /// A text or a number.
    Scalar,
    /// An array of texts or numbers, or one of either, joined by commas.
    Ports,
    /// An array of texts or numbers, joined by this character.
    List(char),
    /// Anything; it concerns the mesh's own program only.
    Ignored,
}

impl Shape {
    fn accepted(self) -> &'static str {
        match self {
            Shape::Switch => "true or false",
            Shape::Scalar => "a text or a number",
            Shape::Ports => "a list of ports",
            Shape::List(';') => "a list of texts without semicolons",
            Shape::List(_) => "a list of texts",
            Shape::Ignored => "anything",
        }
    }

    fn text(self, value: &Value) -> Result<String, InvalidValue> {
        match (self, value) {
            (Shape::Switch, Value::Bool(on)) => Ok(on.to_string()),
            (Shape::Scalar | Shape::Ports, Value::String(_) | Value::Number(_)) => Ok(scalar(value)),
            (Shape::Ports, Value::Array(elements)) => self.join(elements, ','),
            (Shape::List(separator), Value::Array(elements)) => self.join(elements, separator),
            _ => Err(InvalidValue::new(&value.to_string(), self.accepted())),
        }
    }

    fn join(self, elements: &[Value], separator: char) -> Result<String, InvalidValue> {
        let invalid = |element: &Value| InvalidValue::new(&element.to_string(), self.accepted());
        if elements.len() > MOST_ELEMENTS {
            return Err(InvalidValue::new(&format!("{} elements", elements.len()), "at most 1024 elements"));
        }
        let mut text = String::new();
        for (index, element) in elements.iter().enumerate() {
            let part = match element {
                Value::String(_) | Value::Number(_) => scalar(element),
                _ => return Err(invalid(element)),
            };
            // Joined with a comma, an element with a comma reads as two, as it does in Go; any other separator is
            // ours alone and must not be smuggled in.
            if separator != ',' && part.contains(separator) {
                return Err(invalid(element));
            }
            if index > 0 {
                text.push(separator);
            }
            text.push_str(&part);
        }
        Ok(text)
    }
}

fn scalar(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

/// A document as it is read.
pub(crate) struct Reader<'a, O> {
    /// Every path the document may have.
    pub(crate) fields: &'static [Field],
    /// The option to blame for what is wrong with the document as a whole.
    pub(crate) option: &'static str,
    /// Where a path's value comes from.
    pub(crate) origin: &'a O,
}

/// What a document says.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// One setting for each known path.
    pub(crate) settings: Vec<Setting>,
    /// Unknown keys.
    pub(crate) lints: Vec<Lint>,
}

impl<O: Fn(&str) -> Origin> Reader<'_, O> {
    /// Reads the whole document, or says what is wrong with the first path that is not accepted.
    pub(crate) fn read(&self, document: &Value) -> Result<Reading, InvalidOption> {
        let mut reading = Reading::default();
        self.section(document, "", &mut reading)?;
        Ok(reading)
    }

    fn section(&self, value: &Value, prefix: &str, reading: &mut Reading) -> Result<(), InvalidOption> {
        let entries = match value {
            Value::Object(entries) => entries,
            Value::Null => return Ok(()),
            other => {
                let problem = InvalidValue::new(&other.to_string(), "an object");
                return Err(self.invalid(self.option, prefix.trim_end_matches('.'), problem));
            }
        };
        for (key, value) in entries {
            let path = format!("{prefix}{key}");
            if let Some(field) = self.fields.iter().find(|field| field.path.eq_ignore_ascii_case(&path)) {
                self.field(field, value, reading)?;
            } else if let Some(section) = self.known_section(&path) {
                self.section(value, section, reading)?;
            } else {
                reading.lints.push(self.unknown(prefix, key, &path));
            }
        }
        Ok(())
    }

    fn field(&self, field: &Field, value: &Value, reading: &mut Reading) -> Result<(), InvalidOption> {
        if field.shape == Shape::Ignored || value.is_null() {
            return Ok(());
        }
        let value =
            field.shape.text(value).map_err(|problem| self.invalid(field.option, field.path, problem))?;
        reading.settings.push(Setting { option: field.option, value, origin: (self.origin)(field.path) });
        Ok(())
    }

    /// The section of this path as the table writes it, with a dot at its end.
    fn known_section(&self, path: &str) -> Option<&'static str> {
        self.fields.iter().find_map(|field| {
            let head = field.path.get(..=path.len())?;
            (head.ends_with('.') && head[..path.len()].eq_ignore_ascii_case(path)).then_some(head)
        })
    }

    fn unknown(&self, prefix: &str, key: &str, path: &str) -> Lint {
        let siblings = self
            .fields
            .iter()
            .filter_map(|field| field.path.strip_prefix(prefix))
            .map(|rest| rest.split('.').next().unwrap_or(rest));
        let path = visible(path);
        let message = match nearest(key, siblings) {
            Some(known) => format!("unknown key {path}: ignored (the nearest known one is {prefix}{known})"),
            None => format!("unknown key {path}: ignored"),
        };
        Lint { option: self.option, message }
    }

    fn invalid(&self, option: &'static str, path: &str, problem: InvalidValue) -> InvalidOption {
        let path = if path.is_empty() { "the whole document" } else { path };
        InvalidOption { option, origin: (self.origin)(path), problem: problem.to_string() }
    }
}
