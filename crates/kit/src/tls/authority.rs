//! A certificate authority of our own, for clusters that have none to give: it signs the webhook's certificate, and the
//! API server is told to trust it and nothing else.

use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// How long before its making a certificate becomes valid: clocks of a cluster's machines differ a little.
pub const SKEW: Duration = Duration::from_secs(300);

/// A certificate authority: its certificate for those who trust, its key for us.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate and its key, PEM.
#[derive(Clone)]
pub struct LeafPem {
    /// The certificate.
    pub certificate: String,
    /// The key, PKCS#8.
    pub key: String,
}

/// Why a certificate could not be made or read.
#[derive(Debug, thiserror::Error)]
#[error("cannot {attempted}: {cause}")]
pub struct AuthorityError {
    /// What was attempted, after "cannot".
    pub attempted: &'static str,
    /// The error.
    pub cause: rcgen::Error,
}

fn failed(attempted: &'static str) -> impl FnOnce(rcgen::Error) -> AuthorityError {
    move |cause| AuthorityError { attempted, cause }
}

impl Authority {
    /// Makes an authority that is valid from `now` for `valid`.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(name: &str, now: Timestamp, valid: Duration) -> Result<Self, AuthorityError> {
        let mut params = params(name, now, valid);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(failed("make the authority's key"))?;
        let certificate = params.self_signed(&key).map_err(failed("make the authority's certificate"))?.pem();
        Ok(Self { certificate, issuer: Issuer::new(params, key) })
    }

    /// Reads an authority that was kept in a Secret.
    ///
    /// # Errors
    /// Texts that are no certificate or no key.
    pub fn from_pem(certificate: &str, key: &str) -> Result<Self, AuthorityError> {
        let key = KeyPair::from_pem(key).map_err(failed("read the authority's key"))?;
        let issuer = Issuer::from_ca_cert_pem(certificate, key);
        let issuer = issuer.map_err(failed("read the authority's certificate"))?;
        Ok(Self { certificate: certificate.to_string(), issuer })
    }

    /// What clients trust: the `caBundle` of a webhook.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate
    }

    /// The key, for the Secret.
    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    /// Signs a server's certificate for DNS names and addresses, valid from `now` for `valid`.
    ///
    /// # Errors
    /// A name that cannot stand in a certificate.
    pub fn leaf(&self, names: &[String], now: Timestamp, valid: Duration) -> Result<LeafPem, AuthorityError> {
        let of_names = CertificateParams::new(names).map_err(failed("put the names into a certificate"))?;
        let name = names.first().map_or("meshward", String::as_str);
        let mut params = params(name, now, valid);
        params.subject_alt_names = of_names.subject_alt_names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().map_err(failed("make the server's key"))?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(failed("sign the certificate"))?;
        Ok(LeafPem { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

fn params(name: &str, now: Timestamp, valid: Duration) -> CertificateParams {
    let at = |time: Duration| date_time_ymd(1970, 1, 1) + time;
    let now = Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0));
    let mut subject = DistinguishedName::new();
    // RFC 5280, ub-common-name: at most 64 characters. Names count in the alternative names.
    subject.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    let mut params = CertificateParams::default();
    params.not_before = at(now.saturating_sub(SKEW));
    params.not_after = at(now + valid);
    params.distinguished_name = subject;
    params
}
