//! The settings in force, for `--print-settings` and the admin socket.

use serde::{Deserialize, Serialize};

use super::table::SETTINGS;
use super::value::Values;

/// One setting in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingValue {
    /// Its name.
    pub name: String,
    /// Its value as given.
    pub value: String,
    /// Where it comes from.
    pub origin: String,
    /// Whether a change of the file applies without a restart.
    pub reloadable: bool,
}

impl Values {
    /// Every setting that has a value, in the order of the table.
    pub fn list(&self) -> Vec<SettingValue> {
        let values = SETTINGS.iter().filter_map(|setting| {
            let given = self.get(setting.name)?;
            Some(SettingValue {
                name: setting.name.to_string(),
                value: given.text.clone(),
                origin: given.origin.to_string(),
                reloadable: setting.reloadable,
            })
        });
        values.collect()
    }

    /// A configuration file that says the same, with the origin of each value in a comment.
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        let mut section = "";
        for setting in SETTINGS {
            let Some(given) = self.get(setting.name) else { continue };
            if setting.section != section {
                section = setting.section;
                text.push_str(&format!("# {section}\n"));
            }
            let line = format!("{}: {}", setting.name, scalar(&given.text));
            text.push_str(&format!("{line:<44} # {}\n", given.origin));
        }
        text
    }
}

/// Plain where that cannot mean anything else in YAML, otherwise quoted (JSON strings are YAML).
fn scalar(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/,=".contains(&byte);
    let starts = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
    if starts && text.bytes().all(plain) { text.to_string() } else { format!("{text:?}") }
}
