//! Netlink messages and attributes as bytes: written into one buffer, read from whatever came without trusting any
//! length in it.

use super::uapi::{family, nfnl, nl};

/// Writes messages one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

/// Type, flags and sequence number of a message to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// Message type, with the subsystem.
    pub(crate) kind: u16,
    /// `NLM_F_*`
    pub(crate) flags: u16,
    /// Sequence number.
    pub(crate) sequence: u32,
    /// Family of the object, or 0.
    pub(crate) family: u8,
    /// Resource id: the subsystem in batch messages, else 0.
    pub(crate) resource: u16,
}

impl Head {
    /// A message of nf_tables about family inet.
    pub(crate) fn tables(kind: u16, flags: u16, sequence: u32) -> Self {
        let kind = nfnl::SUBSYS_NFTABLES << 8 | kind;
        Self { kind, flags: nl::F_REQUEST | flags, sequence, family: family::INET, resource: 0 }
    }

    /// The start or end of a batch.
    pub(crate) fn batch(kind: u16, sequence: u32) -> Self {
        Self { kind, flags: nl::F_REQUEST, sequence, family: family::UNSPEC, resource: nfnl::SUBSYS_NFTABLES }
    }
}

impl Writer {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes) }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn message(&mut self, head: Head, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&head.kind.to_ne_bytes());
        self.bytes.extend_from_slice(&head.flags.to_ne_bytes());
        self.bytes.extend_from_slice(&head.sequence.to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&[head.family, 0]);
        self.bytes.extend_from_slice(&head.resource.to_be_bytes());
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
    }

    /// Adds flags to the message that starts at this byte.
    pub(crate) fn add_flags(&mut self, start: usize, flags: u16) {
        if let Some([low, high]) = self.bytes.get_mut(start + 6..start + 8) {
            let flags = u16::from_ne_bytes([*low, *high]) | flags;
            [*low, *high] = flags.to_ne_bytes();
        }
    }

    pub(crate) fn attr(&mut self, kind: u16, data: &[u8]) {
        self.attr_parts(kind, &[data]);
    }

    /// One attribute whose data stands in several places.
    pub(crate) fn attr_parts(&mut self, kind: u16, parts: &[&[u8]]) {
        let length = 4 + parts.iter().map(|part| part.len()).sum::<usize>();
        self.bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// Text with its final NUL.
    pub(crate) fn text(&mut self, kind: u16, text: &str) {
        self.attr_parts(kind, &[text.as_bytes(), &[0]]);
    }

    pub(crate) fn be32(&mut self, kind: u16, value: u32) {
        self.attr(kind, &value.to_be_bytes());
    }

    pub(crate) fn nested(&mut self, kind: u16, body: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 4]);
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.bytes[start + 2..start + 4].copy_from_slice(&(kind | nl::ATTR_NESTED).to_ne_bytes());
    }
}

/// One message as it came.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) sequence: u32,
    /// Port of the socket that asked for it, or caused it.
    pub(crate) port: u32,
    /// Everything behind the netlink header.
    pub(crate) body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The nf_tables message type, where it is one of nf_tables.
    pub(crate) fn tables_kind(&self) -> Option<u16> {
        (self.kind >> 8 == nfnl::SUBSYS_NFTABLES).then_some(self.kind & 0xff)
    }

    /// Family of the object it is about.
    pub(crate) fn family(&self) -> u8 {
        self.body.first().copied().unwrap_or(family::UNSPEC)
    }

    /// Low half of the generation the kernel read this from.
    pub(crate) fn generation(&self) -> u16 {
        self.body.get(2..4).and_then(|b| b.try_into().ok()).map_or(0, u16::from_be_bytes)
    }

    /// The attributes of an nf_tables message.
    pub(crate) fn attrs(&self) -> Attrs<'a> {
        Attrs(self.body.get(nfnl::GENERIC_HEADER..).unwrap_or_default())
    }

    /// The errno of an error message; 0 acknowledges.
    pub(crate) fn error(&self) -> Option<i32> {
        (self.kind == nl::ERROR)
            .then(|| self.body.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes))
            .map(|code| code.checked_neg().unwrap_or(i32::MAX))
    }
}

/// The messages in a buffer, up to the first that does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Messages<'a>(pub(crate) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let head = self.0.get(..nl::HEADER)?;
        let length = u32_at(head, 0) as usize;
        let body = self.0.get(nl::HEADER..length)?;
        let message = Message {
            kind: u16_at(head, 4),
            flags: u16_at(head, 6),
            sequence: u32_at(head, 8),
            port: u32_at(head, 12),
            body,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    }
}

/// The attributes in a buffer, up to the first that does not fit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attrs<'a>(pub(crate) &'a [u8]);

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attr<'a> {
    pub(crate) kind: u16,
    pub(crate) data: &'a [u8],
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Attr<'a>;

    fn next(&mut self) -> Option<Attr<'a>> {
        let head = self.0.get(..4)?;
        let length = usize::from(u16_at(head, 0));
        let data = self.0.get(4..length)?;
        let attr = Attr { kind: u16_at(head, 2) & nl::ATTR_TYPE_MASK, data };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some(attr)
    }
}

impl<'a> Attrs<'a> {
    /// The first attribute of this type.
    pub(crate) fn find(self, kind: u16) -> Option<Attr<'a>> {
        let mut attrs = self;
        Iterator::find(&mut attrs, |attr| attr.kind == kind)
    }
}

impl<'a> Attr<'a> {
    pub(crate) fn be32(&self) -> Option<u32> {
        self.data.try_into().ok().map(u32::from_be_bytes)
    }

    /// Text up to its NUL; bytes that are no UTF-8 make it unreadable.
    pub(crate) fn text(&self) -> Option<&'a str> {
        let end = self.data.iter().position(|byte| *byte == 0).unwrap_or(self.data.len());
        std::str::from_utf8(&self.data[..end]).ok()
    }

    pub(crate) fn nested(&self) -> Attrs<'a> {
        Attrs(self.data)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    bytes.get(at..at + 2).and_then(|b| b.try_into().ok()).map_or(0, u16::from_ne_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_ne_bytes)
}

/// The value of one type in user data (type, length, value, one behind the other).
pub(crate) fn user_data(mut bytes: &[u8], kind: u8) -> Option<&[u8]> {
    while let [found, length, rest @ ..] = bytes {
        let value = rest.get(..usize::from(*length))?;
        if *found == kind {
            return Some(value);
        }
        bytes = &rest[value.len()..];
    }
    None
}
