//! The numbers of the kernel's interface that we use. They come from the headers named at each group and never
//! change; a test that loads our bytes beside nft's own text pins every one of them.

/// Netlink headers (linux/netlink.h).
pub(crate) mod nl {
    pub(crate) const HEADER: usize = 16;
    pub(crate) const ERROR: u16 = 2;
    pub(crate) const DONE: u16 = 3;
    pub(crate) const F_REQUEST: u16 = 1;
    pub(crate) const F_ACK: u16 = 4;
    pub(crate) const F_DUMP_INTR: u16 = 0x10;
    pub(crate) const F_DUMP: u16 = 0x300;
    pub(crate) const F_EXCL: u16 = 0x200;
    pub(crate) const F_CREATE: u16 = 0x400;
    pub(crate) const F_APPEND: u16 = 0x800;
    pub(crate) const ATTR_NESTED: u16 = 0x8000;
    pub(crate) const ATTR_TYPE_MASK: u16 = 0x3fff;
}

/// Batches and groups (linux/netfilter/nfnetlink.h).
pub(crate) mod nfnl {
    pub(crate) const GENERIC_HEADER: usize = 4;
    pub(crate) const BATCH_BEGIN: u16 = 0x10;
    pub(crate) const BATCH_END: u16 = 0x11;
    pub(crate) const SUBSYS_NFTABLES: u16 = 10;
    pub(crate) const GROUP_NFTABLES: u32 = 7;
}

/// Families (linux/netfilter.h).
pub(crate) mod family {
    pub(crate) const UNSPEC: u8 = 0;
    pub(crate) const INET: u8 = 1;
    pub(crate) const IPV4: u8 = 2;
    pub(crate) const IPV6: u8 = 10;
}

/// Message types (`enum nf_tables_msg_types`), without the subsystem.
pub(crate) mod msg {
    pub(crate) const NEWTABLE: u16 = 0;
    pub(crate) const GETTABLE: u16 = 1;
    pub(crate) const DELTABLE: u16 = 2;
    pub(crate) const NEWCHAIN: u16 = 3;
    pub(crate) const GETCHAIN: u16 = 4;
    pub(crate) const NEWRULE: u16 = 6;
    pub(crate) const GETRULE: u16 = 7;
    pub(crate) const DELRULE: u16 = 8;
    pub(crate) const NEWSET: u16 = 9;
    pub(crate) const GETSET: u16 = 10;
    pub(crate) const NEWSETELEM: u16 = 12;
    pub(crate) const GETSETELEM: u16 = 13;
    pub(crate) const NEWGEN: u16 = 15;
    pub(crate) const GETGEN: u16 = 16;
}

/// Attributes of tables, chains, rules, sets, elements and generations (linux/netfilter/nf_tables.h).
pub(crate) mod attr {
    pub(crate) const LIST_ELEM: u16 = 1;
    /// The name of its table is the first attribute of every kind of object.
    pub(crate) const OBJECT_TABLE: u16 = 1;

    pub(crate) const TABLE_NAME: u16 = 1;
    pub(crate) const TABLE_FLAGS: u16 = 2;
    pub(crate) const TABLE_USERDATA: u16 = 6;
    pub(crate) const TABLE_OWNER: u16 = 7;

    pub(crate) const CHAIN_TABLE: u16 = 1;
    pub(crate) const CHAIN_NAME: u16 = 3;
    pub(crate) const CHAIN_HOOK: u16 = 4;
    pub(crate) const CHAIN_POLICY: u16 = 5;
    pub(crate) const CHAIN_USE: u16 = 6;
    pub(crate) const CHAIN_TYPE: u16 = 7;
    pub(crate) const CHAIN_USERDATA: u16 = 12;
    pub(crate) const HOOK_NUM: u16 = 1;
    pub(crate) const HOOK_PRIORITY: u16 = 2;

    pub(crate) const RULE_TABLE: u16 = 1;
    pub(crate) const RULE_CHAIN: u16 = 2;
    pub(crate) const RULE_HANDLE: u16 = 3;
    pub(crate) const RULE_EXPRESSIONS: u16 = 4;
    pub(crate) const RULE_USERDATA: u16 = 7;
    pub(crate) const EXPR_NAME: u16 = 1;
    pub(crate) const EXPR_DATA: u16 = 2;

    pub(crate) const SET_TABLE: u16 = 1;
    pub(crate) const SET_NAME: u16 = 2;
    pub(crate) const SET_FLAGS: u16 = 3;
    pub(crate) const SET_KEY_TYPE: u16 = 4;
    pub(crate) const SET_KEY_LEN: u16 = 5;
    pub(crate) const SET_DESC: u16 = 9;
    pub(crate) const SET_DESC_SIZE: u16 = 1;
    pub(crate) const SET_ID: u16 = 10;
    pub(crate) const ELEMENTS_TABLE: u16 = 1;
    pub(crate) const ELEMENTS_SET: u16 = 2;
    pub(crate) const ELEMENTS_LIST: u16 = 3;
    pub(crate) const ELEMENTS_SET_ID: u16 = 4;
    pub(crate) const ELEMENT_KEY: u16 = 1;
    pub(crate) const ELEMENT_FLAGS: u16 = 3;
    pub(crate) const ELEMENT_USERDATA: u16 = 6;

