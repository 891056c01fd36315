//! Our entry in somebody else's network configuration. The file belongs to the network plugin's installer, so the text is
//! edited, not rewritten: every byte that is not ours stays as it was, and taking the entry out again gives back the very
//! file. Pure.

use std::ops::Range;

use serde_json::{Map, Value};

use super::spec::VERSIONS;

/// The name of our executable, which is the `type` of our entry.
pub const PLUGIN: &str = "meshward-cni";

/// The largest configuration that is read: real ones have some kilobytes.
pub const LONGEST: usize = 1 << 20;

/// Why a configuration is left alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConflistError {
    /// It is no JSON, or too long.
    #[error("line {line}, column {column}: {reason}")]
    Malformed {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What the parser says.
        reason: String,
    },
    /// It is not a list of plugins.
    #[error("{found}, accepted is an object with one `plugins` array of objects that each have a `type`")]
    Shape {
        /// What is wrong.
        found: String,
    },
    /// Nothing is there to be chained to.
    #[error("`plugins` is empty: there is no network to chain to")]
    Empty,
    /// The runtime would refuse our plugin, and with it every pod.
    #[error("`cniVersion` is {found:?}, accepted are {}", VERSIONS.join(", "))]
    Version {
        /// What is there.
        found: String,
    },
}

/// A configuration, and where in its text the plugins are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflist<'a> {
    text: &'a str,
    plugins: Vec<Plugin>,
    versions: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Plugin {
    place: Range<usize>,
    ours: bool,
}

impl<'a> Conflist<'a> {
    /// Reads a configuration list.
    pub fn parse(text: &'a str) -> Result<Self, ConflistError> {
        if text.len() > LONGEST {
            let reason = format!("{} bytes, accepted are at most {LONGEST}", text.len());
            return Err(ConflistError::Malformed { line: 1, column: 1, reason });
        }
        let value: Value = serde_json::from_str(text).map_err(|error| ConflistError::Malformed {
            line: error.line(),
            column: error.column(),
            reason: error.to_string(),
        })?;
        let shape = |found: &str| ConflistError::Shape { found: found.to_owned() };
        let Value::Object(object) = value else { return Err(shape("the file is no object")) };
        let places = match array_places(text).as_slice() {
            [] => return Err(shape("there is no `plugins` array")),
            [one] => one.clone(),
            _ => return Err(shape("there is more than one `plugins`")),
        };
        let plugins = object.get("plugins").and_then(Value::as_array);
        let plugins = plugins.ok_or_else(|| shape("`plugins` is no array"))?;
        let kinds = plugins.iter().map(|plugin| plugin.get("type").and_then(Value::as_str));
        let kinds: Option<Vec<&str>> = kinds.collect();
        let kinds = kinds.filter(|kinds| kinds.len() == places.len());
        let kinds = kinds.ok_or_else(|| shape("a plugin has no `type`"))?;
        let plugins = places.into_iter().zip(kinds);
        let plugins = plugins.map(|(place, kind)| Plugin { place, ours: kind == PLUGIN }).collect();
        Ok(Self { text, plugins, versions: versions(&object) })
    }

    /// Whether our entry is in it.
    pub fn is_ours(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.ours)
    }

    /// The text with `entry` as our entry, where it is already or else at the end; none when it is just so already.
    pub fn with(&self, entry: &Map<String, Value>) -> Result<Option<String>, ConflistError> {
        // The runtime may choose any of `cniVersions`.
        if let Some(found) = self.versions.iter().find(|version| !VERSIONS.contains(&version.as_str())) {
            return Err(ConflistError::Version { found: found.clone() });
        }
        if self.plugins.iter().all(|plugin| plugin.ours) {
            return Err(ConflistError::Empty);
        }
        let value = Value::Object(entry.clone());
        if let Some(plugin) = self.plugins.iter().find(|plugin| plugin.ours) {
            let there = &self.text[plugin.place.clone()];
            let same = serde_json::from_str::<Value>(there).is_ok_and(|there| there == value);
            return Ok((!same).then(|| self.spliced(plugin.place.clone(), &value.to_string())));
        }
        let last = self.plugins.last().map(|plugin| plugin.place.clone()).ok_or(ConflistError::Empty)?;
        let added = format!(",{}{value}", self.blank_before(last.start));
        Ok(Some(self.spliced(last.end..last.end, &added)))
    }

    /// The text without our entry; none when it is not there.
    pub fn without(&self) -> Option<String> {
        let at = self.plugins.iter().position(|plugin| plugin.ours)?;
        let own = self.plugins[at].place.clone();
        let taken = match (at.checked_sub(1).map(|at| &self.plugins[at]), self.plugins.get(at + 1)) {
            (Some(before), _) => before.place.end..own.end,
            (None, Some(after)) => own.start..after.place.start,
            (None, None) => own,
        };
        let text = self.spliced(taken, "");
        // Twice in one list is somebody's mistake; both are ours to take away.
        let again = Conflist::parse(&text).ok().and_then(|rest| rest.without());
        Some(again.unwrap_or(text))
    }

    fn spliced(&self, place: Range<usize>, with: &str) -> String {
        [&self.text[..place.start], with, &self.text[place.end..]].concat()
    }

    /// The line break and indentation before an entry, or a blank where it shares its line.
    fn blank_before(&self, at: usize) -> &str {
        let before = &self.text[..at];
        let blank = &before[before.trim_end_matches([' ', '\t', '\r', '\n']).len()..];
        if blank.contains('\n') { blank } else { " " }
    }
}

