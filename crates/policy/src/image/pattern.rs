//! Which images a policy means, compared part by part: a pattern for one repository never matches another registry, a
//! longer path or a longer name, which patterns over the raw text do.

use super::{Image, is_component, is_digest, is_tag, lacks_registry};
use crate::wildcard;
use std::fmt;
use thiserror::Error;

/// The registry of names that have none.
const DEFAULT_REGISTRY: &str = "docker.io";

/// A pattern for images: a repository, optionally with a tag or a digest.
///
/// - Repository: compared after normalisation (`nginx` is `docker.io/library/nginx`), one path component at a time.
///   `*` and `?` stand for characters of one component; a last component `*` stands for everything below.
/// - Tag: compared with wildcards; without a tag every tag is meant. An image with a digest is pulled by it, whatever
///   its tag says, so that a pattern with a tag does not match it.
/// - Digest: compared exactly.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePattern {
    /// `None` for every registry and every path before the components.
    registry: Option<String>,
    path: Vec<String>,
    tag: Option<String>,
    digest: Option<String>,
}

/// A text that is no pattern for images.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("bad image pattern {pattern:?}: {reason}")]
pub struct ImagePatternError {
    /// The text.
    pub pattern: String,
    /// Why.
    pub reason: &'static str,
}

impl ImagePattern {
    /// Reads a pattern. The registry is one registry: nobody can promise what all of them hold.
    ///
    /// # Errors
    /// [`ImagePatternError`] for wildcards in the registry, or a part that no image can have.
    pub fn parse(pattern: &str) -> Result<ImagePattern, ImagePatternError> {
        let wrong = |reason| ImagePatternError { pattern: pattern.to_owned(), reason };
        let parsed = Self::split(pattern);
        let Some(registry) = &parsed.registry else {
            return Err(wrong(
                "a registry must be written out, such as docker.io/istio/proxyv2: anybody can have a registry",
            ));
        };
        let plain = |text: &str| text.replace(['*', '?'], "a");
        if wildcard::is_pattern(registry) {
            return Err(wrong("a registry must not have wildcards: anybody can have a registry"));
        }
        if !parsed.path.iter().all(|component| is_component(&plain(component))) {
            return Err(wrong(
                "no repository has such a name, accepted: lower case letters, digits, single separators",
            ));
        }
        if parsed.tag.as_deref().is_some_and(|tag| !is_tag(&plain(tag))) {
            return Err(wrong("no image has such a tag"));
        }
        match &parsed.digest {
            Some(digest) if !is_digest(digest) => {
                Err(wrong("accepted as digest: an algorithm, a colon, the whole digest in hexadecimal"))
            }
            Some(_) if parsed.tag.is_some() => {
                Err(wrong("both tag and digest are given, accepted: one of them"))
            }
            _ => Ok(parsed),
        }
    }

    /// Reads a pattern of a Kyverno policy by what it most likely means: a `*` before the first slash stands for every
    /// registry and path, one at the end of a name for every tag and digest.
    pub(crate) fn lenient(pattern: &str) -> ImagePattern {
        let mut parsed = Self::split(pattern);
        if parsed.tag.is_none()
            && parsed.digest.is_none()
            && let Some(last) = parsed.path.last_mut()
            && last.len() > 1
        {
            *last = last.trim_end_matches('*').to_owned();
        }
        parsed
    }

