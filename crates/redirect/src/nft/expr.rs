//! The expressions a rule of nf_tables is made of: small instructions that load something into a register, compare it,
//! or do something. One type serves both ways, so that what we send and what we read back can be compared.

mod decode;
mod encode;
mod print;

use std::borrow::Cow;

pub(crate) use encode::ANONYMOUS_SET;
pub use print::Printed;

/// A register: 0 takes verdicts, 1 to 4 hold 16 bytes each (`enum nft_registers`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register(pub u32);

impl Register {
    /// Where verdicts go.
    pub const VERDICT: Self = Self(0);
    /// The register that everything of ours goes through.
    pub const FIRST: Self = Self(1);
    /// The second one, for the port of a destination NAT.
    pub const SECOND: Self = Self(2);
}

/// Up to 16 bytes, as wide as a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Value {
    bytes: [u8; 16],
    length: u8,
}

impl Value {
    /// These bytes, nothing when they are more than a register holds.
    pub fn new(data: &[u8]) -> Option<Self> {
        let mut bytes = [0; 16];
        bytes.get_mut(..data.len())?.copy_from_slice(data);
        Some(Self { bytes, length: data.len() as u8 })
    }

    /// `N` bytes; more than 16 does not compile.
    pub fn of<const N: usize>(data: [u8; N]) -> Self {
        const { assert!(N <= 16) };
        let mut bytes = [0; 16];
        bytes[..N].copy_from_slice(&data);
        Self { bytes, length: N as u8 }
    }

    /// `length` zero bytes (at most 16).
    pub fn zero(length: usize) -> Self {
        Self { bytes: [0; 16], length: length.min(16) as u8 }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// A property of the packet itself (`enum nft_meta_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetaKey(pub u32);

impl MetaKey {
    /// Packet mark, host byte order
    pub const MARK: Self = Self(3);
    /// Name of the interface it came in by, 16 bytes
    pub const IIFNAME: Self = Self(6);
    /// Name of the interface it leaves by, 16 bytes
    pub const OIFNAME: Self = Self(7);
    /// User of the sending socket, host byte order
    pub const SKUID: Self = Self(10);
    /// Group of the sending socket, host byte order
    pub const SKGID: Self = Self(11);
    /// Family, 1 byte (`NFPROTO_*`)
    pub const NFPROTO: Self = Self(15);
    /// Transport protocol, 1 byte
    pub const L4PROTO: Self = Self(16);
}

/// A property of the packet's connection (`enum nft_ct_keys`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CtKey(pub u32);

impl CtKey {
    /// State bits, host byte order
    pub const STATE: Self = Self(0);
    /// Connection mark, host byte order
    pub const MARK: Self = Self(3);
    /// Zone, 2 bytes, host byte order
    pub const ZONE: Self = Self(17);
}

/// How two values compare (`enum nft_cmp_ops`; ranges know the first two).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareOp(pub u32);

impl CompareOp {
    /// Equal
    pub const EQ: Self = Self(0);
    /// Not equal
    pub const NEQ: Self = Self(1);
    /// At most
    pub const LTE: Self = Self(3);
    /// At least
    pub const GTE: Self = Self(5);
}

/// Where offsets into the packet count from (`enum nft_payload_bases`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PayloadBase(pub u32);

impl PayloadBase {
    /// The IP header
    pub const NETWORK: Self = Self(1);
    /// The TCP or UDP header
    pub const TRANSPORT: Self = Self(2);
}

/// What becomes of the packet (`enum nft_verdicts` and `NF_*` in linux/netfilter.h).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// Discard it
    Drop,
    /// On to the next hook
    Accept,
    /// Back to the calling chain
    Return,
    /// Through another chain, then on
    Jump(Cow<'a, str>),
    /// Through another chain, not back here
    Goto(Cow<'a, str>),
    /// Any other code
    Other(i32),
}

/// The set of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SetRef<'a> {
    /// One of the rule's own anonymous sets, by its place among them
    Own(usize),
    /// A set of the table, by name
    Named(Cow<'a, str>),
}

/// One expression. Counters count anew with every load, so theirs are not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expr<'a> {
    /// Loads a property of the packet.
    MetaLoad {
        /// Which
        key: MetaKey,
        /// Where to
        to: Register,
    },
    /// Sets a property of the packet.
    MetaSet {
        /// Which
        key: MetaKey,
        /// From where
        from: Register,
    },
    /// Loads a property of the connection.
    CtLoad {
        /// Which
        key: CtKey,
        /// Where to
        to: Register,
    },
    /// Sets a property of the connection.
    CtSet {
        /// Which
        key: CtKey,
        /// From where
        from: Register,
    },
    /// Loads bytes of the packet.
    Payload {
        /// Counted from
        base: PayloadBase,
        /// First byte
        offset: u32,
        /// How many
        length: u32,
        /// Where to
        to: Register,
    },
    /// Goes on only if the register compares so with the value.
    Compare {
        /// The register
        from: Register,
        /// How
        op: CompareOp,
        /// With what
        value: Value,
    },
    /// Goes on only if the register lies in (or outside of) a range, in network byte order.
    Range {
        /// The register
        from: Register,
        /// Equal: inside; not equal: outside
        op: CompareOp,
        /// Lowest
        low: Value,
        /// Highest
        high: Value,
    },
    /// `to = (from & mask) ^ xor`
    Bitwise {
        /// Source
        from: Register,
        /// Destination
        to: Register,
        /// Bits that stay
        mask: Value,
        /// Bits that turn
        xor: Value,
    },
    /// Turns host into network byte order (or back).
    ByteOrder {
        /// Source
        from: Register,
        /// Destination
        to: Register,
        /// Whether to network order
        to_network: bool,
        /// Bytes in all
        length: u32,
        /// Bytes of one number
        size: u32,
    },
    /// Goes on only if the register is (or is not) in a set.
    Lookup {
        /// The register
        from: Register,
        /// The set
        set: SetRef<'a>,
        /// Whether it must not be in it
        invert: bool,
    },
    /// Loads a constant.
    Immediate {
        /// Where to
        to: Register,
        /// The constant
        value: Value,
    },
    /// Decides.
    Verdict(Verdict<'a>),
    /// Counts packets and bytes.
    Counter,
    /// Destination NAT to a port of this host.
    Redirect {
        /// Register with the port, network byte order
        port: Option<Register>,
    },
    /// Destination NAT.
    Dnat {
        /// Family of the address (`NFPROTO_*`)
        family: u8,
        /// Register with the address
        address: Option<Register>,
        /// Register with the port, network byte order
        port: Option<Register>,
    },
    /// Hands the packet to a transparent socket on this port; ends the rule when there is none.
    Tproxy {
        /// Family (`NFPROTO_*`), 0 for both
        family: u8,
        /// Register with the port, network byte order
        port: Register,
    },
    /// Writes a line to the kernel log.
    Log {
        /// Its start
        prefix: Cow<'a, str>,
        /// Syslog level
        level: u32,
    },
    /// Anything else, as the kernel tells it.
    Other {
        /// Its name
        name: Cow<'a, str>,
        /// Its attributes
        data: Cow<'a, [u8]>,
    },
}