/// `cniVersion` (0.1.0 when it is missing, as the specification says) and `cniVersions`.
fn versions(object: &Map<String, Value>) -> Vec<String> {
    let one = match object.get("cniVersion") {
        None => "0.1.0".to_owned(),
        Some(value) => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
    };
    let more = object.get("cniVersions").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    std::iter::once(one).chain(more.iter().filter_map(Value::as_str).map(str::to_owned)).collect()
}

/// The places of the elements of each array that is the value of a `plugins` key of the outermost object. The text is
/// JSON: that was checked before.
fn array_places(text: &str) -> Vec<Vec<Range<usize>>> {
    let mut arrays = Vec::new();
    let mut walk = Walk { bytes: text.as_bytes(), at: 0 };
    walk.blank();
    walk.at += 1;
    loop {
        walk.blank();
        match walk.byte() {
            Some(b',') => walk.at += 1,
            Some(b'"') => {
                let key = walk.value();
                let key: String = serde_json::from_str(&text[key]).unwrap_or_default();
                walk.blank();
                walk.at += 1;
                walk.blank();
                if key == "plugins" && walk.byte() == Some(b'[') {
                    arrays.push(walk.elements());
                } else {
                    walk.value();
                }
            }
            _ => return arrays,
        }
    }
}

struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Walk<'_> {
    fn byte(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blank(&mut self) {
        while self.byte().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Passes over the elements of the array that begins here.
    fn elements(&mut self) -> Vec<Range<usize>> {
        let mut places = Vec::new();
        self.at += 1;
        loop {
            self.blank();
            match self.byte() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                Some(_) => places.push(self.value()),
                None => return places,
            }
        }
        self.at += 1;
        places
    }

    /// Passes over the value that begins here.
    fn value(&mut self) -> Range<usize> {
        let (start, mut depth) = (self.at, 0_usize);
        while let Some(byte) = self.byte() {
            match byte {
                b'"' => self.string(),
                b'{' | b'[' => depth += 1,
                b'}' | b']' if depth == 0 => break,
                b'}' | b']' => depth -= 1,
                b',' | b' ' | b'\t' | b'\r' | b'\n' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
            if depth == 0 && matches!(byte, b'"' | b'}' | b']') {
                break;
            }
        }
        start..self.at
    }

    /// To the closing quote of the string that begins here.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.byte() {
            match byte {
                b'\\' => self.at += 2,
                b'"' => return,
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const RIG: &str = r#"{
  "cniVersion": "1.0.0",
  "name": "rig",
  "odd": [1e3, 0.10, "}]\"", {"plugins": []}],
  "plugins": [
    {"type": "bridge", "ipam": {"ranges": [[{"subnet": "10.244.0.0/24"}]]}},
    {
      "type": "portmap",
      "capabilities": {"portMappings": true}
    }
  ]
}
"#;

    fn entry() -> Map<String, Value> {
        json!({"type": PLUGIN, "socket": "/run/meshward/cni.sock"}).as_object().unwrap().clone()
    }

    fn with(text: &str) -> Option<String> {
        Conflist::parse(text).unwrap().with(&entry()).unwrap()
    }

    #[test]
    fn the_entry_goes_to_the_end_and_nothing_else_changes() {
        let added = with(RIG).unwrap();
        let ours = ",\n    {\"type\":\"meshward-cni\",\"socket\":\"/run/meshward/cni.sock\"}\n  ]";
        assert_eq!(added, RIG.replace("\n  ]", ours));
        assert_eq!(with(&added), None);
        assert_eq!(Conflist::parse(&added).unwrap().without().unwrap(), RIG);
        assert_eq!(Conflist::parse(RIG).unwrap().without(), None);
    }

    #[test]
    fn an_entry_with_other_settings_is_changed_in_its_place() {
        let text =
            r#"{"cniVersion":"0.3.1","plugins":[{"type":"a"},{"type":"meshward-cni","x":1},{"type":"b"}]}"#;
        let changed = with(text).unwrap();
        assert!(changed.contains(r#"{"type":"a"},{"type":"meshward-cni","socket""#), "{changed}");
        let taken = Conflist::parse(&changed).unwrap().without().unwrap();
        assert_eq!(taken, r#"{"cniVersion":"0.3.1","plugins":[{"type":"a"},{"type":"b"}]}"#);
        let first = r#"{"cniVersion":"1.0.0","plugins":[{"type":"meshward-cni"}, {"type":"meshward-cni"}, {"type":"b"}]}"#;
        let taken = Conflist::parse(first).unwrap().without().unwrap();
        assert_eq!(taken, r#"{"cniVersion":"1.0.0","plugins":[{"type":"b"}]}"#);
    }

    #[test]
    fn what_cannot_be_chained_to_is_refused_with_the_reason() {
        let cases = [
            ("{\"plugins\": [}", "line 1, column 14: expected value"),
            ("[]", "the file is no object"),
            ("{\"type\": \"bridge\"}", "there is no `plugins` array"),
            ("{\"plugins\": 7}", "there is no `plugins` array"),
            ("{\"plugins\": [], \"\\u0070lugins\": []}", "more than one `plugins`"),
            ("{\"cniVersion\": \"1.0.0\", \"plugins\": [{\"name\": \"x\"}]}", "a plugin has no `type`"),
            ("{\"cniVersion\": \"1.0.0\", \"plugins\": []}", "no network to chain to"),
            (
                "{\"cniVersion\": \"1.0.0\", \"plugins\": [{\"type\": \"meshward-cni\"}]}",
                "no network to chain to",
            ),
            ("{\"plugins\": [{\"type\": \"x\"}]}", "`cniVersion` is \"0.1.0\", accepted are 0.3.0"),
            (
                "{\"cniVersion\": \"1.0.0\", \"cniVersions\": [\"1.1.0\", \"2.0.0\"], \"plugins\": [{\"type\": \"x\"}]}",
                "`cniVersion` is \"2.0.0\"",
            ),
        ];
        for (text, expected) in cases {
            let error = Conflist::parse(text).and_then(|list| list.with(&entry())).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[\\PC\"\\\\\\[\\]{},]{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec(("[a-z\"]{0,7}|plugins", inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn in_and_out_again_gives_back_every_byte(
            fields in proptest::collection::vec(("[a-z\"\\\\]{0,7}", value()), 0..4),
            plugins in proptest::collection::vec(value(), 1..4),
            pretty in any::<bool>(),
        ) {
            let mut object: Map<String, Value> = fields.into_iter().collect();
            let plugins = plugins.into_iter().map(|rest| json!({"x": rest, "type": "some"})).collect::<Vec<_>>();
            object.insert("plugins".into(), plugins.into());
            object.insert("cniVersion".into(), "1.1.0".into());
            let value = Value::Object(object.clone());
            let text = if pretty { format!("{value:#}\n") } else { value.to_string() };
            let added = with(&text).unwrap();
            let mut expected = object;
            expected.get_mut("plugins").unwrap().as_array_mut().unwrap().push(Value::Object(entry()));
            prop_assert_eq!(serde_json::from_str::<Value>(&added).unwrap(), Value::Object(expected));
            prop_assert_eq!(Conflist::parse(&added).unwrap().without().unwrap(), text);
        }

        #[test]
        fn any_text_is_taken(text in "[\\PC\n]{0,60}|(plugins|[\"{}:,\\[\\]\\\\ 0a]){0,30}") {
            if let Ok(list) = Conflist::parse(&text) {
                list.without();
            }
        }
    }
}
