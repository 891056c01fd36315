//! `x509_decode`: the fields of a certificate or certificate request, under the names and in the form that Go's
//! `crypto/x509` structures have as JSON, because that is what policies were written against. Only RSA keys, as in
//! Kyverno. Nothing is verified.

mod der;
mod extensions;
mod name;

use crate::go::base64;
use crate::go::time::Moment;
use der::{BIT_STRING, Element, INTEGER, Reader, SEQUENCE};
use extensions::Extensions;
use serde_json::{Map, Value, json};

const RSA: &str = "1.2.840.113549.1.1.1";
const RSA_PSS: &str = "1.2.840.113549.1.1.10";
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
/// The largest key whose modulus is printed; Go's TLS refuses larger ones too.
const MAX_MODULUS: usize = 2048;

/// Decodes PEM text.
///
/// # Errors
/// In words, why this is no certificate or request with an RSA key.
pub(super) fn decode(text: &str) -> Result<Value, String> {
    let (kind, bytes) = pem(text).ok_or("failed to decode PEM block")?;
    let fields = match kind {
        "CERTIFICATE" => certificate(&bytes),
        "CERTIFICATE REQUEST" => request(&bytes),
        _ => return Err("PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST".to_owned()),
    };
    fields.map(Value::Object)
}

/// The type and content of the first PEM block.
fn pem(text: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (kind, rest) = rest.split_once("-----")?;
    let (body, _) = rest.split_once(&format!("-----END {kind}-----"))?;
    // Headers end with an empty line.
    let body = if body.contains(':') { body.trim_start().split_once("\n\n")?.1 } else { body };
    let digits: String = body.split_ascii_whitespace().collect();
    Some((kind, base64::decode(&digits).ok()?))
}

fn base64_of(bytes: &[u8]) -> Value {
    base64::encode(bytes).into()
}

/// What certificates and requests have in common: a signed part, an algorithm, a signature.
struct Signed<'d> {
    raw: &'d [u8],
    body: Element<'d>,
    algorithm: Element<'d>,
    signature: &'d [u8],
}

impl<'d> Signed<'d> {
    fn read(bytes: &'d [u8]) -> Option<Self> {
        let whole = Reader::new(bytes).expect(SEQUENCE)?;
        let mut reader = whole.reader();
        let (body, algorithm) = (reader.expect(SEQUENCE)?, reader.expect(SEQUENCE)?);
        let signature = reader.expect(BIT_STRING)?.content.get(1..)?;
        Some(Self { raw: whole.raw, body, algorithm, signature })
    }

    fn fields(
        &self,
        body_name: &str,
        subject: &Element<'_>,
        key: &Element<'_>,
    ) -> Result<Map<String, Value>, String> {
        let mut fields = Map::new();
        fields.insert("Raw".to_owned(), base64_of(self.raw));
        fields.insert(body_name.to_owned(), base64_of(self.body.raw));
        fields.insert("RawSubject".to_owned(), base64_of(subject.raw));
        fields.insert("RawSubjectPublicKeyInfo".to_owned(), base64_of(key.raw));
        fields.insert("Signature".to_owned(), base64_of(self.signature));
        fields.insert("SignatureAlgorithm".to_owned(), signature_algorithm(&self.algorithm).into());
        fields.insert("PublicKeyAlgorithm".to_owned(), 1.into());
        fields.insert("PublicKey".to_owned(), public_key(key)?);
        fields.insert("Subject".to_owned(), name::decode(subject).ok_or("malformed subject")?);
        fields.insert("ExtraExtensions".to_owned(), Value::Null);
        Ok(fields)
    }
}

fn certificate(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    const MALFORMED: &str = "x509: malformed certificate";
    let signed = Signed::read(bytes).ok_or(MALFORMED)?;
    let mut body = signed.body.reader();
    let version = match body.optional(0xa0) {
        Some(tagged) => tagged.reader().expect(INTEGER).and_then(|e| e.small_integer()).ok_or(MALFORMED)?,
        None => 0,
    };
    let serial = body.expect(INTEGER).ok_or(MALFORMED)?;
    body.expect(SEQUENCE).ok_or(MALFORMED)?;
    let issuer = body.expect(SEQUENCE).ok_or(MALFORMED)?;
    let mut validity = body.expect(SEQUENCE).ok_or(MALFORMED)?.reader();
    let (subject, key) = (body.expect(SEQUENCE).ok_or(MALFORMED)?, body.expect(SEQUENCE).ok_or(MALFORMED)?);
    let mut fields = signed.fields("RawTBSCertificate", &subject, &key)?;
    fields.insert("Version".to_owned(), (version + 1).into());
    let serial = serial.decimal().parse::<f64>().map_err(|_| MALFORMED)?;
    fields.insert("SerialNumber".to_owned(), serial.into());
    fields.insert("RawIssuer".to_owned(), base64_of(issuer.raw));
    fields.insert("Issuer".to_owned(), name::decode(&issuer).ok_or(MALFORMED)?);
    for name in ["NotBefore", "NotAfter"] {
        let time = validity.next().and_then(|element| time(&element)).ok_or(MALFORMED)?;
        fields.insert(name.to_owned(), time.to_string().into());
    }
    let mut extensions = Extensions::default();
    for element in body {
        if element.tag == 0xa3 {
            let list = element.reader().expect(SEQUENCE).ok_or(MALFORMED)?;
            extensions.read(list).ok_or("x509: malformed extension")?;
        }
    }
    extensions.finish_certificate(&mut fields);
    Ok(fields)
}

