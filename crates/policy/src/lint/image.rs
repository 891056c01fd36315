//! Image patterns of exclusions: which can never match, and which match what anybody can push.

use super::table::{IMAGE_NEVER_MATCHES, IMAGE_WITHOUT_REGISTRY, SPOOFABLE_IMAGE};
use super::{Lint, Report};
use crate::image::{Image, ImagePattern};
use crate::wildcard;

/// Registries where everybody can have a name of their own.
const OPEN_REGISTRIES: [&str; 6] =
    ["docker.io", "ghcr.io", "quay.io", "gcr.io", "public.ecr.aws", "registry.gitlab.com"];
/// More wildcards than that are not tried out.
const MOST: usize = 4;
/// A digest, as long as one has to be.
const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A pattern of Kyverno, compared with the text that the pod has.
pub(super) fn raw(pattern: &str, path: &str, report: &mut Report<'_>) {
    if let Some((lint, message, instead)) = verdict(pattern) {
        report.add(lint, path, message, instead);
    }
}

fn verdict(pattern: &str) -> Option<(&'static Lint, String, String)> {
    if !can_match(pattern) {
        let message = format!("{pattern:?} fits no image reference");
        return Some((&IMAGE_NEVER_MATCHES, message, String::new()));
    }
    if let Some(evil) = stranger(pattern) {
        let message = format!("{pattern:?} also fits {evil:?}");
        return Some((&SPOOFABLE_IMAGE, message, instead(pattern)));
    }
    let first = pattern.split_once('/').map_or("", |(first, _)| first);
    if !first.contains(['.', ':']) && first != "localhost" {
        let message =
            format!("{pattern:?} names no registry: \"docker.io/{}\" is not matched", plain(pattern));
        return Some((&IMAGE_WITHOUT_REGISTRY, message, instead(pattern)));
    }
    None
}

/// A pattern of ours, which is compared part by part.
pub(super) fn parsed(pattern: &str, path: &str, report: &mut Report<'_>) {
    let Ok(parsed) = ImagePattern::parse(pattern) else { return };
    let text = parsed.to_string();
    let mut parts = text.split('/');
    let (registry, first) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if OPEN_REGISTRIES.contains(&registry) && wildcard::is_pattern(first) {
        let message = format!("{pattern:?} fits images of every account of {registry}");
        report.add(&SPOOFABLE_IMAGE, path, message, format!("{registry}/ACCOUNT/REPOSITORY:TAG"));
    }
}

/// Whether some image reference fits, found by trying what the wildcards may stand for.
fn can_match(pattern: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    if parts.len() > MOST + 1 {
        return true;
    }
    let digest = format!("sha256:{HEX}");
    let fillers = ["", "a", "a/a", "a.a/a", "a:a", HEX, &digest];
    let count = fillers.len().pow(parts.len() as u32 - 1);
    (0..count).any(|mut number| {
        let mut text = parts[0].replace('?', "a");
        for part in &parts[1..] {
            text.push_str(fillers[number % fillers.len()]);
            number /= fillers.len();
            text.push_str(&part.replace('?', "a"));
        }
        Image::parse(&text, "docker.io", true).is_ok()
    })
}

/// An image of somebody else that the pattern fits.
fn stranger(pattern: &str) -> Option<String> {
    let plain = plain(pattern);
    let repository = plain.split(['@', ':']).next().unwrap_or_default().trim_matches('/');
    let repository = if repository.is_empty() { "app" } else { repository };
    let tail = repository.split_once('/').map_or(repository, |(_, tail)| tail);
    let mut candidates = vec![
        format!("evil.example/{repository}:1"),
        format!("evil.example/x/{repository}:1"),
        format!("evil.example/{tail}:1"),
        format!("evil.example/x/{tail}:1"),
        format!("evil.example/x/{repository}-evil:1"),
        format!("evil.example/{repository}@sha256:{HEX}"),
    ];
    let mut parts = repository.split('/');
    // Anybody can have an account in these registries; one account's repositories are its owner's.
    if OPEN_REGISTRIES.contains(&parts.next().unwrap_or_default()) {
        match parts.count() {
            0 => candidates.push(format!("{repository}/evil:1")),
            1 => candidates.push(format!("{repository}-evil/app:1")),
            _ => {}
        }
    }
    candidates
        .into_iter()
        .find(|image| wildcard::matches(pattern, image) && Image::parse(image, "", true).is_ok())
}

/// The pattern's own letters.
fn plain(pattern: &str) -> String {
    let kept: String = pattern.chars().filter(|c| !matches!(c, '*' | '?')).collect();
    kept.trim_matches(['/', ':', '@']).to_owned()
}

/// The pattern with a registry, and with the tag apart from the name.
fn instead(pattern: &str) -> String {
    let plain = plain(pattern);
    let (name, tag) = match plain.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name.to_owned(), tag.to_owned()),
        _ => (plain, String::new()),
    };
    let first = name.split('/').next().unwrap_or_default();
    let named = name.contains('/') && (first.contains(['.', ':']) || first == "localhost");
    let repository = match (named, name.is_empty()) {
        (_, true) => "REGISTRY/REPOSITORY".to_owned(),
        (true, _) => name,
        (false, _) if name.contains('/') => format!("docker.io/{name}"),
        (false, _) => format!("REGISTRY/{name}"),
    };
    format!("{repository}:{tag}*, with the registry that the cluster pulls from")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_patterns_apart() {
        let digest = format!("ghcr.io/a/b@sha256:{HEX}");
        let cases = [
            ("*/istio/proxyv2*", "spoofable-image"),
            ("*istio/proxyv2*", "spoofable-image"),
            ("*", "spoofable-image"),
            ("docker.io/istio*", "spoofable-image"),
            ("docker.io/*", "spoofable-image"),
            ("docker.io/istio/proxyv2*", "fine"),
            ("registry.corp.example/*", "fine"),
            ("ghcr.io/acme/*", "fine"),
            ("docker.io/istio/proxyv2:*", "fine"),
            ("docker.io/istio/proxyv2:1.27.?", "fine"),
            (digest.as_str(), "fine"),
            ("ghcr.io/a/b@*", "fine"),
            ("localhost:5000/a:*", "fine"),
            ("istio/proxyv2:*", "image-without-registry"),
            ("nginx:1.27", "image-without-registry"),
            ("ghcr.io/Acme/*", "image-never-matches"),
            ("https://ghcr.io/a/*", "image-never-matches"),
            ("ghcr.io/a b", "image-never-matches"),
            ("ghcr.io//a:*", "image-never-matches"),
            ("", "image-never-matches"),
        ];
        for (pattern, expected) in cases {
            let found = verdict(pattern).map_or("fine", |(lint, ..)| lint.id);
            assert_eq!(found, expected, "{pattern}");
        }
    }
}
