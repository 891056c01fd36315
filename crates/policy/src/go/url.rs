//! The host of a URL as Go's `net/url` finds it. Whether an address is internal is a question of security, and the
//! answer must be that of the program that will use the URL.

use std::net::{IpAddr, Ipv6Addr};
use thiserror::Error;

/// Why a text is no URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("parse {text:?}: {reason}")]
pub struct UrlError {
    text: String,
    reason: &'static str,
}

/// The host name or address without port and brackets; empty if the URL has none.
///
/// # Errors
/// [`UrlError`] for a control character, a bad scheme, user information, host or port.
pub fn hostname(url: &str) -> Result<String, UrlError> {
    let fail = |reason| UrlError { text: url.to_owned(), reason };
    if url.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return Err(fail("net/url: invalid control character in URL"));
    }
    let url = url.split_once('#').map_or(url, |(before, _)| before);
    let (scheme, rest) = split_scheme(url).map_err(fail)?;
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') && scheme.is_none() && rest.split('/').next().is_some_and(|s| s.contains(':')) {
        return Err(fail("first path segment in URL cannot contain colon"));
    }
    let Some(authority) = rest.strip_prefix("//").filter(|_| scheme.is_some() || !rest.starts_with("///"))
    else {
        return Ok(String::new());
    };
    let authority = authority.split_once('/').map_or(authority, |(authority, _)| authority);
    let host = match authority.rsplit_once('@') {
        None => authority,
        Some((user, host)) => {
            let accepted = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
            if !user.chars().all(accepted) {
                return Err(fail("net/url: invalid userinfo"));
            }
            host
        }
    };
    host_without_port(scheme, host).map_err(fail)
}

fn split_scheme(url: &str) -> Result<(Option<&str>, &str), &'static str> {
    for (index, c) in url.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if index > 0 => {}
            ':' if index == 0 => return Err("missing protocol scheme"),
            ':' => return Ok((Some(&url[..index]), &url[index + 1..])),
            _ => break,
        }
    }
    Ok((None, url))
}

fn host_without_port(scheme: Option<&str>, host: &str) -> Result<String, &'static str> {
    let (name, port) = match host.rfind('[') {
        None => {
            let colon = host.rfind(':').unwrap_or(host.len());
            let strict =
                scheme.is_some_and(|s| ["http", "https"].iter().any(|web| s.eq_ignore_ascii_case(web)));
            if strict && host[..colon].contains(':') {
                return Err("invalid port after host");
            }
            (unescape(&host[..colon])?, &host[colon..])
        }
        Some(0) => {
            let (name, port) = host[1..].rsplit_once(']').ok_or("missing ']' in host")?;
            // The zone of an address is introduced by an escaped percent sign.
            let (address, zone) = name.split_once("%25").map_or((name, None), |(a, zone)| (a, Some(zone)));
            address.parse::<Ipv6Addr>().map_err(|_| "invalid IP-literal")?;
            (zone.map_or_else(|| address.to_owned(), |zone| format!("{address}%{zone}")), port)
        }
        Some(_) => return Err("invalid IP-literal"),
    };
    match port.strip_prefix(':') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(name),
        None if port.is_empty() => Ok(name),
        _ => Err("invalid port after host"),
    }
}

/// In a host, only bytes outside of ASCII may be written as `%XX`.
fn unescape(host: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(host.len());
    let mut rest = host.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let mut digit = || rest.next().and_then(|b| char::from(b).to_digit(16));
                match (digit(), digit()) {
                    (Some(high @ 8..), Some(low)) => bytes.push((high * 16 + low) as u8),
                    _ => return Err("invalid URL escape"),
                }
            }
            b' ' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}' => return Err("invalid character in host name"),
            byte => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether Go calls the address loopback or private (RFC 1918, RFC 4193).
pub fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn finds_the_host() {
        for (url, expected) in [
            ("https://example.com/x", "example.com"),
            ("https://user:pw@10.0.0.1:8443/x?y#z", "10.0.0.1"),
            ("http://[::1]:80/", "::1"),
            ("http://[fe80::1%25eth0]/", "fe80::1%eth0"),
            ("http://good.com@127.0.0.1/", "127.0.0.1"),
            ("http://127.0.0.1#@good.com/", "127.0.0.1"),
            ("http://127.0.0.1?@good.com/", "127.0.0.1"),
            ("//host/path", "host"),
            ("ftp://127.0.0.1:1:2/", "127.0.0.1:1"),
            ("//::1:2/", "::1"),
            ("example.com", ""),
            ("/path", ""),
            ("mailto:a@b.c", ""),
            ("", ""),
        ] {
            assert_eq!(hostname(url).as_deref(), Ok(expected), "{url}");
        }
    }

    #[test]
    fn refuses_what_go_refuses() {
        for url in [
            "http://a b/",
            "http://h:port/",
            "http://[::1/",
            "://x",
            "http://a%41/",
            "ht\ntp://x",
            "1.2.3.4:80",
            "http://a:1:2/",
        ] {
            assert!(hostname(url).is_err(), "{url}");
        }
    }

    #[test]
    fn knows_internal_addresses() {
        for (address, expected) in [
            ("127.0.0.1", true),
            ("10.1.2.3", true),
            ("172.16.0.1", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("8.8.8.8", false),
            ("::1", true),
            ("fd00::1", true),
            ("::ffff:10.0.0.1", true),
            ("169.254.1.1", false),
            ("2001:db8::1", false),
        ] {
            assert_eq!(is_internal(address.parse().unwrap()), expected, "{address}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(url in "([a-z0-9:/?#@%\\[\\]. ]|\\PC){0,24}") {
            let _ = hostname(&url);
        }
    }
}
