//! Base64 as Go's `base64.StdEncoding` has it: padding is required, line breaks are skipped, the unused bits of the
//! last digit are ignored.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Encodes bytes.
pub fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().fold(0u32, |group, &byte| group << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let bits = group >> (18 - 6 * digit) & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[bits as usize]) } else { '=' });
        }
    }
    text
}

/// Decodes a text; the error is the offset of the first byte that is not base64.
///
/// # Errors
/// The offset.
pub fn decode(text: &str) -> Result<Vec<u8>, usize> {
    let digits: Vec<(usize, u8)> =
        text.bytes().enumerate().filter(|(_, b)| !matches!(b, b'\r' | b'\n')).collect();
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    for (index, group) in digits.chunks(4).enumerate() {
        let last = (index + 1) * 4 >= digits.len();
        let padding =
            if last { group.iter().rev().take(2).take_while(|(_, b)| *b == b'=').count() } else { 0 };
        let mut bits = 0u32;
        for &(offset, byte) in &group[..group.len() - padding] {
            let value = DIGITS.iter().position(|digit| *digit == byte).ok_or(offset)?;
            bits = bits << 6 | value as u32;
        }
        if group.len() < 4 {
            return Err(text.len());
        }
        bits <<= 6 * padding;
        bytes.extend_from_slice(&bits.to_be_bytes()[1..4 - padding]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn decodes_as_go() {
        assert_eq!(decode("SGVsbG8sIHdvcmxkIQ=="), Ok(b"Hello, world!".to_vec()));
        assert_eq!(decode("SGVs\r\nbG8="), Ok(b"Hello".to_vec()));
        assert_eq!(decode("SGVsbG9="), Ok(b"Hello".to_vec()), "stray bits");
        assert_eq!(decode(""), Ok(vec![]));
        assert_eq!(decode("SGVsbG8"), Err(7), "padding is required");
        assert_eq!(decode("SG=sbG8="), Err(2));
        assert_eq!(decode("=AAA"), Err(0));
        assert_eq!(decode("A==="), Err(1));
        assert_eq!(decode("SGVs bG8="), Err(4));
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }

        #[test]
        fn never_panics(text in "[A-Z=\\n]{0,12}|\\PC{0,12}") {
            let _ = decode(&text);
        }
    }
}
