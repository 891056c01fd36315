//! Expressions as the kernel takes them.

use super::{Expr, Register, SetRef, Value, Verdict};
use crate::nft::uapi::{attr, expr as a};
use crate::nft::wire::Writer;

/// `NF_NAT_RANGE_PROTO_SPECIFIED` (linux/netfilter/nf_nat.h): the port is to be changed too.
const PORT_GIVEN: u32 = 2;
/// `NFT_NAT_DNAT`
pub(super) const DNAT: u32 = 1;
/// `NFT_LOOKUP_F_INV`
pub(super) const INVERT: u32 = 1;
/// `NFT_BYTEORDER_HTON`
pub(super) const TO_NETWORK: u32 = 1;

/// The name under which a batch asks the kernel to name an anonymous set itself.
pub(crate) const ANONYMOUS_SET: &str = "__set%d";

impl Verdict<'_> {
    /// The kernel's number.
    pub(super) fn code(&self) -> i32 {
        match self {
            Verdict::Drop => 0,
            Verdict::Accept => 1,
            Verdict::Jump(_) => -3,
            Verdict::Goto(_) => -4,
            Verdict::Return => -5,
            Verdict::Other(code) => *code,
        }
    }
}

impl Expr<'_> {
    /// The kernel's name for it.
    pub(crate) fn name(&self) -> &str {
        match self {
            Expr::MetaLoad { .. } | Expr::MetaSet { .. } => "meta",
            Expr::CtLoad { .. } | Expr::CtSet { .. } => "ct",
            Expr::Payload { .. } => "payload",
            Expr::Compare { .. } => "cmp",
            Expr::Range { .. } => "range",
            Expr::Bitwise { .. } => "bitwise",
            Expr::ByteOrder { .. } => "byteorder",
            Expr::Lookup { .. } => "lookup",
            Expr::Immediate { .. } | Expr::Verdict(_) => "immediate",
            Expr::Counter => "counter",
            Expr::Redirect { .. } => "redir",
            Expr::Dnat { .. } => "nat",
            Expr::Tproxy { .. } => "tproxy",
            Expr::Log { .. } => "log",
            Expr::Other { name, .. } => name,
        }
    }

    /// Writes it as one element of a rule's list; `first_set` is the id of the rule's first anonymous set.
    pub(crate) fn encode(&self, out: &mut Writer, first_set: u32) {
        out.nested(attr::LIST_ELEM, |out| {
            out.text(attr::EXPR_NAME, self.name());
            if let Expr::Other { data, .. } = self {
                out.attr(attr::EXPR_DATA, data);
            } else {
                out.nested(attr::EXPR_DATA, |out| self.encode_data(out, first_set));
            }
        });
    }

    fn encode_data(&self, out: &mut Writer, first_set: u32) {
        match self {
            Expr::MetaLoad { key, to } => load(out, a::META_KEY, key.0, a::META_DREG, *to),
            Expr::MetaSet { key, from } => load(out, a::META_KEY, key.0, a::META_SREG, *from),
            Expr::CtLoad { key, to } => load(out, a::CT_KEY, key.0, a::CT_DREG, *to),
            Expr::CtSet { key, from } => load(out, a::CT_KEY, key.0, a::CT_SREG, *from),
            Expr::Payload { base, offset, length, to } => {
                out.be32(a::PAYLOAD_DREG, to.0);
                out.be32(a::PAYLOAD_BASE, base.0);
                out.be32(a::PAYLOAD_OFFSET, *offset);
                out.be32(a::PAYLOAD_LEN, *length);
            }
            Expr::Lookup { from, set, invert } => encode_lookup(out, *from, set, *invert, first_set),
            Expr::Immediate { to, value } => {
                out.be32(a::IMMEDIATE_DREG, to.0);
                data(out, a::IMMEDIATE_DATA, value);
            }
            Expr::Verdict(verdict) => encode_verdict(out, verdict),
            Expr::Counter => {
                out.attr(a::COUNTER_BYTES, &[0; 8]);
                out.attr(a::COUNTER_PACKETS, &[0; 8]);
            }
            Expr::Log { prefix, level } => {
                if !prefix.is_empty() {
                    out.text(a::LOG_PREFIX, prefix);
                }
                out.be32(a::LOG_LEVEL, *level);
            }
            Expr::Redirect { .. } | Expr::Dnat { .. } | Expr::Tproxy { .. } => self.encode_target(out),
            _ => self.encode_operation(out),
        }
    }

    fn encode_operation(&self, out: &mut Writer) {
        match self {
            Expr::Compare { from, op, value } => {
                out.be32(a::CMP_SREG, from.0);
                out.be32(a::CMP_OP, op.0);
                data(out, a::CMP_DATA, value);
            }
            Expr::Range { from, op, low, high } => {
                out.be32(a::RANGE_SREG, from.0);
                out.be32(a::RANGE_OP, op.0);
                data(out, a::RANGE_FROM, low);
                data(out, a::RANGE_TO, high);
            }
            Expr::Bitwise { from, to, mask, xor } => {
                out.be32(a::BITWISE_SREG, from.0);
                out.be32(a::BITWISE_DREG, to.0);
                out.be32(a::BITWISE_LEN, mask.as_bytes().len() as u32);
                data(out, a::BITWISE_MASK, mask);
                data(out, a::BITWISE_XOR, xor);
            }
            Expr::ByteOrder { from, to, to_network, length, size } => {
                out.be32(a::BYTEORDER_SREG, from.0);
                out.be32(a::BYTEORDER_DREG, to.0);
                out.be32(a::BYTEORDER_OP, if *to_network { TO_NETWORK } else { 0 });
                out.be32(a::BYTEORDER_LEN, *length);
                out.be32(a::BYTEORDER_SIZE, *size);
            }
            _ => {}
        }
    }

    fn encode_target(&self, out: &mut Writer) {
        match self {
            Expr::Redirect { port: Some(port) } => {
                out.be32(a::REDIR_PROTO_MIN, port.0);
                out.be32(a::REDIR_FLAGS, PORT_GIVEN);
            }
            Expr::Dnat { family, address, port } => {
                out.be32(a::NAT_TYPE, DNAT);
                out.be32(a::NAT_FAMILY, u32::from(*family));
                if let Some(address) = address {
                    out.be32(a::NAT_ADDR_MIN, address.0);
                }
                if let Some(port) = port {
                    out.be32(a::NAT_PROTO_MIN, port.0);
                    out.be32(a::NAT_FLAGS, PORT_GIVEN);
                }
            }
            Expr::Tproxy { family, port } => {
                out.be32(a::TPROXY_FAMILY, u32::from(*family));
                out.be32(a::TPROXY_PORT, port.0);
            }
            _ => {}
        }
    }
}

