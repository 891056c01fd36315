//! Expressions as the kernel tells them. What is not one of ours in every detail becomes [`Expr::Other`], which
//! equals nothing that was meant.

use std::borrow::Cow;

use super::encode::{DNAT, INVERT, TO_NETWORK};
use super::{CompareOp, CtKey, Expr, MetaKey, PayloadBase, Register, SetRef, Value, Verdict};
use crate::nft::uapi::{attr, expr as a};
use crate::nft::wire::Attrs;

/// `NF_NAT_RANGE_MAP_IPS` and `NF_NAT_RANGE_PROTO_SPECIFIED`, which the kernel derives from what is there
/// (net/netfilter/nft_nat.c, nft_redir.c). Any other flag changes what the rule does.
const DERIVED_NAT_FLAGS: u32 = 3;

impl<'a> Expr<'a> {
    /// Decodes the attributes of one list element.
    pub(crate) fn decode(element: Attrs<'a>) -> Self {
        let name = element.find(attr::EXPR_NAME).and_then(|name| name.text()).unwrap_or("?");
        let data = element.find(attr::EXPR_DATA).map_or(&[][..], |data| data.data);
        Self::decode_known(name, Fields(Attrs(data)))
            .unwrap_or(Expr::Other { name: name.into(), data: data.into() })
    }

    fn decode_known(name: &str, fields: Fields<'a>) -> Option<Self> {
        Some(match name {
            "meta" => match fields.register(a::META_DREG) {
                Some(to) => Expr::MetaLoad { key: MetaKey(fields.number(a::META_KEY)?), to },
                None => Expr::MetaSet {
                    key: MetaKey(fields.number(a::META_KEY)?),
                    from: fields.register(a::META_SREG)?,
                },
            },
            "ct" if fields.has(a::CT_DIRECTION) => return None,
            "ct" => match fields.register(a::CT_DREG) {
                Some(to) => Expr::CtLoad { key: CtKey(fields.number(a::CT_KEY)?), to },
                None => {
                    Expr::CtSet { key: CtKey(fields.number(a::CT_KEY)?), from: fields.register(a::CT_SREG)? }
                }
            },
            "payload" => Expr::Payload {
                base: PayloadBase(fields.number(a::PAYLOAD_BASE)?),
                offset: fields.number(a::PAYLOAD_OFFSET)?,
                length: fields.number(a::PAYLOAD_LEN)?,
                to: fields.register(a::PAYLOAD_DREG)?,
            },
            "cmp" | "range" | "bitwise" | "byteorder" => decode_operation(name, fields)?,
            "lookup" if fields.has(a::LOOKUP_DREG) => return None,
            "lookup" => Expr::Lookup {
                from: fields.register(a::LOOKUP_SREG)?,
                set: SetRef::Named(fields.text(a::LOOKUP_SET)?),
                invert: fields.number(a::LOOKUP_FLAGS).unwrap_or(0) & INVERT != 0,
            },
            "immediate" => decode_immediate(fields)?,
            "counter" => Expr::Counter,
            "redir" | "nat" | "tproxy" | "log" => decode_target(name, fields)?,
            _ => return None,
        })
    }
}

fn decode_operation<'a>(name: &str, fields: Fields<'a>) -> Option<Expr<'a>> {
    Some(match name {
        "cmp" => Expr::Compare {
            from: fields.register(a::CMP_SREG)?,
            op: CompareOp(fields.number(a::CMP_OP)?),
            value: fields.value(a::CMP_DATA)?,
        },
        "range" => Expr::Range {
            from: fields.register(a::RANGE_SREG)?,
            op: CompareOp(fields.number(a::RANGE_OP)?),
            low: fields.value(a::RANGE_FROM)?,
            high: fields.value(a::RANGE_TO)?,
        },
        "bitwise" if fields.number(a::BITWISE_OP).unwrap_or(0) != 0 => return None,
        "bitwise" => Expr::Bitwise {
            from: fields.register(a::BITWISE_SREG)?,
            to: fields.register(a::BITWISE_DREG)?,
            mask: fields.value(a::BITWISE_MASK)?,
            xor: fields.value(a::BITWISE_XOR)?,
        },
        "byteorder" => Expr::ByteOrder {
            from: fields.register(a::BYTEORDER_SREG)?,
            to: fields.register(a::BYTEORDER_DREG)?,
            to_network: fields.number(a::BYTEORDER_OP)? == TO_NETWORK,
            length: fields.number(a::BYTEORDER_LEN)?,
            size: fields.number(a::BYTEORDER_SIZE)?,
        },
        _ => return None,
    })
}