    fn split(pattern: &str) -> ImagePattern {
        let (rest, digest) = match pattern.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (pattern, None),
        };
        let slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (name, tag) = match rest[slash..].split_once(':') {
            Some((name, tag)) => (&rest[..slash + name.len()], Some(tag.to_owned())),
            None => (rest, None),
        };
        let (registry, path) = match name.split_once('/') {
            Some(("*", path)) => (None, path.to_owned()),
            None if name.starts_with('*') => (None, name.to_owned()),
            Some(("index.docker.io", path)) => (Some(DEFAULT_REGISTRY.to_owned()), path.to_owned()),
            Some((first, path)) if !lacks_registry(name) => (Some(first.to_owned()), path.to_owned()),
            _ => (Some(DEFAULT_REGISTRY.to_owned()), name.to_owned()),
        };
        let mut path: Vec<String> = path.split('/').map(str::to_owned).collect();
        if registry.as_deref() == Some(DEFAULT_REGISTRY) && path.len() == 1 && path != ["*"] {
            path.insert(0, "library".to_owned());
        }
        ImagePattern { registry, path, tag, digest }
    }

    /// Whether an image as a pod names it is meant. A name that no container runtime accepts never is.
    pub fn matches(&self, image: &str) -> bool {
        let Some(image) = normalise(image) else { return false };
        self.repository_matches(&image) && self.version_matches(&image)
    }

    /// The registry; `None` where the pattern is about all of them.
    pub fn registry(&self) -> Option<&str> {
        self.registry.as_deref()
    }

    /// Whether only images with one digest are meant.
    pub fn is_pinned(&self) -> bool {
        self.digest.is_some()
    }

    fn repository_matches(&self, image: &Image) -> bool {
        let parts: Vec<&str> = image.path.split('/').collect();
        let Some(registry) = &self.registry else {
            let from = parts.len().saturating_sub(self.path.len());
            return below(&self.path, &parts) || below(&self.path, &parts[from..]);
        };
        *registry == image.registry && below(&self.path, &parts)
    }

    fn version_matches(&self, image: &Image) -> bool {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => *digest == image.digest,
            (None, None) => true,
            (None, Some(tag)) => {
                tag == "*" || (image.digest.is_empty() && wildcard::matches(tag, &image.tag))
            }
        }
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = self.registry.as_deref().unwrap_or("*");
        write!(f, "{registry}/{}", self.path.join("/"))?;
        match (&self.digest, &self.tag) {
            (Some(digest), _) => write!(f, "@{digest}"),
            (None, Some(tag)) => write!(f, ":{tag}"),
            (None, None) => Ok(()),
        }
    }
}

/// Whether path components match patterns one by one, or are below a last `*`.
fn below(patterns: &[String], parts: &[&str]) -> bool {
    let same = |(pattern, part): (&String, &&str)| wildcard::matches(pattern, part);
    match patterns.split_last() {
        Some((last, before)) if last == "*" => {
            parts.len() > before.len() && before.iter().zip(parts).all(same)
        }
        _ => patterns.len() == parts.len() && patterns.iter().zip(parts).all(same),
    }
}

