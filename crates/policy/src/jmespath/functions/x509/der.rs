//! Reading DER: tag, length, content.

use std::fmt::Write;

pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// One element.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element<'d> {
    pub(super) tag: u8,
    pub(super) content: &'d [u8],
    /// With tag and length.
    pub(super) raw: &'d [u8],
}

/// The elements in some bytes; it ends at the first malformed one.
#[derive(Debug, Clone)]
pub(super) struct Reader<'d>(&'d [u8]);

impl<'d> Reader<'d> {
    pub(super) fn new(bytes: &'d [u8]) -> Self {
        Self(bytes)
    }

    /// The next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<Element<'d>> {
        self.next().filter(|element| element.tag == tag)
    }

    /// The next element, if it has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Option<Element<'d>> {
        if self.0.first() == Some(&tag) { self.next() } else { None }
    }

    /// The next element, which must be an object identifier, with dots.
    pub(super) fn oid(&mut self) -> Option<String> {
        self.expect(OBJECT_IDENTIFIER)?.dotted()
    }
}

impl<'d> Iterator for Reader<'d> {
    type Item = Element<'d>;

    fn next(&mut self) -> Option<Element<'d>> {
        let (&tag, &first) = (self.0.first()?, self.0.get(1)?);
        let (length, header) = match first {
            0..=0x7f => (usize::from(first), 2),
            0x81..=0x84 => {
                let bytes = self.0.get(2..2 + usize::from(first & 0x7f))?;
                (bytes.iter().fold(0usize, |n, &b| n << 8 | usize::from(b)), 2 + bytes.len())
            }
            _ => return None,
        };
        let raw = self.0.get(..header.checked_add(length)?)?;
        self.0 = &self.0[raw.len()..];
        Some(Element { tag, content: &raw[header..], raw })
    }
}

impl<'d> Element<'d> {
    /// The elements inside.
    pub(super) fn reader(&self) -> Reader<'d> {
        Reader(self.content)
    }

    /// An integer of at most 31 bits that is not negative.
    pub(super) fn small_integer(&self) -> Option<u32> {
        if self.content.is_empty() || self.content.len() > 4 || self.content[0] > 0x7f {
            return None;
        }
        Some(self.content.iter().fold(0, |n, &b| n << 8 | u32::from(b)))
    }

    /// An integer that is not negative, in decimal digits.
    pub(super) fn decimal(&self) -> String {
        const BASE: u64 = 1_000_000_000;
        // Least significant group of nine digits first.
        let mut groups: Vec<u64> = vec![0];
        for &byte in self.content {
            let mut carry = u64::from(byte);
            for group in &mut groups {
                let value = *group * 256 + carry;
                *group = value % BASE;
                carry = value / BASE;
            }
            if carry > 0 {
                groups.push(carry);
            }
        }
        let mut text = groups.last().map(u64::to_string).unwrap_or_default();
        for group in groups.iter().rev().skip(1) {
            // Writing to a String cannot fail.
            let _ = write!(text, "{group:09}");
        }
        text
    }

    /// An object identifier with dots.
    pub(super) fn dotted(&self) -> Option<String> {
        let mut text = String::new();
        let (mut arc, mut first) = (0u32, true);
        for &byte in self.content {
            arc = arc.checked_mul(128)?.checked_add(u32::from(byte & 0x7f))?;
            if byte & 0x80 != 0 {
                continue;
            }
            if first {
                let root = (arc / 40).min(2);
                let _ = write!(text, "{root}.{}", arc - root * 40);
            } else {
                let _ = write!(text, ".{arc}");
            }
            (arc, first) = (0, false);
        }
        let complete = self.content.last().is_some_and(|byte| byte & 0x80 == 0);
        complete.then_some(text)
    }
}
