//! Image references taken apart as Kyverno does it: distribution's grammar, with the default registry put in front of
//! names that have none. Exemptions by image hang on this, so a name that the container runtime would refuse is an
//! error here, never a guess.

mod pattern;

use std::fmt;
use thiserror::Error;

pub use pattern::{ImagePattern, ImagePatternError, normalise};

/// The longest repository path, in bytes.
const MAX_PATH: usize = 255;

/// An image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The registry with its port; empty if the reference has none and none is to be added.
    pub registry: String,
    /// The last component of the path.
    pub name: String,
    /// The repository: all components after the registry.
    pub path: String,
    /// The tag; `latest` if there is neither tag nor digest, empty if there is only a digest.
    pub tag: String,
    /// The digest with its algorithm, or empty.
    pub digest: String,
}

/// A text that is no image reference.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("bad image: {image}: {reason}")]
pub struct ImageError {
    /// The reference, with the default registry.
    pub image: String,
    /// Why.
    pub reason: &'static str,
}

impl Image {
    /// Reads a reference. Where it names no registry, `default_registry` is used, and shown if `add_registry`.
    ///
    /// # Errors
    /// [`ImageError`] if the reference is malformed.
    pub fn parse(image: &str, default_registry: &str, add_registry: bool) -> Result<Self, ImageError> {
        let added = lacks_registry(image);
        let full = if added { format!("{default_registry}/{image}") } else { image.to_owned() };
        let mut parsed = split(&full).map_err(|reason| ImageError { image: full.clone(), reason })?;
        if added && !add_registry {
            parsed.registry.clear();
        }
        // Hosts must not have underscores, but Kyverno takes such a first component for the registry.
        if parsed.registry.is_empty()
            && let Some((first, rest)) = parsed.path.split_once('/')
            && first.contains('_')
        {
            (parsed.registry, parsed.path) = (first.to_owned(), rest.to_owned());
        }
        Ok(parsed)
    }

    /// Registry, path and tag, without the digest.
    pub fn reference_with_tag(&self) -> String {
        format!("{}:{}", self.repository(), self.tag)
    }

    fn repository(&self) -> String {
        if self.registry.is_empty() { self.path.clone() } else { format!("{}/{}", self.registry, self.path) }
    }
}

impl fmt::Display for Image {
    /// The full reference: with the digest if there is one, else with the tag.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let repository = self.repository();
        if self.digest.is_empty() {
            write!(f, "{repository}:{}", self.tag)
        } else {
            write!(f, "{repository}@{}", self.digest)
        }
    }
}

/// A first component is a registry if it has a dot, a port or capitals, or is `localhost`.
fn lacks_registry(image: &str) -> bool {
    match image.split_once('/') {
        None => true,
        Some((first, _)) => {
            !first.contains(['.', ':']) && first != "localhost" && first.to_lowercase() == first
        }
    }
}

fn split(full: &str) -> Result<Image, &'static str> {
    const FORM: &str = "invalid reference format";
    let (rest, digest) = match full.split_once('@') {
        Some((rest, digest)) => (rest, digest),
        None => (full, ""),
    };
    let slash = rest.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match rest[slash..].split_once(':') {
        Some((name, tag)) => (&rest[..slash + name.len()], Some(tag)),
        None => (rest, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) || (full.contains('@') && !is_digest(digest)) {
        return Err(FORM);
    }
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_host(first) => (first, path),
        _ => ("", name),
    };
    if !path.split('/').all(is_component) {
        let lower = path.to_lowercase();
        return Err(if lower.split('/').all(is_component) {
            "invalid reference format: repository name must be lowercase"
        } else {
            FORM
        });
    }
    if path.len() > MAX_PATH {
        return Err("repository name must not be more than 255 characters");
    }
    check_digest(digest)?;
    Ok(Image {
        registry: registry.to_owned(),
        name: path.rsplit('/').next().unwrap_or(path).to_owned(),
        path: path.to_owned(),
        tag: tag.unwrap_or(if digest.is_empty() { "latest" } else { "" }).to_owned(),
        digest: digest.to_owned(),
    })
}

/// Letters, digits, underscores, then also dots and dashes; at most 128.
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || matches!(b, b'.' | b'-'))
}

/// `algorithm:hex` with at least 32 digits.
fn is_digest(digest: &str) -> bool {
    digest.split_once(':').is_some_and(|(algorithm, hex)| {
        hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
            && algorithm.split(['-', '_', '+', '.']).all(|part| {
                part.starts_with(|c: char| c.is_ascii_alphabetic())
                    && part.bytes().all(|b| b.is_ascii_alphanumeric())
            })
    })
}

