//! What a YAML scalar means: go-yaml v2's resolution (`resolve.go`), then `sigs.k8s.io/yaml`'s conversion to JSON. The
//! rules are YAML 1.1's with Go's number syntax, which no YAML 1.2 library follows.

use std::borrow::Cow;

use serde_json::{Number, Value};

use crate::{error::Problem, timestamp};

/// A scalar before it becomes a JSON value or a key: the two conversions differ for floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// Above `i64::MAX`.
    Unsigned(u64),
    Float(f64),
    /// A JSON number with a point or an exponent: unlike in YAML, `1.0` stays a float.
    Exact(Number),
    Text(String),
}

/// The tags go-yaml resolves, without `tag:yaml.org,2002:`.
const RESOLVED_TAGS: [&str; 6] = ["str", "bool", "int", "float", "null", "timestamp"];
const SHOWN_CHARS: usize = 40;

impl Scalar {
    /// An untagged plain scalar.
    pub(crate) fn plain(text: Cow<'_, str>) -> Scalar {
        let source = &*text;
        match source.as_bytes().first() {
            None => Some(Scalar::Null),
            Some(b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~') => word(source),
            Some(b'.') => dotted(source),
            Some(b'0'..=b'9' | b'+' | b'-') => number(source),
            Some(_) => None,
        }
        .unwrap_or_else(|| Scalar::Text(text.into_owned()))
    }

    /// A scalar under an explicit tag of the `tag:yaml.org,2002:` family; other tags only mean "text".
    pub(crate) fn tagged(tag: &str, text: &str) -> Result<Scalar, Problem> {
        if tag == "binary" {
            let bytes = base64(text).ok_or_else(|| bad_tag(tag, text))?;
            return Ok(Scalar::Text(go_text(&bytes)));
        }
        if tag == "str" || !RESOLVED_TAGS.contains(&tag) {
            return Ok(Scalar::Text(text.to_owned()));
        }
        match (tag, Scalar::plain(Cow::Borrowed(text))) {
            ("null", Scalar::Null) => Ok(Scalar::Null),
            ("bool", scalar @ Scalar::Bool(_))
            | ("int", scalar @ (Scalar::Int(_) | Scalar::Unsigned(_)))
            | ("float", scalar @ Scalar::Float(_)) => Ok(scalar),
            ("float", Scalar::Int(int)) => Ok(Scalar::Float(int as f64)),
            ("timestamp", Scalar::Text(text)) if timestamp::is_timestamp(&text) => Ok(Scalar::Text(text)),
            _ => Err(bad_tag(tag, text)),
        }
    }

    /// The JSON value.
    pub(crate) fn into_value(self) -> Result<Value, Problem> {
        Ok(match self {
            Scalar::Null => Value::Null,
            Scalar::Bool(bool) => bool.into(),
            Scalar::Int(int) => int.into(),
            Scalar::Unsigned(int) => int.into(),
            Scalar::Float(float) => float_value(float)?,
            Scalar::Exact(number) => Value::Number(number),
            Scalar::Text(text) => Value::String(text),
        })
    }

    /// The JSON object key.
    pub(crate) fn into_key(self) -> Result<String, Problem> {
        match self {
            Scalar::Text(text) => Ok(text),
            Scalar::Bool(bool) => Ok(bool.to_string()),
            Scalar::Int(int) => Ok(int.to_string()),
            Scalar::Float(float) => Ok(float_key(float)),
            Scalar::Exact(number) => Ok(number.to_string()),
            Scalar::Unsigned(_) => Err(Problem::MapKey { found: "an integer above 9223372036854775807" }),
            Scalar::Null => Err(Problem::MapKey { found: "null" }),
        }
    }
}

fn bad_tag(tag: &str, text: &str) -> Problem {
    let value = text.chars().take(SHOWN_CHARS).collect();
    Problem::Tag { tag: format!("!!{tag}"), value }
}

fn word(text: &str) -> Option<Scalar> {
    match text {
        "~" | "null" | "Null" | "NULL" => Some(Scalar::Null),
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Scalar::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Scalar::Bool(false))
        }
        _ => None,
    }
}

