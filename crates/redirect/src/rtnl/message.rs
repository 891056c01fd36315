//! Netlink framing for the routing family: messages out, messages and acknowledgements in. Pure; every byte that
//! comes in is bounds-checked, because a malformed answer must be an error and never a panic.
//!
//! Layout: `struct nlmsghdr` and `struct nlattr` (linux/netlink.h), host byte order, aligned to four bytes.

const HEADER: usize = 16;
const ALIGN: usize = 4;
/// `NLM_F_REQUEST`
const REQUEST: u16 = 0x1;
/// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`, which are no part of an attribute's type.
const TYPE_FLAGS: u16 = 0xc000;

/// `NLM_F_ACK`
pub(super) const ACK: u16 = 0x4;
/// `NLM_F_DUMP_INTR`: the table changed while it was listed
pub(super) const DUMP_INTERRUPTED: u16 = 0x10;
/// `NLM_F_DUMP` (`NLM_F_ROOT | NLM_F_MATCH`)
pub(super) const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`
pub(super) const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`
pub(super) const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`
pub(super) const CREATE: u16 = 0x400;

/// `NLMSG_ERROR`: an error, or with code 0 an acknowledgement
const KIND_ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a listing
const KIND_DONE: u16 = 3;

/// One request as it is built.
#[derive(Debug)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// A request of this type; `header` is the family's own fixed part (`struct rtmsg`, `struct ifaddrmsg`…).
    pub(super) fn new(kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(header);
        let mut message = Self(bytes);
        message.align();
        message
    }

    /// Appends an attribute.
    pub(super) fn attribute(mut self, kind: u16, payload: &[u8]) -> Self {
        self.open(kind, payload.len());
        self.0.extend_from_slice(payload);
        self.align();
        self
    }

    /// Appends a number.
    pub(super) fn number(self, kind: u16, value: u32) -> Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Appends a name, with the terminating zero that older kernels insist on.
    pub(super) fn name(self, kind: u16, name: &str) -> Self {
        let mut payload = name.as_bytes().to_vec();
        payload.push(0);
        self.attribute(kind, &payload)
    }

    /// Appends an attribute whose payload is `fixed` and then what `content` appends.
    pub(super) fn nest(mut self, kind: u16, fixed: &[u8], content: impl FnOnce(Self) -> Self) -> Self {
        let start = self.0.len();
        self.open(kind, 0);
        self.0.extend_from_slice(fixed);
        self.align();
        let mut message = content(self);
        let length = (message.0.len() - start) as u16;
        message.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        message
    }

    fn open(&mut self, kind: u16, payload: usize) {
        // Every payload here is a number, an address or an interface name: far below the 64 KiB an attribute holds.
        debug_assert!(payload < 1024);
        self.0.extend_from_slice(&((ALIGN + payload) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
    }

    fn align(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
    }

    /// The bytes to send, under this sequence number.
    pub(super) fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }
}

/// One message as it came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Received<'a> {
    /// `NLM_F_*`
    pub(super) flags: u16,
    /// Which request it answers.
    pub(super) sequence: u32,
    /// What it says.
    pub(super) content: Content<'a>,
}

/// What a message says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// The request was carried out.
    Acknowledged,
    /// The request was refused with this errno.
    Refused(i32),
    /// End of a listing.
    Done,
    /// An object of this type.
    Object(u16, &'a [u8]),
}

/// An answer that does not follow the framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// The messages in one datagram.
pub(super) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Result<Received<'_>, Malformed>> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((message, rest)) = split(bytes) else {
            bytes = &[];
            return Some(Err(Malformed));
        };
        bytes = rest;
        Some(parse(message))
    })
}

/// The first message and what follows it.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = u32_at(bytes, 0)? as usize;
    if length < HEADER {
        return None;
    }
    let message = bytes.get(..length)?;
    Some((message, bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or(&[])))
}

fn parse(message: &[u8]) -> Result<Received<'_>, Malformed> {
    let (header, payload) = message.split_at_checked(HEADER).ok_or(Malformed)?;
    let kind = u16_at(header, 4).ok_or(Malformed)?;
    let code = || u32_at(payload, 0).map(|code| code as i32);
    let content = match kind {
        KIND_ERROR => match code().ok_or(Malformed)? {
            0 => Content::Acknowledged,
            // Errors are negative; anything else does not come from a kernel.
            code if code < 0 => Content::Refused(code.checked_neg().ok_or(Malformed)?),
            _ => return Err(Malformed),
        },
        KIND_DONE => match code() {
            // A listing that fails half-way says so here (netlink_dump_done, net/netlink/af_netlink.c).
            Some(code) if code < 0 => Content::Refused(code.checked_neg().ok_or(Malformed)?),
            _ => Content::Done,
        },
        kind => Content::Object(kind, payload),
    };
    let flags = u16_at(header, 6).ok_or(Malformed)?;
    let sequence = u32_at(header, 8).ok_or(Malformed)?;
    Ok(Received { flags, sequence, content })
}

/// The attributes of an object, type and payload; ends at the first that does not fit.
pub(super) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & !TYPE_FLAGS;
        let payload = bytes.get(ALIGN..length)?;
        bytes = bytes.get(length.next_multiple_of(ALIGN)..).unwrap_or(&[]);
        Some((kind, payload))
    })
}

/// The number at this offset.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn attribute_list() -> impl Strategy<Value = Vec<(u16, Vec<u8>)>> {
        prop::collection::vec((0u16..0x4000, prop::collection::vec(any::<u8>(), 0..40)), 0..8)
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let read = messages(&bytes).count();
            prop_assert!(read <= bytes.len() / HEADER + 1);
            prop_assert!(attributes(&bytes).count() <= bytes.len() / ALIGN);
        }

        #[test]
        fn a_cut_message_is_an_error(header in prop::collection::vec(any::<u8>(), 0..20), cut in 1usize..16) {
            let bytes = Message::new(24, 0, &header).finish(1);
            let cut = &bytes[..bytes.len() - cut];
            prop_assert!(cut.is_empty() || messages(cut).any(|message| message.is_err()));
        }

        #[test]
        fn what_is_written_is_read_back(kind in 16u16..200, sequence: u32, header in prop::collection::vec(any::<u8>(), 12..13), list in attribute_list()) {
            let message = list.iter().fold(Message::new(kind, ACK, &header), |message, (kind, payload)| message.attribute(*kind, payload));
            let mut bytes = message.finish(sequence);
            let one = bytes.clone();
            bytes.extend_from_slice(&one);
            let read: Vec<_> = messages(&bytes).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), 2);
            for message in read {
                prop_assert_eq!(message.sequence, sequence);
                prop_assert_eq!(message.flags, ACK | REQUEST);
                let Content::Object(found, payload) = message.content else { panic!("not an object") };
                prop_assert_eq!(found, kind);
                prop_assert_eq!(&payload[..12], &header[..]);
                let found: Vec<(u16, Vec<u8>)> = attributes(&payload[12..]).map(|(kind, payload)| (kind, payload.to_vec())).collect();
                prop_assert_eq!(&found, &list);
            }
        }
    }

    #[test]
    fn acknowledgements_are_told_from_errors() {
        let ack =
            |code: i32| Message::new(KIND_ERROR, 0, &[&code.to_ne_bytes()[..], &[0; 16]].concat()).finish(7);
        let content =
            |code| messages(&ack(code)).next().map(|read| read.map(|read| format!("{:?}", read.content)));
        assert_eq!(content(0), Some(Ok("Acknowledged".into())));
        assert_eq!(content(-17), Some(Ok("Refused(17)".into())));
        assert_eq!(content(1), Some(Err(Malformed)));
        assert_eq!(content(i32::MIN), Some(Err(Malformed)));
    }

    #[test]
    fn a_nest_holds_its_fixed_part_and_its_attributes() {
        let bytes = Message::new(16, 0, &[]).nest(18, &[1, 2], |m| m.number(5, 9)).finish(1);
        let (kind, payload) = attributes(&bytes[HEADER..]).next().unwrap();
        assert_eq!((kind, &payload[..2]), (18, &[1u8, 2][..]));
        assert_eq!(attributes(&payload[4..]).next(), Some((5, &9u32.to_ne_bytes()[..])));
    }
}