/// The algorithms that container registries know, each with its length.
fn check_digest(digest: &str) -> Result<(), &'static str> {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return Ok(());
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err("unsupported digest algorithm"),
    };
    match (hex.len() == length, hex.bytes().any(|b| b.is_ascii_uppercase())) {
        (true, false) => Ok(()),
        (true, true) => Err("invalid checksum digest format"),
        (false, _) => Err("invalid checksum digest length"),
    }
}

/// A host name or bracketed IPv6 address, with an optional port.
fn is_host(text: &str) -> bool {
    if let Some(rest) = text.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, port)| {
            !address.is_empty()
                && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
                && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
        });
    }
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    is_port(port)
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Lower case letters and digits with single separators between them: `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let mut index = 0;
    loop {
        let letters = bytes[index..].iter().take_while(|&&b| word(b)).count();
        index += letters;
        if letters == 0 {
            return false;
        }
        let separator = bytes[index..].iter().take_while(|&&b| !word(b)).count();
        match &bytes[index..index + separator] {
            b"" => return index == bytes.len(),
            b"." | b"_" | b"__" => {}
            dashes if dashes.iter().all(|b| *b == b'-') => {}
            _ => return false,
        }
        index += separator;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "sha256:128c6e3534b842a2eec139999b8ce8aa9a2af9907e2b9269550809d18cd832a3";

    #[test]
    fn takes_references_apart() {
        let cases = [
            ("nginx", "docker.io", "nginx", "latest"),
            ("nginx:1.27", "docker.io", "nginx", "1.27"),
            ("istio/proxyv2", "docker.io", "istio/proxyv2", "latest"),
            ("localhost/a", "localhost", "a", "latest"),
            ("localhost:4443/a:b", "localhost:4443", "a", "b"),
            ("ghcr.io/a/b/c:v1", "ghcr.io", "a/b/c", "v1"),
            ("Registry/a", "Registry", "a", "latest"),
            ("[2001:db8::1]:5000/a:1", "[2001:db8::1]:5000", "a", "1"),
            ("my_registry.io/a/b:1", "my_registry.io", "a/b", "1"),
            ("a--b/c__d.e", "docker.io", "a--b/c__d.e", "latest"),
        ];
        for (text, registry, path, tag) in cases {
            let image = Image::parse(text, "docker.io", true).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((&*image.registry, &*image.path, &*image.tag), (registry, path, tag), "{text}");
            assert_eq!(image.to_string(), format!("{registry}/{path}:{tag}"));
        }
        let pinned = Image::parse(&format!("a/b:1@{DIGEST}"), "docker.io", true).unwrap();
        assert_eq!(pinned.to_string(), format!("docker.io/a/b@{DIGEST}"));
        assert_eq!(pinned.reference_with_tag(), "docker.io/a/b:1");
        let digest_only = Image::parse(&format!("b@{DIGEST}"), "docker.io", true).unwrap();
        assert_eq!((digest_only.tag.as_str(), digest_only.name.as_str()), ("", "b"));
        assert_eq!(Image::parse("nginx", "docker.io", false).unwrap().to_string(), "nginx:latest");
    }

    #[test]
    fn refuses_malformed_references() {
        for text in [
            "",
            "a:",
            ":1",
            "A",
            "a/B",
            "a//b",
            "/a",
            "a/",
            "a..b",
            "a___b",
            "-a",
            "a:-x",
            "a b",
            "http://a/b",
            "a@sha256:abc",
            "a@md5:128c6e3534b842a2eec139999b8ce8aa",
            "[::1/a",
            "é",
            "a:1:2",
        ] {
            assert!(Image::parse(text, "docker.io", true).is_err(), "{text}");
        }
        let long = format!("docker.io/{}", "a/".repeat(130) + "a");
        assert!(Image::parse(&long, "docker.io", true).is_err());
    }

    proptest! {
        #[test]
        fn normalizing_twice_changes_nothing(text in "([a-z0-9]{1,4}[./:_-]?){1,6}|\\PC{0,12}") {
            if let Ok(image) = Image::parse(&text, "docker.io", true) {
                let once = image.to_string();
                prop_assert_eq!(Image::parse(&once, "docker.io", true).unwrap().to_string(), once);
            }
        }
    }
}