/// A scalar that begins with a dot. Go's `ParseFloat` takes `_` only between digits, here and nowhere else.
fn dotted(text: &str) -> Option<Scalar> {
    match text {
        ".inf" | ".Inf" | ".INF" => return Some(Scalar::Float(f64::INFINITY)),
        ".nan" | ".NaN" | ".NAN" => return Some(Scalar::Float(f64::NAN)),
        _ => {}
    }
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let separators_fit =
        bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || (digit(at - 1) && digit(at + 1)));
    if !separators_fit {
        return None;
    }
    float(&text.replace('_', ""))
}

fn number(text: &str) -> Option<Scalar> {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Some(Scalar::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => return Some(Scalar::Float(f64::NEG_INFINITY)),
        _ => {}
    }
    if !text.contains('_') { integer(text).or_else(|| float(text)) } else { number(&text.replace('_', "")) }
}

/// Go's `ParseInt` and `ParseUint` with base 0: `0x`, `0o`, `0b` in either case, a leading zero for octal.
fn integer(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let signed = digits.len() != text.len();
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.bytes().any(|byte| !byte.is_ascii_alphanumeric()) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    match (negative, i64::try_from(magnitude)) {
        (false, Ok(int)) => Some(Scalar::Int(int)),
        (true, Ok(int)) => Some(Scalar::Int(-int)),
        (true, Err(_)) if magnitude == i64::MIN.unsigned_abs() => Some(Scalar::Int(i64::MIN)),
        (false, Err(_)) if !signed => Some(Scalar::Unsigned(magnitude)),
        _ => None,
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, in range.
fn float(text: &str) -> Option<Scalar> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let shaped = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    if !shaped {
        return None;
    }
    text.parse().ok().filter(|float: &f64| float.is_finite()).map(Scalar::Float)
}

/// Go writes a whole float without a point or an exponent below 1e21, so the next reader takes it for an integer.
fn float_value(float: f64) -> Result<Value, Problem> {
    if float == 0.0 {
        return Ok(Value::from(0));
    }
    if float.fract() == 0.0 && float.abs() < 1e21 {
        let text = float.to_string();
        if let Ok(int) = text.parse::<i64>() {
            return Ok(int.into());
        }
        if let Ok(int) = text.parse::<u64>() {
            return Ok(int.into());
        }
    }
    let not_finite = || Problem::NotFinite { value: float_key(float) };
    Number::from_f64(float).map(Value::Number).ok_or_else(not_finite)
}

/// `strconv.FormatFloat(float, 'g', -1, 32)`, as `sigs.k8s.io/yaml` writes float keys: the shortest digits of the
/// 32-bit float, in exponent form below 1e-4 and from 1e6 on.
fn float_key(float: f64) -> String {
    let single = float as f32;
    if single.is_nan() {
        return ".nan".to_owned();
    }
    if single.is_infinite() {
        return if single > 0.0 { ".inf" } else { "-.inf" }.to_owned();
    }
    let scientific = format!("{single:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or_default();
    if (-4..GO_SHORTEST_EXPONENT).contains(&exponent) {
        return single.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// `eprec` in Go's `strconv/ftoa.go` for the shortest `%g`.
const GO_SHORTEST_EXPONENT: i32 = 6;

/// Bytes as Go's `encoding/json` writes them: U+FFFD for each byte that is not UTF-8.
fn go_text(bytes: &[u8]) -> String {
    let replaced =
        |chunk: std::str::Utf8Chunk<'_>| chunk.valid().to_owned() + &"\u{fffd}".repeat(chunk.invalid().len());
    bytes.utf8_chunks().map(replaced).collect()
}

/// Go's `base64.StdEncoding`: padded, line breaks ignored.
fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let mut group = [0u8; 4];
    let (mut filled, mut padding) = (0, 0);
    for byte in text.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        let sextet = match byte {
            b'=' if filled >= 2 => {
                padding += 1;
                0
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        group[filled] = sextet;
        filled += 1;
        if filled == 4 {
            let [a, b, c, d] = group;
            let decoded = [a << 2 | b >> 4, b << 4 | c >> 2, c << 6 | d];
            bytes.extend_from_slice(&decoded[..3 - padding]);
            filled = 0;
        }
    }
    (filled == 0 && padding <= 2).then_some(bytes)
}