    pub(crate) const DATA_VALUE: u16 = 1;
    pub(crate) const DATA_VERDICT: u16 = 2;
    pub(crate) const VERDICT_CODE: u16 = 1;
    pub(crate) const VERDICT_CHAIN: u16 = 2;

    pub(crate) const GEN_ID: u16 = 1;
    pub(crate) const GEN_PROC_PID: u16 = 2;
    pub(crate) const GEN_PROC_NAME: u16 = 3;
}

/// `enum nft_table_flags`; persistence came with Linux 6.9.
pub(crate) mod table_flag {
    pub(crate) const DORMANT: u32 = 1;
    pub(crate) const OWNER: u32 = 2;
    pub(crate) const PERSIST: u32 = 4;
}

/// `enum nft_set_flags` and `enum nft_set_elem_flags`.
pub(crate) mod set_flag {
    pub(crate) const ANONYMOUS: u32 = 1;
    pub(crate) const CONSTANT: u32 = 2;
    pub(crate) const INTERVAL: u32 = 4;
    pub(crate) const ELEMENT_INTERVAL_END: u32 = 1;
}

/// Hooks of the IP families (`enum nf_inet_hooks`, linux/netfilter.h).
pub(crate) mod hook {
    pub(crate) const PREROUTING: u32 = 0;
    pub(crate) const OUTPUT: u32 = 3;
}

/// What the kernel stores for nft and never reads: type-length-value triples (libnftnl/udata.h and nft's own).
pub(crate) mod udata {
    /// Comment of a table, chain or rule: text with its final NUL.
    pub(crate) const COMMENT: u8 = 0;
    /// Flags of an element, 4 bytes; 1 says that its interval has no end.
    pub(crate) const ELEMENT_FLAGS: u8 = 1;
}

/// Attributes of expressions (linux/netfilter/nf_tables.h), by expression.
pub(crate) mod expr {
    pub(crate) const IMMEDIATE_DREG: u16 = 1;
    pub(crate) const IMMEDIATE_DATA: u16 = 2;
    pub(crate) const BITWISE_SREG: u16 = 1;
    pub(crate) const BITWISE_DREG: u16 = 2;
    pub(crate) const BITWISE_LEN: u16 = 3;
    pub(crate) const BITWISE_MASK: u16 = 4;
    pub(crate) const BITWISE_XOR: u16 = 5;
    pub(crate) const BITWISE_OP: u16 = 6;
    pub(crate) const BYTEORDER_SREG: u16 = 1;
    pub(crate) const BYTEORDER_DREG: u16 = 2;
    pub(crate) const BYTEORDER_OP: u16 = 3;
    pub(crate) const BYTEORDER_LEN: u16 = 4;
    pub(crate) const BYTEORDER_SIZE: u16 = 5;
    pub(crate) const CMP_SREG: u16 = 1;
    pub(crate) const CMP_OP: u16 = 2;
    pub(crate) const CMP_DATA: u16 = 3;
    pub(crate) const RANGE_SREG: u16 = 1;
    pub(crate) const RANGE_OP: u16 = 2;
    pub(crate) const RANGE_FROM: u16 = 3;
    pub(crate) const RANGE_TO: u16 = 4;
    pub(crate) const LOOKUP_SET: u16 = 1;
    pub(crate) const LOOKUP_SREG: u16 = 2;
    pub(crate) const LOOKUP_DREG: u16 = 3;
    pub(crate) const LOOKUP_SET_ID: u16 = 4;
    pub(crate) const LOOKUP_FLAGS: u16 = 5;
    pub(crate) const PAYLOAD_DREG: u16 = 1;
    pub(crate) const PAYLOAD_BASE: u16 = 2;
    pub(crate) const PAYLOAD_OFFSET: u16 = 3;
    pub(crate) const PAYLOAD_LEN: u16 = 4;
    pub(crate) const META_DREG: u16 = 1;
    pub(crate) const META_KEY: u16 = 2;
    pub(crate) const META_SREG: u16 = 3;
    pub(crate) const CT_DREG: u16 = 1;
    pub(crate) const CT_KEY: u16 = 2;
    pub(crate) const CT_DIRECTION: u16 = 3;
    pub(crate) const CT_SREG: u16 = 4;
    pub(crate) const COUNTER_BYTES: u16 = 1;
    pub(crate) const COUNTER_PACKETS: u16 = 2;
    pub(crate) const LOG_GROUP: u16 = 1;
    pub(crate) const LOG_PREFIX: u16 = 2;
    pub(crate) const LOG_LEVEL: u16 = 5;
    pub(crate) const LOG_FLAGS: u16 = 6;
    pub(crate) const NAT_TYPE: u16 = 1;
    pub(crate) const NAT_FAMILY: u16 = 2;
    pub(crate) const NAT_ADDR_MIN: u16 = 3;
    pub(crate) const NAT_ADDR_MAX: u16 = 4;
    pub(crate) const NAT_PROTO_MIN: u16 = 5;
    pub(crate) const NAT_PROTO_MAX: u16 = 6;
    pub(crate) const NAT_FLAGS: u16 = 7;
    pub(crate) const REDIR_PROTO_MIN: u16 = 1;
    pub(crate) const REDIR_PROTO_MAX: u16 = 2;
    pub(crate) const REDIR_FLAGS: u16 = 3;
    pub(crate) const TPROXY_FAMILY: u16 = 1;
    pub(crate) const TPROXY_ADDR: u16 = 2;
    pub(crate) const TPROXY_PORT: u16 = 3;
}