fn request(bytes: &[u8]) -> Result<Map<String, Value>, String> {
    const MALFORMED: &str = "x509: malformed certificate request";
    let signed = Signed::read(bytes).ok_or(MALFORMED)?;
    let mut body = signed.body.reader();
    let version = body.expect(INTEGER).and_then(|e| e.small_integer()).ok_or(MALFORMED)?;
    let (subject, key) = (body.expect(SEQUENCE).ok_or(MALFORMED)?, body.expect(SEQUENCE).ok_or(MALFORMED)?);
    let mut fields = signed.fields("RawTBSCertificateRequest", &subject, &key)?;
    fields.insert("Version".to_owned(), version.into());
    let (mut attributes, mut extensions) = (Vec::new(), Extensions::default());
    for attribute in body.optional(0xa0).map(|list| list.reader()).into_iter().flatten() {
        let mut parts = attribute.reader();
        let kind = parts.oid().ok_or(MALFORMED)?;
        let values = parts.next().ok_or(MALFORMED)?;
        attributes.extend(name::attribute(&kind, &values));
        if kind == EXTENSION_REQUEST {
            let list = values.reader().expect(SEQUENCE).ok_or(MALFORMED)?;
            extensions.read(list).ok_or("x509: malformed extension")?;
        }
    }
    fields.insert("Attributes".to_owned(), extensions::list_or_null(attributes));
    extensions.finish_request(&mut fields);
    Ok(fields)
}

/// Modulus and exponent of an RSA key.
fn public_key(info: &Element<'_>) -> Result<Value, String> {
    const MALFORMED: &str = "failed to parse subject public key info";
    let mut parts = info.reader();
    let algorithm = parts.expect(SEQUENCE).and_then(|a| a.reader().oid()).ok_or(MALFORMED)?;
    if algorithm != RSA {
        return Err("certificate should use rsa algorithm".to_owned());
    }
    let bits = parts.expect(BIT_STRING).and_then(|b| b.content.get(1..)).ok_or(MALFORMED)?;
    let mut numbers = Reader::new(bits).expect(SEQUENCE).ok_or(MALFORMED)?.reader();
    let modulus = numbers.expect(INTEGER).filter(|n| n.content.len() <= MAX_MODULUS).ok_or(MALFORMED)?;
    let exponent = numbers.expect(INTEGER).and_then(|e| e.small_integer()).ok_or(MALFORMED)?;
    Ok(json!({ "N": modulus.decimal(), "E": exponent }))
}

/// Go's number for a signature algorithm; zero for one it does not know.
fn signature_algorithm(identifier: &Element<'_>) -> u8 {
    let mut parts = identifier.reader();
    let Some(algorithm) = parts.oid() else { return 0 };
    if algorithm == RSA_PSS {
        let hash = parts.next().and_then(|p| p.reader().optional(0xa0)).and_then(|h| h.reader().next());
        return match hash.and_then(|h| h.reader().oid()).as_deref() {
            Some("2.16.840.1.101.3.4.2.1") => 13,
            Some("2.16.840.1.101.3.4.2.2") => 14,
            Some("2.16.840.1.101.3.4.2.3") => 15,
            _ => 0,
        };
    }
    match algorithm.as_str() {
        "1.2.840.113549.1.1.4" => 2,
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => 3,
        "1.2.840.113549.1.1.11" => 4,
        "1.2.840.113549.1.1.12" => 5,
        "1.2.840.113549.1.1.13" => 6,
        "1.2.840.10040.4.3" => 7,
        "2.16.840.1.101.3.4.3.2" => 8,
        "1.2.840.10045.4.1" => 9,
        "1.2.840.10045.4.3.2" => 10,
        "1.2.840.10045.4.3.3" => 11,
        "1.2.840.10045.4.3.4" => 12,
        "1.3.101.112" => 16,
        _ => 0,
    }
}

/// A UTCTime (years 1950 to 2049) or GeneralizedTime.
fn time(element: &Element<'_>) -> Option<Moment> {
    let text = std::str::from_utf8(element.content).ok()?;
    let century = match (element.tag, text.get(..2)?) {
        (0x18, _) => "",
        (0x17, year) if year >= "50" => "19",
        (0x17, _) => "20",
        _ => return None,
    };
    Moment::parse("20060102150405Z0700", &format!("{century}{text}")).ok().map(Moment::utc)
}

#[cfg(test)]
mod tests;
