//! Extensions of certificates and requests, as the fields that Go derives from them.

use super::base64_of;
use super::der::{BIT_STRING, BOOLEAN, Element, INTEGER, OBJECT_IDENTIFIER, OCTET_STRING, Reader};
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Extended key usages in the order of Go's numbers.
const EXTENDED_USAGES: [&str; 14] = [
    "2.5.29.37.0",
    "1.3.6.1.5.5.7.3.1",
    "1.3.6.1.5.5.7.3.2",
    "1.3.6.1.5.5.7.3.3",
    "1.3.6.1.5.5.7.3.4",
    "1.3.6.1.5.5.7.3.5",
    "1.3.6.1.5.5.7.3.6",
    "1.3.6.1.5.5.7.3.7",
    "1.3.6.1.5.5.7.3.8",
    "1.3.6.1.5.5.7.3.9",
    "1.3.6.1.4.1.311.10.3.3",
    "2.16.840.1.113730.4.1",
    "1.3.6.1.4.1.311.2.1.22",
    "1.3.6.1.4.1.311.61.1.1",
];

/// Fields of a certificate that are null unless an extension gives them.
const NULLABLE: [&str; 18] = [
    "AuthorityKeyId",
    "CRLDistributionPoints",
    "ExcludedDNSDomains",
    "ExcludedEmailAddresses",
    "ExcludedIPRanges",
    "ExcludedURIDomains",
    "ExtKeyUsage",
    "IssuingCertificateURL",
    "OCSPServer",
    "PermittedDNSDomains",
    "PermittedEmailAddresses",
    "PermittedIPRanges",
    "PermittedURIDomains",
    "Policies",
    "PolicyIdentifiers",
    "SubjectKeyId",
    "UnhandledCriticalExtensions",
    "UnknownExtKeyUsage",
];

/// An empty list is null, as in Go.
pub(super) fn list_or_null(values: Vec<Value>) -> Value {
    if values.is_empty() { Value::Null } else { Value::Array(values) }
}

/// An object identifier as the list of its numbers.
pub(super) fn oid_value(dotted: &str) -> Value {
    dotted.split('.').filter_map(|arc| arc.parse::<u32>().ok()).collect()
}

/// What was read from extensions.
#[derive(Default)]
pub(super) struct Extensions {
    all: Vec<Value>,
    fields: Map<String, Value>,
}

impl Extensions {
    /// Reads a list of extensions.
    pub(super) fn read(&mut self, list: Element<'_>) -> Option<()> {
        for extension in list.reader() {
            let mut parts = extension.reader();
            let id = parts.oid()?;
            let critical = parts.optional(BOOLEAN).is_some_and(|flag| flag.content != [0]);
            let value = parts.expect(OCTET_STRING)?.content;
            self.all.push(json!({ "Id": oid_value(&id), "Critical": critical, "Value": base64_of(value) }));
            if !self.interpret(&id, critical, value)? && critical {
                self.push("UnhandledCriticalExtensions", oid_value(&id));
            }
        }
        Some(())
    }

    fn push(&mut self, field: &str, value: Value) {
        match self.fields.get_mut(field) {
            Some(Value::Array(values)) => values.push(value),
            _ => {
                self.fields.insert(field.to_owned(), Value::Array(vec![value]));
            }
        }
    }

    fn set(&mut self, field: &str, value: impl Into<Value>) {
        self.fields.insert(field.to_owned(), value.into());
    }

