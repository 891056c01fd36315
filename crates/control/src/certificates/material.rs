//! The certificates that we keep, and what is to be done about them next: pure, so that years of rotation can be tried
//! in no time.
//!
//! ```text
//! new authority ─► in the bundle beside the old one ─ API servers know it ─► leaf of the new one
//!                                                     ─ replicas serve it ─► the old one leaves the bundle
//! ```
//!
//! At no time is a certificate served that the bundle, as every API server has it, does not vouch for.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use meshward_kit::tls::{Authority, AuthorityError, CertificateFacts, Pair, SKEW};

/// The keys of the Secret; the first three are those that every tool knows.
const KEYS: [&str; 5] = ["tls.crt", "tls.key", "ca.crt", "authority.crt", "authority.key"];
/// The end of a certificate in a text of several.
const END: &str = "-----END CERTIFICATE-----";

/// What the Secret holds. Texts that cannot be used are found out when they are.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Material {
    /// The certificate that is served, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    /// The authorities by which it is known, PEM: the `caBundle`.
    pub bundle: String,
    /// The authority that signs the next one, PEM.
    pub authority: String,
    /// Its key, PEM.
    pub authority_key: String,
}

/// What certificates are to be like.
#[derive(Debug, Clone)]
pub struct Wishes {
    /// Of the authority.
    pub name: String,
    /// What they are for.
    pub names: Vec<String>,
    /// How long they are valid.
    pub lifetime: Duration,
    /// How long their authority is.
    pub authority_lifetime: Duration,
    /// How long everybody may take to learn of a change.
    pub settle: Duration,
}

/// Keys are never shown.
impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authorities = self.bundle.matches(END).count();
        f.debug_struct("Material").field("authorities", &authorities).finish_non_exhaustive()
    }
}

impl Wishes {
    /// How long an authority is valid: long enough for a certificate that is made when a third of it is left.
    fn whole(&self) -> Duration {
        self.authority_lifetime.max(self.lifetime * 4)
    }
}

impl Material {
    /// Reads a Secret's data. What is missing is empty.
    pub fn from_data(data: &BTreeMap<String, Vec<u8>>) -> Self {
        let text = |key: &str| data.get(key).map(|text| String::from_utf8_lossy(text).into_owned());
        let [certificate, key, bundle, authority, authority_key] =
            KEYS.map(|key| text(key).unwrap_or_default());
        Self { certificate, key, bundle, authority, authority_key }
    }

    /// The Secret's data.
    pub fn to_data(&self) -> BTreeMap<String, Vec<u8>> {
        let Self { certificate, key, bundle, authority, authority_key } = self;
        let texts = [certificate, key, bundle, authority, authority_key];
        KEYS.into_iter().zip(texts).map(|(key, text)| (key.to_owned(), text.clone().into_bytes())).collect()
    }

    /// What can be served.
    ///
    /// # Errors
    /// Why it cannot.
    pub fn pair(&self) -> Result<Pair, meshward_kit::tls::PairError> {
        Pair::from_pem(self.certificate.as_bytes(), self.key.as_bytes())
    }
}