/// An image with its full repository, as container runtimes complete it; `None` if they refuse it.
pub fn normalise(image: &str) -> Option<Image> {
    let mut image = Image::parse(image, DEFAULT_REGISTRY, true).ok()?;
    if image.registry == "index.docker.io" {
        DEFAULT_REGISTRY.clone_into(&mut image.registry);
    }
    if image.registry == DEFAULT_REGISTRY && !image.path.contains('/') {
        image.path = format!("library/{}", image.path);
    }
    Some(image)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:128c6e3534b842a2eec139999b8ce8aa9a2af9907e2b9269550809d18cd832a3";

    #[test]
    fn compares_part_by_part() {
        let pinned = format!("istio/proxyv2@{DIGEST}");
        let both = format!("istio/proxyv2:1.27@{DIGEST}");
        let cases = [
            ("docker.io/istio/proxyv2", "istio/proxyv2:1.27", true),
            ("istio/proxyv2", "docker.io/istio/proxyv2", true),
            ("istio/proxyv2", "index.docker.io/istio/proxyv2", true),
            ("docker.io/istio/proxyv2", "evil.io/docker.io/istio/proxyv2", false),
            ("docker.io/istio/proxyv2", "evil.io/istio/proxyv2", false),
            ("docker.io/istio/proxyv2", "istio/proxyv2-evil:1", false),
            ("docker.io/istio/proxyv2", "istio/proxyv2/evil:1", false),
            ("docker.io/istio/proxyv2", "docker.io.evil.io/istio/proxyv2", false),
            ("docker.io/istio/proxyv2", "docker.io:443/istio/proxyv2", false),
            ("nginx", "docker.io/library/nginx:1", true),
            ("library/nginx", "nginx", true),
            ("docker.io/nginx", "nginx", true),
            ("docker.io/*", "evil.io/nginx", false),
            ("istio/proxyv2:1.27*", "istio/proxyv2:1.27.3", true),
            ("istio/proxyv2:1.27*", "istio/proxyv2:1.26", false),
            ("istio/proxyv2:latest", "istio/proxyv2", true),
            ("istio/proxyv2:1.27", &both, false),
            ("istio/proxyv2", &both, true),
            (&pinned, &both, true),
            (&pinned, "istio/proxyv2:1.27", false),
            ("registry.example.com:5000/mesh/*", "registry.example.com:5000/mesh/a/b:1", true),
            ("registry.example.com/mesh/*", "registry.example.com/mesh", false),
            ("registry.example.com/mesh/*", "registry.example.com/meshes/a", false),
            ("registry.example.com/mesh/proxy-*", "registry.example.com/mesh/proxy-a:1", true),
            ("registry.example.com/mesh/proxy-*", "registry.example.com/mesh/proxy-a/b:1", false),
            ("istio/proxyv2", "istio/proxyv2:", false),
            ("istio/proxyv2", "", false),
        ];
        for (pattern, image, expected) in cases {
            let parsed = ImagePattern::parse(pattern).unwrap();
            assert_eq!(parsed.matches(image), expected, "{pattern} on {image}");
            assert_eq!(ImagePattern::parse(&parsed.to_string()).unwrap(), parsed);
        }
    }

    #[test]
    fn refuses_what_no_image_has() {
        for pattern in [
            "*/istio/proxyv2",
            "*",
            "*.io/a/b",
            "a/B",
            "a//b",
            "a:b:c",
            "a@sha256:12",
            "a:1@sha256:12",
            "",
            "a:",
        ] {
            assert!(ImagePattern::parse(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn reads_patterns_of_policies_by_their_meaning() {
        let cases = [
            ("*/istio/proxyv2*", "docker.io/istio/proxyv2:1.27", true),
            ("*/istio/proxyv2*", "gcr.io/istio/proxyv2", true),
            ("*/istio/proxyv2*", "evil.example/x/istio/proxyv2-evil:1", false),
            ("*/proxyv2*", "docker.io/istio/proxyv2:1", true),
            ("*", "a/b/c:1", true),
            ("ghcr.io/*", "ghcr.io/a/b:1", true),
            ("nginx*", "nginx:1.27", true),
            ("nginx*", "nginx-evil:1.27", false),
            ("*nginx*", "docker.io/bitnami/nginx:1", true),
            ("ghcr.io/a/b:*", "ghcr.io/a/b:1", true),
            ("*.io/a/b:*", "ghcr.io/a/b:1", false),
        ];
        for (pattern, image, expected) in cases {
            assert_eq!(ImagePattern::lenient(pattern).matches(image), expected, "{pattern} on {image}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_for_one_repository_matches_only_it(image in "([a-z]{1,4}[./:_-]?){1,6}|\\PC{0,12}") {
            let pattern = ImagePattern::parse("docker.io/istio/proxyv2").unwrap();
            if pattern.matches(&image) {
                let normal = normalise(&image).unwrap();
                prop_assert_eq!((normal.registry.as_str(), normal.path.as_str()), ("docker.io", "istio/proxyv2"));
            }
            let _ = ImagePattern::parse(&image).map(|pattern| pattern.matches(&image));
            let _ = ImagePattern::lenient(&image).matches(&image);
        }
    }
}
