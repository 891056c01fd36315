//! What a certificate says about itself, for those who decide when to make another.

use std::net::IpAddr;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::time::ASN1Time;

use super::PairError;

/// The first certificate of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Whose it is.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// From when on it is valid.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The DNS names and addresses it is for.
    pub names: Vec<String>,
}

impl CertificateFacts {
    /// Reads them from PEM.
    ///
    /// # Errors
    /// Texts that are no certificate.
    pub fn of(pem: &str) -> Result<Self, PairError> {
        let unreadable = |cause: String| PairError::Certificate { cause };
        let der = CertificateDer::from_pem_slice(pem.as_bytes());
        let der = der.map_err(|error| unreadable(error.to_string()))?;
        let (_, parsed) = parse_x509_certificate(&der).map_err(|error| unreadable(error.to_string()))?;
        let time = |time: ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| unreadable(error.to_string()))
        };
        let names = parsed.subject_alternative_name().ok().flatten();
        let names = names.into_iter().flat_map(|names| &names.value.general_names);
        Ok(Self {
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            since: time(parsed.validity().not_before)?,
            until: time(parsed.validity().not_after)?,
            names: names.filter_map(name).collect(),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(four) => Some(IpAddr::from(four).to_string()),
            Err(_) => <[u8; 16]>::try_from(*bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Authority, SKEW};
    use super::*;

    #[test]
    fn a_leaf_tells_its_authority_names_and_dates() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let day = Duration::from_secs(86_400);
        let authority = Authority::generate("ours", now, 9 * day).unwrap();
        let names = ["a.b.svc".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        let leaf = CertificateFacts::of(&authority.leaf(&names, now, day).unwrap().certificate).unwrap();
        let above = CertificateFacts::of(authority.certificate_pem()).unwrap();
        assert_eq!((&leaf.issuer, above.subject.as_str()), (&above.subject, "CN=ours"));
        assert_eq!(leaf.names, names);
        assert_eq!((leaf.since, leaf.until), (now - SKEW, now + day));
        assert!(CertificateFacts::of("nothing").is_err());
    }
}