/// What is to be kept in place of `kept`, and why; `None` while it is as it should be. `trusted` is the bundle that every
/// webhook configuration carries.
///
/// # Errors
/// When certificates cannot be made.
pub fn next(
    kept: &Material,
    wishes: &Wishes,
    now: Timestamp,
    trusted: Option<&str>,
) -> Result<Option<(Material, &'static str)>, AuthorityError> {
    let state = State::of(kept, wishes, now);
    let mut next = kept.clone();
    let Some(authority) = &state.authority else {
        let made = make_authority(wishes, now)?;
        next.authority = made.certificate_pem().to_owned();
        next.authority_key = made.key_pem();
        next.bundle = bundle(&next.authority, state.vouching.iter().map(|(text, _)| text.as_str()));
        if state.leaf.is_none() {
            sign(&mut next, &made, wishes, now)?;
        }
        return Ok(Some((next, "a new authority")));
    };
    let signer = || Authority::from_pem(&kept.authority, &kept.authority_key);
    let settled = |since: Timestamp| since + SKEW + wishes.settle <= now;
    let known = trusted == Some(kept.bundle.as_str()) && settled(authority.since);
    let Some(leaf) = &state.leaf else {
        sign(&mut next, &signer()?, wishes, now)?;
        return Ok(Some((next, "a certificate in place of one that cannot be served")));
    };
    let ours = leaf.issuer == authority.subject;
    if !ours && known {
        sign(&mut next, &signer()?, wishes, now)?;
        return Ok(Some((next, "a certificate by the new authority")));
    }
    if ours && third_left(leaf, wishes.lifetime, now) {
        sign(&mut next, &signer()?, wishes, now)?;
        return Ok(Some((next, "a certificate in place of one that expires")));
    }
    let leave = ours && settled(leaf.since);
    let stays = |facts: &CertificateFacts| facts.until > now && !leave;
    let others = state.vouching.iter().filter(|(_, facts)| facts.subject != authority.subject);
    let kept_others = others.filter(|(_, facts)| stays(facts)).map(|(text, _)| text.as_str());
    next.bundle = bundle(&kept.authority, kept_others);
    Ok((next.bundle != kept.bundle).then_some((next, "an authority that nobody needs any more is gone")))
}

/// What of the material can be used.
struct State {
    /// `None`: another one is needed.
    authority: Option<CertificateFacts>,
    /// `None`: nothing that can be served.
    leaf: Option<CertificateFacts>,
    /// The authorities of the bundle that can be read.
    vouching: Vec<(String, CertificateFacts)>,
}

impl State {
    fn of(kept: &Material, wishes: &Wishes, now: Timestamp) -> Self {
        let texts = kept.bundle.split_inclusive(END);
        let vouching: Vec<(String, CertificateFacts)> = texts
            .filter_map(|text| CertificateFacts::of(text).ok().map(|facts| (text.to_owned(), facts)))
            .collect();
        let fits = Pair::from_pem(kept.authority.as_bytes(), kept.authority_key.as_bytes()).is_ok();
        let vouched = |name: &str| vouching.iter().any(|(_, facts)| facts.subject == name);
        let authority = CertificateFacts::of(&kept.authority).ok().filter(|facts| {
            let outlives = facts.until > now + wishes.lifetime;
            fits && outlives && vouched(&facts.subject) && !third_left(facts, wishes.whole(), now)
        });
        let leaf = CertificateFacts::of(&kept.certificate).ok().filter(|facts| {
            kept.pair().is_ok()
                && facts.until > now
                && vouched(&facts.issuer)
                && wishes.names.iter().all(|name| facts.names.contains(name))
        });
        Self { authority, leaf, vouching }
    }
}

/// Whether less than a third of its time is left; one that was made for longer than is wished now counts as made for
/// that.
fn third_left(facts: &CertificateFacts, lifetime: Duration, now: Timestamp) -> bool {
    let made = facts.since + SKEW;
    let whole = Duration::try_from(facts.until.duration_since(made)).unwrap_or_default().min(lifetime);
    now >= made + whole * 2 / 3
}

/// Every authority has a name of its own, by which those who were signed by it are told apart. The time is first:
/// names are cut at 64 characters.
fn make_authority(wishes: &Wishes, now: Timestamp) -> Result<Authority, AuthorityError> {
    let name = format!("{} {}", now, wishes.name);
    Authority::generate(&name, now, wishes.whole())
}

fn sign(
    next: &mut Material,
    authority: &Authority,
    wishes: &Wishes,
    now: Timestamp,
) -> Result<(), AuthorityError> {
    let leaf = authority.leaf(&wishes.names, now, wishes.lifetime)?;
    (next.certificate, next.key) = (leaf.certificate, leaf.key);
    Ok(())
}

fn bundle<'a>(authority: &'a str, others: impl Iterator<Item = &'a str>) -> String {
    let mut all = String::from(authority.trim());
    all.push('\n');
    for other in others.map(str::trim).filter(|other| *other != authority.trim()) {
        all.push_str(other);
        all.push('\n');
    }
    all
}

#[cfg(test)]
mod tests;
