//! Numbers in text as Go's `strconv` reads and prints them.

/// The finite number that `strconv.ParseFloat` reads, but for hexadecimal ones.
pub fn parse_float(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// A number as `strconv.FormatFloat(x, 'f', -1, 32)` prints it: without exponent, with no more digits than tell it from
/// other 32-bit floats. Kyverno prints numbers so where a function wants text.
pub fn format_float32(value: f64) -> String {
    let single = value as f32;
    if single.is_infinite() {
        return if single > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    single.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints_as_go() {
        for (text, expected) in
            [("1", Some(1.0)), ("+.5", Some(0.5)), ("1.", Some(1.0)), ("1e3", Some(1000.0))]
        {
            assert_eq!(parse_float(text), expected, "{text}");
        }
        for text in ["", " 1", "1_0", "e3", "nan", "inf", "1e999", "."] {
            assert_eq!(parse_float(text), None, "{text}");
        }
        for (value, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (16777217.0, "16777216"),
            (1e21, "1000000000000000000000"),
            (1e39, "+Inf"),
        ] {
            assert_eq!(format_float32(value), expected);
        }
    }
}
