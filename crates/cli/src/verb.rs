//! One module a verb.

pub(crate) mod apply;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod explain;
pub(crate) mod generate;
pub(crate) mod jp;
pub(crate) mod lint;
pub(crate) mod migrate;
pub(crate) mod program;
pub(crate) mod rules;
pub(crate) mod status;
pub(crate) mod swap;
pub(crate) mod test;
pub(crate) mod trace;
pub(crate) mod version;

/// An address on the command line.
fn parse_address(text: &str) -> Result<std::net::IpAddr, String> {
    text.parse().map_err(|_| "accepted: an IPv4 or IPv6 address".into())
}