fn load(out: &mut Writer, key_attr: u16, key: u32, register_attr: u16, register: Register) {
    out.be32(key_attr, key);
    out.be32(register_attr, register.0);
}

fn data(out: &mut Writer, kind: u16, value: &Value) {
    out.nested(kind, |out| out.attr(attr::DATA_VALUE, value.as_bytes()));
}

fn encode_lookup(out: &mut Writer, from: Register, set: &SetRef<'_>, invert: bool, first_set: u32) {
    match set {
        SetRef::Own(place) => {
            out.text(a::LOOKUP_SET, ANONYMOUS_SET);
            out.be32(a::LOOKUP_SET_ID, first_set + *place as u32);
        }
        SetRef::Named(name) => out.text(a::LOOKUP_SET, name),
    }
    out.be32(a::LOOKUP_SREG, from.0);
    if invert {
        out.be32(a::LOOKUP_FLAGS, INVERT);
    }
}

fn encode_verdict(out: &mut Writer, verdict: &Verdict<'_>) {
    out.be32(a::IMMEDIATE_DREG, Register::VERDICT.0);
    out.nested(a::IMMEDIATE_DATA, |out| {
        out.nested(attr::DATA_VERDICT, |out| {
            out.be32(attr::VERDICT_CODE, verdict.code() as u32);
            if let Verdict::Jump(chain) | Verdict::Goto(chain) = verdict {
                out.text(attr::VERDICT_CHAIN, chain);
            }
        });
    });
}
