//! Kinds as policies write them: `Pod`, `apps/v1/Deployment`, `Pod/exec`, `*/scale`.

use super::Gvk;
use crate::wildcard;

/// A parsed kind; every part may have wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KindSelector {
    group: String,
    version: String,
    kind: String,
    subresource: String,
}

impl KindSelector {
    /// Reads a kind. What has too many parts matches nothing, as in Kyverno.
    pub fn parse(text: &str) -> KindSelector {
        let mut parts: Vec<&str> = text.split('/').collect();
        if let Some(last) = parts.pop() {
            parts.extend(last.split('.'));
        }
        let of = |group: &str, version: &str, kind: &str, subresource: &str| KindSelector {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            subresource: subresource.to_owned(),
        };
        match parts[..] {
            [kind] => of("*", "*", kind, ""),
            ["*", "*"] => of("*", "*", "*", "*"),
            ["*", second] if second.to_lowercase() == second => of("*", "*", "*", second),
            [version, kind] if is_version(version) => of("*", version, kind, ""),
            [kind, subresource] => of("*", "*", kind, subresource),
            [version, kind, subresource] if is_version(version) => of("*", version, kind, subresource),
            [group, version, kind] => of(group, version, kind, ""),
            [group, version, kind, subresource] => of(group, version, kind, subresource),
            _ => of("", "", "", ""),
        }
    }

    /// The kind without group, version and subresource.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whether an object of this kind, or a subresource of it, is meant. Whoever names Pod means its ephemeral
    /// containers too.
    pub fn matches(&self, gvk: &Gvk, subresource: &str) -> bool {
        wildcard::matches(&self.kind, &gvk.kind)
            && wildcard::matches(&self.group, &gvk.group)
            && wildcard::matches(&self.version, &gvk.version)
            && (wildcard::matches(&self.subresource, subresource)
                || (subresource == "ephemeralcontainers"
                    && gvk.kind == "Pod"
                    && gvk.group.is_empty()
                    && gvk.version == "v1"))
    }

    /// Whether an API server has to be asked to send this. Whoever names `Pod/exec` does not ask for ephemeral containers,
    /// though they would match.
    pub(super) fn asks(&self, gvk: &Gvk, subresource: &str) -> bool {
        self.matches(gvk, subresource)
            && (wildcard::matches(&self.subresource, subresource) || self.matches(gvk, ""))
    }
}

/// `v1`, `v2beta1`, `*`.
pub(in crate::kyverno) fn is_version(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let Some(rest) = text.strip_prefix('v') else { return text == "*" };
    let stage = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (major, stage) = rest.split_at(stage);
    let minor = stage.strip_prefix("alpha").or_else(|| stage.strip_prefix("beta"));
    digits(major) && (stage.is_empty() || minor.is_some_and(digits))
}