fn decode_immediate(fields: Fields<'_>) -> Option<Expr<'_>> {
    let to = fields.register(a::IMMEDIATE_DREG)?;
    if to != Register::VERDICT {
        return Some(Expr::Immediate { to, value: fields.value(a::IMMEDIATE_DATA)? });
    }
    let data = fields.0.find(a::IMMEDIATE_DATA)?.nested();
    let verdict = Fields(data.find(attr::DATA_VERDICT)?.nested());
    let code = verdict.number(attr::VERDICT_CODE)? as i32;
    Some(Expr::Verdict(match code {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -3 => Verdict::Jump(verdict.text(attr::VERDICT_CHAIN)?),
        -4 => Verdict::Goto(verdict.text(attr::VERDICT_CHAIN)?),
        -5 => Verdict::Return,
        other => Verdict::Other(other),
    }))
}

fn decode_target<'a>(name: &str, fields: Fields<'a>) -> Option<Expr<'a>> {
    let family = |kind| u8::try_from(fields.number(kind)?).ok();
    Some(match name {
        "redir" => {
            fields.no_more_flags(a::REDIR_FLAGS)?;
            Expr::Redirect { port: fields.single(a::REDIR_PROTO_MIN, a::REDIR_PROTO_MAX)? }
        }
        "nat" if fields.number(a::NAT_TYPE)? == DNAT => {
            fields.no_more_flags(a::NAT_FLAGS)?;
            Expr::Dnat {
                family: family(a::NAT_FAMILY)?,
                address: fields.single(a::NAT_ADDR_MIN, a::NAT_ADDR_MAX)?,
                port: fields.single(a::NAT_PROTO_MIN, a::NAT_PROTO_MAX)?,
            }
        }
        "tproxy" if !fields.has(a::TPROXY_ADDR) => {
            Expr::Tproxy { family: family(a::TPROXY_FAMILY)?, port: fields.register(a::TPROXY_PORT)? }
        }
        "log" if !fields.has(a::LOG_GROUP) && fields.number(a::LOG_FLAGS).unwrap_or(0) == 0 => Expr::Log {
            prefix: fields.text(a::LOG_PREFIX).unwrap_or_default(),
            level: fields.number(a::LOG_LEVEL)?,
        },
        _ => return None,
    })
}

/// The attributes of one expression.
#[derive(Clone, Copy)]
struct Fields<'a>(Attrs<'a>);

impl<'a> Fields<'a> {
    fn has(self, kind: u16) -> bool {
        self.0.find(kind).is_some()
    }

    fn number(self, kind: u16) -> Option<u32> {
        self.0.find(kind)?.be32()
    }

    fn register(self, kind: u16) -> Option<Register> {
        self.number(kind).map(Register)
    }

    fn text(self, kind: u16) -> Option<Cow<'a, str>> {
        self.0.find(kind)?.text().map(Cow::Borrowed)
    }

    fn value(self, kind: u16) -> Option<Value> {
        Value::new(self.0.find(kind)?.nested().find(attr::DATA_VALUE)?.data)
    }

    /// One end of a range whose other end, which the kernel always tells, is the same.
    fn single(self, low: u16, high: u16) -> Option<Option<Register>> {
        let (low, high) = (self.register(low), self.register(high));
        (high.is_none() || high == low).then_some(low)
    }

    fn no_more_flags(self, kind: u16) -> Option<()> {
        (self.number(kind).unwrap_or(0) & !DERIVED_NAT_FLAGS == 0).then_some(())
    }
}