    /// Reads one extension; false if it is not known.
    fn interpret(&mut self, id: &str, critical: bool, value: &[u8]) -> Option<bool> {
        let element = Reader::new(value).next()?;
        match id {
            "2.5.29.14" => self.set("SubjectKeyId", base64_of(element.content)),
            "2.5.29.15" => self.set("KeyUsage", key_usage(&element)?),
            "2.5.29.17" => self.alternative_names(&element)?,
            "2.5.29.19" => self.basic_constraints(&element)?,
            "2.5.29.30" => self.name_constraints(&element, critical)?,
            "2.5.29.31" => self.distribution_points(&element)?,
            "2.5.29.32" => {
                for policy in element.reader() {
                    let id = policy.reader().oid()?;
                    self.push("PolicyIdentifiers", oid_value(&id));
                    self.push("Policies", id.into());
                }
            }
            "2.5.29.35" => {
                if let Some(key) = element.reader().optional(0x80) {
                    self.set("AuthorityKeyId", base64_of(key.content));
                }
            }
            "2.5.29.37" => self.extended_usages(&element)?,
            "1.3.6.1.5.5.7.1.1" => self.authority_access(&element)?,
            _ => return Some(false),
        }
        Some(true)
    }

    fn basic_constraints(&mut self, element: &Element<'_>) -> Option<()> {
        let mut parts = element.reader();
        let is_authority = parts.optional(BOOLEAN).is_some_and(|flag| flag.content != [0]);
        let length = match parts.optional(INTEGER) {
            Some(length) => i64::from(length.small_integer()?),
            None => -1,
        };
        self.set("BasicConstraintsValid", true);
        self.set("IsCA", is_authority);
        self.set("MaxPathLen", length);
        self.set("MaxPathLenZero", length == 0);
        Some(())
    }

    fn extended_usages(&mut self, element: &Element<'_>) -> Option<()> {
        for usage in element.reader() {
            let id = (usage.tag == OBJECT_IDENTIFIER).then(|| usage.dotted()).flatten()?;
            match EXTENDED_USAGES.iter().position(|known| *known == id) {
                Some(number) => self.push("ExtKeyUsage", number.into()),
                None => self.push("UnknownExtKeyUsage", oid_value(&id)),
            }
        }
        Some(())
    }

    fn alternative_names(&mut self, element: &Element<'_>) -> Option<()> {
        for name in element.reader() {
            let text = || String::from_utf8_lossy(name.content).into_owned();
            match name.tag {
                0x81 => self.push("EmailAddresses", text().into()),
                0x82 => self.push("DNSNames", text().into()),
                0x86 => self.push("URIs", uri(&text())),
                0x87 => self.push("IPAddresses", address(name.content)?.to_string().into()),
                _ => {}
            }
        }
        Some(())
    }

    fn distribution_points(&mut self, element: &Element<'_>) -> Option<()> {
        for point in element.reader() {
            let Some(names) = point.reader().optional(0xa0).and_then(|name| name.reader().optional(0xa0))
            else {
                continue;
            };
            for name in names.reader().filter(|name| name.tag == 0x86) {
                self.push("CRLDistributionPoints", String::from_utf8_lossy(name.content).into());
            }
        }
        Some(())
    }

    fn authority_access(&mut self, element: &Element<'_>) -> Option<()> {
        for access in element.reader() {
            let mut parts = access.reader();
            let (method, place) = (parts.oid()?, parts.next()?);
            let field = match method.as_str() {
                "1.3.6.1.5.5.7.48.1" => "OCSPServer",
                "1.3.6.1.5.5.7.48.2" => "IssuingCertificateURL",
                _ => continue,
            };
            if place.tag == 0x86 {
                self.push(field, String::from_utf8_lossy(place.content).into());
            }
        }
        Some(())
    }

    fn name_constraints(&mut self, element: &Element<'_>, critical: bool) -> Option<()> {
        self.set("PermittedDNSDomainsCritical", critical);
        for trees in element.reader() {
            let prefix = if trees.tag == 0xa0 { "Permitted" } else { "Excluded" };
            for tree in trees.reader() {
                let base = tree.reader().next()?;
                let text = || Value::from(String::from_utf8_lossy(base.content));
                match base.tag {
                    0x81 => self.push(&format!("{prefix}EmailAddresses"), text()),
                    0x82 => self.push(&format!("{prefix}DNSDomains"), text()),
                    0x86 => self.push(&format!("{prefix}URIDomains"), text()),
                    0x87 => {
                        let (ip, mask) = base.content.split_at(base.content.len() / 2);
                        let range = json!({ "IP": address(ip)?.to_string(), "Mask": base64_of(mask) });
                        self.push(&format!("{prefix}IPRanges"), range);
                    }
                    _ => {}
                }
            }
        }
        Some(())
    }

