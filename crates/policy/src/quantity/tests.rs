use super::*;
use proptest::prelude::*;

fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn prints_the_canonical_form() {
    let cases = [
        ("0", "0"),
        ("0Ki", "0"),
        ("-", "0"),
        (".", "0"),
        ("m", "0"),
        ("Gi", "0"),
        ("-0", "0"),
        ("00012", "12"),
        ("1.0", "1"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("0.1", "100m"),
        ("0.25", "250m"),
        (".5", "500m"),
        ("1.", "1"),
        ("1500m", "1500m"),
        ("1.5k", "1500"),
        ("1000k", "1M"),
        ("12e6", "12e6"),
        ("12E6", "12e6"),
        ("1e1", "10"),
        ("1e-3", "1e-3"),
        ("1E", "1E"),
        ("1Ki", "1Ki"),
        ("1024Ki", "1Mi"),
        ("1023Ki", "1023Ki"),
        ("1.5Gi", "1536Mi"),
        ("1.5Ki", "1536"),
        ("0.5Mi", "512Ki"),
        ("0.5Ki", "512"),
        ("0.1Ki", "102400m"),
        ("0.00001Ki", "10240u"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("1.0000000001", "1000000001n"),
        ("-1.5Gi", "-1536Mi"),
        ("+5", "5"),
        ("9223372036854775807", "9223372036854775807"),
        ("16Ei", "9223372036854775807"),
        ("1e400", "10e399"),
    ];
    for (text, expected) in cases {
        assert_eq!(quantity(text).to_string(), expected, "{text}");
    }
}

#[test]
fn refuses_other_texts() {
    let cases = [
        ("", QuantityError::Form),
        ("1 Gi", QuantityError::Form),
        ("1.1.1", QuantityError::Form),
        ("five", QuantityError::Form),
        ("1X", QuantityError::Form),
        ("1GiB", QuantityError::Form),
        ("1ki", QuantityError::Suffix),
        ("1K", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("1m5", QuantityError::Suffix),
        ("Pi", QuantityError::Number),
        ("-Ei", QuantityError::Number),
    ];
    for (text, expected) in cases {
        assert_eq!(Quantity::parse(text), Err(expected), "{text}");
    }
}

#[test]
fn compares_by_value() {
    let ascending = [
        "-1e30", "-1Gi", "-1", "0", "1n", "1m", "999m", "1", "1k", "1Ki", "1M", "1Mi", "1E", "1e30", "1e400",
    ];
    for (i, a) in ascending.iter().enumerate() {
        for (j, b) in ascending.iter().enumerate() {
            assert_eq!(quantity(a).cmp(&quantity(b)), i.cmp(&j), "{a} {b}");
        }
    }
    for (a, b) in [("1000m", "1"), ("1Ki", "1024"), ("1e3", "1k"), ("0.5Gi", "512Mi"), ("0", "0Gi")] {
        assert_eq!(quantity(a), quantity(b));
    }
}

#[test]
fn computes() {
    let q = quantity;
    assert_eq!(q("100Mi").checked_add(q("1Gi")).unwrap().to_string(), "1124Mi");
    assert_eq!(q("0").checked_add(q("1Gi")).unwrap().to_string(), "1Gi");
    assert_eq!(q("1").checked_add(q("100m")).unwrap().to_string(), "1100m");
    assert_eq!(q("1Gi").checked_subtract(q("1Gi")).unwrap().to_string(), "0");
    assert_eq!(q("1k").checked_subtract(q("1.5k")).unwrap().to_string(), "-500");
    assert_eq!(q("1Gi").checked_multiply(q("1.5")).unwrap().to_string(), "1536Mi");
    assert_eq!(q("10").checked_divide(q("3")).unwrap().to_string(), "3");
    assert_eq!(q("10.00").checked_divide(q("3")).unwrap().to_string(), "3330m");
    assert_eq!(q("10k").checked_divide(q("4")).unwrap().to_string(), "2500");
    assert_eq!(q("1").checked_divide(q("0")), Err(QuantityError::ZeroDivisor));
    assert_eq!(q("1e30").checked_multiply(q("1e30")).unwrap().to_string(), "1e60");
    assert_eq!(q("1e30").checked_add(q("1n")).unwrap_err(), QuantityError::Range);
}

proptest! {
    #[test]
    fn what_it_prints_equals_what_it_read(text in "-?[0-9]{1,6}(\\.[0-9]{0,4})?(n|u|m|k|M|G|Ki|Mi|Gi|e[0-3])?") {
        let once = quantity(&text);
        prop_assert_eq!(quantity(&once.to_string()), once);
    }

    #[test]
    fn never_panics(a in "[-+0-9.eEinumkKMGTP]{0,50}|\\PC{0,20}", b in "[-+]?[0-9]{1,45}(e-?[0-9]{1,12})?") {
        if let (Ok(a), Ok(b)) = (Quantity::parse(&a), Quantity::parse(&b)) {
            let _ = (a.cmp(&b), a.checked_add(b), a.checked_subtract(b), a.checked_multiply(b), a.checked_divide(b), a.to_string(), b.approximate());
        }
    }
}
