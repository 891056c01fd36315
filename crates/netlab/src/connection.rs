//! What the kernel remembers of the pod's connections: zones and marks leave no other trace that can be seen.

use std::net::{IpAddr, SocketAddr};

use crate::{Bed, Error, Protocol};

/// One tracked connection, as its first packet was before any rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// How.
    pub protocol: Protocol,
    /// From here.
    pub source: SocketAddr,
    /// To here.
    pub destination: SocketAddr,
    /// The zone it is tracked in, 0 for none.
    pub zone: u16,
    /// Its mark.
    pub mark: u32,
}

impl Bed {
    /// The pod's connections; none where the kernel does not list them (`CONFIG_NF_CONNTRACK_PROCFS`).
    ///
    /// # Errors
    /// [`Error::Namespace`] when the pod cannot be entered.
    pub fn connections(&self) -> Result<Option<Vec<Connection>>, Error> {
        let listing = self.pod.run(|| std::fs::read_to_string("/proc/thread-self/net/nf_conntrack"))?;
        Ok(listing.ok().map(|listing| listing.lines().filter_map(parse).collect()))
    }
}

/// `ipv4 2 udp 17 30 src=… dst=… sport=… dport=… [UNREPLIED] src=… … mark=0 zone=2 use=2`: what comes first is the
/// original direction.
fn parse(line: &str) -> Option<Connection> {
    let value = |key: &str| line.split(' ').find_map(|word| word.strip_prefix(key)?.strip_prefix('='));
    let address = |ip: &str, port: &str| {
        Some(SocketAddr::new(value(ip)?.parse::<IpAddr>().ok()?, value(port)?.parse().ok()?))
    };
    Some(Connection {
        protocol: match line.split_whitespace().nth(2)? {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return None,
        },
        source: address("src", "sport")?,
        destination: address("dst", "dport")?,
        zone: value("zone").and_then(|zone| zone.parse().ok()).unwrap_or(0),
        mark: value("mark").and_then(|mark| mark.parse().ok()).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read() {
        let line = "ipv6     10 udp      17 30 src=fd77::2 dst=2001:db8::7 sport=45282 dport=53 [UNREPLIED] \
                    src=::1 dst=fd77::2 sport=15053 dport=45282 mark=1337 zone=2 use=2";
        let expected = Connection {
            protocol: Protocol::Udp,
            source: "[fd77::2]:45282".parse().unwrap(),
            destination: "[2001:db8::7]:53".parse().unwrap(),
            zone: 2,
            mark: 1337,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse("ipv4 2 icmp 1 29 src=127.0.0.1 dst=127.0.0.1 type=8"), None);
        assert_eq!(parse(""), None);
    }
}