    /// Adds the fields of a certificate, absent ones with their zero values.
    pub(super) fn finish_certificate(mut self, fields: &mut Map<String, Value>) {
        for field in NULLABLE {
            fields.insert(field.to_owned(), self.fields.remove(field).unwrap_or(Value::Null));
        }
        fields.insert("PolicyMappings".to_owned(), Value::Null);
        for field in
            ["KeyUsage", "MaxPathLen", "InhibitAnyPolicy", "InhibitPolicyMapping", "RequireExplicitPolicy"]
        {
            fields.insert(field.to_owned(), self.fields.remove(field).unwrap_or(0.into()));
        }
        for field in [
            "BasicConstraintsValid",
            "IsCA",
            "MaxPathLenZero",
            "PermittedDNSDomainsCritical",
            "InhibitAnyPolicyZero",
            "InhibitPolicyMappingZero",
            "RequireExplicitPolicyZero",
        ] {
            fields.insert(field.to_owned(), self.fields.remove(field).unwrap_or(false.into()));
        }
        self.finish_request(fields);
    }

    /// Adds the fields that requests have too.
    pub(super) fn finish_request(mut self, fields: &mut Map<String, Value>) {
        for field in ["DNSNames", "EmailAddresses", "IPAddresses", "URIs"] {
            fields.insert(field.to_owned(), self.fields.remove(field).unwrap_or(Value::Null));
        }
        fields.insert("Extensions".to_owned(), list_or_null(self.all));
    }
}

/// The bits of a key usage, the first as the lowest.
fn key_usage(element: &Element<'_>) -> Option<u32> {
    let bytes = element.content.get(1..).filter(|_| element.tag == BIT_STRING)?;
    let bit = |index: usize| bytes.get(index / 8).map_or(0, |byte| u32::from(byte >> (7 - index % 8) & 1));
    Some((0..9).fold(0, |usage, index| usage | bit(index) << index))
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    match bytes.len() {
        4 => <[u8; 4]>::try_from(bytes).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(bytes).ok().map(IpAddr::from),
        _ => None,
    }
}

/// A URL as Go's `url.URL`, without decoding of escapes.
fn uri(text: &str) -> Value {
    let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (scheme, rest) = rest.split_once(':').unwrap_or(("", rest));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = match rest.strip_prefix("//") {
        Some(after) => after.split_at(after.find('/').unwrap_or(after.len())),
        None => ("", rest),
    };
    let (user, host) =
        authority.rsplit_once('@').map_or((Value::Null, authority), |(_, host)| (json!({}), host));
    let (opaque, path) = if path.starts_with('/') || path.is_empty() { ("", path) } else { (path, "") };
    json!({
        "Scheme": scheme.to_ascii_lowercase(), "Opaque": opaque, "User": user, "Host": host, "Path": path, "RawPath": "",
        "OmitHost": false, "ForceQuery": false, "RawQuery": query, "Fragment": fragment, "RawFragment": "",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_urls_apart() {
        let url = uri("HTTPS://u:p@host:1/a/b?q=1#f");
        for (field, expected) in [
            ("Scheme", "https"),
            ("Host", "host:1"),
            ("Path", "/a/b"),
            ("RawQuery", "q=1"),
            ("Fragment", "f"),
        ] {
            assert_eq!(url[field], expected);
        }
        assert_eq!(uri("urn:x:y")["Opaque"], "x:y");
    }
}
