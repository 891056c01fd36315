use super::*;
use proptest::prelude::*;

const CERTIFICATE: &str = include_str!("../../../../tests/data/certificate.pem");
const REQUEST: &str = include_str!("../../../../tests/data/request.pem");
const ELLIPTIC: &str = include_str!("../../../../tests/data/elliptic.pem");

#[test]
fn decodes_a_certificate_as_go() {
    let fields = decode(CERTIFICATE).unwrap();
    let expected = [
        ("Version", json!(3)),
        ("SerialNumber", json!(6.5997845883742114e47)),
        ("NotBefore", json!("2026-11-21T05:30:24Z")),
        ("SignatureAlgorithm", json!(4)),
        ("DNSNames", json!(["a.example"])),
        ("EmailAddresses", json!(["x@y.z"])),
        ("IPAddresses", json!(["10.0.0.1", "fd00::1"])),
        ("KeyUsage", json!(257)),
        ("ExtKeyUsage", json!([1])),
        ("UnknownExtKeyUsage", json!([[1, 2, 3, 4]])),
        ("IsCA", json!(true)),
        ("MaxPathLenZero", json!(true)),
        ("ExcludedIPRanges", json!([{"IP": "10.0.0.0", "Mask": "/wAAAA=="}])),
        ("PermittedDNSDomainsCritical", json!(true)),
        ("UnhandledCriticalExtensions", json!([[1, 2, 3, 4, 5]])),
        ("SubjectKeyId", json!("jOaDlAbtHGVw/zoHb+v5e9dZ2+0=")),
        ("PolicyMappings", json!(null)),
    ];
    for (field, expected) in expected {
        assert_eq!(fields[field], expected, "{field}");
    }
    assert_eq!(fields.as_object().map(Map::len), Some(52));
    assert_eq!(fields["Subject"]["Organization"], json!(["Example", "Second"]));
    assert_eq!(fields["Subject"]["SerialNumber"], "42");
    assert_eq!(fields["URIs"][0]["Host"], "td");
    assert_eq!(fields["PublicKey"]["E"], 65537);
    let modulus = fields["PublicKey"]["N"].as_str().unwrap();
    assert!(
        modulus.starts_with("1374468506161459527663056025565762816706") && modulus.len() == 309,
        "{modulus}"
    );
}

#[test]
fn decodes_a_request_as_go() {
    let fields = decode(REQUEST).unwrap();
    assert_eq!(fields.as_object().map(Map::len), Some(17));
    assert_eq!(fields["Subject"]["CommonName"], "csr.example");
    assert_eq!(fields["Version"], 0);
    assert_eq!(fields["Attributes"][0]["Type"], json!([1, 2, 840, 113549, 1, 9, 14]));
    let extension = json!({ "Type": [2, 5, 29, 17], "Value": "MAuCCWEuZXhhbXBsZQ==" });
    assert_eq!(fields["Attributes"][0]["Value"], json!([[extension]]));
}

#[test]
fn refuses_everything_else() {
    for (text, expected) in [
        (ELLIPTIC, "certificate should use rsa algorithm"),
        ("x", "failed to decode PEM block"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", "x509: malformed certificate"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----",
            "PEM block neither contains a CERTIFICATE or CERTIFICATE REQUEST",
        ),
    ] {
        assert_eq!(decode(text).unwrap_err(), expected);
    }
}

proptest! {
    #[test]
    fn never_panics(text in prop::sample::select(vec![CERTIFICATE, REQUEST]), at in 0usize..600, byte: u8, cut in 0usize..800) {
        let (kind, mut bytes) = pem(text).unwrap();
        let at = at % bytes.len();
        bytes[at] = byte;
        for length in [bytes.len(), cut.min(bytes.len())] {
            let body = base64::encode(&bytes[..length]);
            let _ = decode(&format!("-----BEGIN {kind}-----\n{body}\n-----END {kind}-----\n"));
        }
    }
}
