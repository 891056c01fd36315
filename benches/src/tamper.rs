//! Somebody with NET_ADMIN in a pod who deletes a rule, by netlink and with a socket of his own: the fastest way there
//! is, so that the time of the repair is not the time of a program that starts.

use std::os::fd::OwnedFd;

use anyhow::{Context, Result, bail};
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

/// `NFNL_SUBSYS_NFTABLES` (linux/netfilter/nfnetlink.h) and `NFT_MSG_DELRULE` (linux/netfilter/nf_tables.h)
const NFTABLES: u16 = 10;
const DELRULE: u16 = NFTABLES << 8 | 8;
/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
/// `NLMSG_ERROR`; code 0 acknowledges
const ERROR: u16 = 2;
const INET: u8 = 1;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;

/// A socket in the namespace of the thread that made it.
pub(crate) struct Tamperer(OwnedFd);

impl Tamperer {
    pub(crate) fn new() -> Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(netlink::NETFILTER),
        )?;
        rustix::net::bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self(socket))
    }

    /// Deletes every rule of a chain in one transaction, and returns when the kernel has done it.
    pub(crate) fn empty(&self, table: &str, chain: &str) -> Result<()> {
        let mut batch = message(BATCH_BEGIN, REQUEST, 0, NFTABLES, &[]);
        let names = [attribute(RULE_TABLE, table), attribute(RULE_CHAIN, chain)].concat();
        batch.extend(message(DELRULE, REQUEST | ACK, INET, 0, &names));
        batch.extend(message(BATCH_END, REQUEST, 0, NFTABLES, &[]));
        rustix::net::send(&self.0, &batch, SendFlags::empty())?;
        let mut answer = [0; 4096];
        let (_, length) = rustix::net::recv(&self.0, &mut answer[..], RecvFlags::DONTWAIT)?;
        let answer = answer.get(..length).context("an answer that is too long")?;
        let number = |at: usize| answer.get(at..at + 4).and_then(|four| four.try_into().ok());
        let kind = number(4).map(|four: [u8; 4]| u16::from_ne_bytes([four[0], four[1]]));
        match (kind, number(16).map(i32::from_ne_bytes)) {
            (Some(ERROR), Some(0)) => Ok(()),
            (_, code) => bail!("the kernel did not delete the rules of {chain}: {code:?}"),
        }
    }
}

fn message(kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) -> Vec<u8> {
    let length = (20 + attributes.len()) as u32;
    let mut bytes = length.to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // Sequence number, and the port that the kernel fills in.
    bytes.extend([0; 8]);
    bytes.extend([family, 0]);
    bytes.extend(resource.to_be_bytes());
    bytes.extend(attributes);
    bytes
}

fn attribute(kind: u16, text: &str) -> Vec<u8> {
    let length = 4 + text.len() + 1;
    let mut bytes = (length as u16).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(text.as_bytes());
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}
