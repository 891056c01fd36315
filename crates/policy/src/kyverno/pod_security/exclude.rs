//! What an exclusion takes out.

use super::errors::FieldError;
use super::{Exclusion, Failure, PodSecurity};
use crate::go::text::clean_path;
use crate::image::ImagePattern;
use crate::kyverno::quirk::{Quirk, Quirks};
use crate::pss::{Check, CheckId, Container, ContainerKind, Pod, Scope};
use crate::wildcard;

impl PodSecurity {
    pub(super) fn exclude(
        &self,
        pod: &Pod<'_>,
        exclusions: &[Exclusion],
        failures: &mut Vec<Failure>,
        quirks: Quirks,
    ) {
        for exclusion in exclusions {
            let exclusion = Excluder { exclusion, pod, quirks };
            if quirks.on(Quirk::OneErrorAtATime) {
                let made_up = self.run(&exclusion.made_up_pod(), quirks);
                exclusion.take_one_by_one(&made_up, failures);
            }
            exclusion.take(failures);
            failures.retain(|failure| failure.errors.as_ref().is_none_or(|errors| !errors.is_empty()));
        }
    }
}

/// One exclusion, tried on one pod.
struct Excluder<'a> {
    exclusion: &'a Exclusion,
    pod: &'a Pod<'a>,
    quirks: Quirks,
}

impl<'a> Excluder<'a> {
    fn off(&self, quirk: Quirk) -> bool {
        !self.quirks.on(quirk)
    }

    fn has_image(&self, container: &Container<'_>) -> bool {
        let image = container.image();
        self.exclusion.images.iter().any(|pattern| {
            if self.off(Quirk::RawImages) {
                ImagePattern::lenient(pattern).matches(image)
            } else {
                wildcard::matches(pattern, image)
            }
        })
    }

    /// Only the containers with the exclusion's images and nothing of the pod, or only the pod with one empty container.
    fn made_up_pod(&self) -> Pod<'a> {
        if self.exclusion.images.is_empty() {
            return self.pod.clone().with_containers(vec![Container::empty("fake")]);
        }
        let meant = self.pod.containers().iter().filter(|container| self.has_image(container));
        Pod::of_containers(meant.copied().collect())
    }

    /// As Kyverno does it: for each error of the made-up pod, the first one like it in the real pod.
    fn take_one_by_one(&self, made_up: &[Failure], failures: &mut [Failure]) {
        for found in made_up.iter().filter(|found| self.names(found.check)) {
            for error in found.errors.iter().flatten().filter(|error| self.field_matches(error)) {
                let failure = failures.iter_mut().find(|failure| failure.check.id == found.check.id);
                let Some(errors) = failure.and_then(|failure| failure.errors.as_mut()) else { continue };
                let by_container = !self.exclusion.images.is_empty();
                let like = |other: &FieldError| {
                    other.starred == error.starred
                        && (!by_container || other.container() == error.container())
                };
                let Some(at) = errors.iter().position(like) else { continue };
                let whole = match self.off(Quirk::ValuesAllOrNothing) {
                    false => self.covers(error),
                    true => self.strip(&mut errors[at]),
                };
                if whole && self.off(Quirk::OrderLost) {
                    errors.remove(at);
                } else if whole {
                    errors.swap_remove(at);
                }
            }
        }
    }

    /// Every error that the exclusion is about.
    fn take(&self, failures: &mut [Failure]) {
        for failure in failures.iter_mut().filter(|failure| self.names(failure.check)) {
            let check = failure.check;
            let Some(errors) = &mut failure.errors else { continue };
            errors.retain_mut(|error| {
                let meant = self.reaches(check, error) && self.field_matches(error);
                let gone = meant
                    && match self.off(Quirk::ValuesAllOrNothing) {
                        false => self.covers(error),
                        true => self.strip(error),
                    };
                !gone
            });
        }
    }

    /// Whether the exclusion's control is that of a check.
    fn names(&self, check: &Check) -> bool {
        const VOLUMES: [CheckId; 2] = [CheckId::HostPathVolumes, CheckId::RestrictedVolumes];
        let either = ["HostPath Volumes", "Volume Types"].contains(&self.exclusion.control.as_str());
        let same = check.control == self.exclusion.control;
        same || (either && VOLUMES.contains(&check.id) && self.off(Quirk::VolumesWithoutValues))
    }

    /// Whether the exclusion is about the holder of an error.
    fn reaches(&self, check: &Check, error: &FieldError) -> bool {
        let apart = if only_of_pods(check) { Quirk::PodFieldsIgnoreImages } else { Quirk::LevelsApart };
        let same_level = self.off(Quirk::OneErrorAtATime);
        match (&error.at, self.exclusion.images.is_empty()) {
            (None, true) => same_level,
            (Some(at), false) => {
                same_level && self.container(at.kind, at.index).is_some_and(|c| self.has_image(&c))
            }
            (Some(_), true) => self.off(apart),
            (None, false) => {
                let containers = self.pod.containers();
                self.off(apart)
                    && !containers.is_empty()
                    && containers.iter().all(|container| self.has_image(container))
            }
        }
    }

    fn container(&self, kind: ContainerKind, index: usize) -> Option<Container<'a>> {
        self.pod.containers().iter().find(|c| c.kind == kind && c.index == index).copied()
    }

    fn field_matches(&self, error: &FieldError) -> bool {
        let field = &self.exclusion.field;
        let sidecar = error.at.as_ref().is_some_and(|at| at.kind == ContainerKind::Sidecar);
        let other_path = error.check == CheckId::RestrictedVolumes
            && self.exclusion.control == "HostPath Volumes"
            && error.starred != HOST_PATH;
        if other_path || (sidecar && !field.is_empty() && self.off(Quirk::SidecarsAreInit)) {
            return false;
        }
        field.is_empty() || *field == error.starred
    }

    /// Whether the exclusion names all of an error's values.
    fn covers(&self, error: &FieldError) -> bool {
        if self.exclusion.values.is_empty() {
            return true;
        }
        if error.is_required() && self.off(Quirk::MissingIgnoresValues) {
            return self.names_value(error, "");
        }
        error.values.iter().all(|value| self.names_value(error, value))
    }

    /// Takes the values that the exclusion names out of an error; whether nothing is left of it.
    fn strip(&self, error: &mut FieldError) -> bool {
        if self.exclusion.values.is_empty() || error.values.is_empty() {
            return self.covers(error);
        }
        let left: Vec<String> =
            error.values.iter().filter(|value| !self.names_value(error, value)).cloned().collect();
        error.values = left;
        error.values.is_empty()
    }

    fn names_value(&self, error: &FieldError, value: &str) -> bool {
        let paths = error.starred == HOST_PATH && self.off(Quirk::HostPathsAreText);
        self.exclusion.values.iter().any(|pattern| match paths {
            true => path_matches(pattern, value),
            false => wildcard::matches(pattern, value),
        })
    }
}

/// The field of hostPath volumes.
pub(super) const HOST_PATH: &str = "spec.volumes[*].hostPath";

/// Whether no field of a check is one of a container.
fn only_of_pods(check: &Check) -> bool {
    let fields = check.revisions.iter().flat_map(|revision| revision.fields);
    fields.into_iter().all(|field| matches!(field.scope, Scope::Pod | Scope::Volume))
}

/// Whether a path on the host is one that a pattern means: both are cleaned and compared by component. A `*` at the end
/// of a component that is the last stands for the path itself and everything below; alone, for everything below.
pub(crate) fn path_matches(pattern: &str, path: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let path = clean_path(path);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let mut wanted: Vec<&str> = pattern.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let open = match wanted.last_mut() {
        Some(last) if last.ends_with('*') => {
            *last = last.trim_end_matches('*');
            true
        }
        _ => false,
    };
    let below = open && wanted.last() == Some(&"");
    if below {
        wanted.pop();
    }
    let enough = match (open, below) {
        (false, _) => parts.len() == wanted.len(),
        (true, true) => parts.len() > wanted.len(),
        (true, false) => parts.len() >= wanted.len(),
    };
    path.starts_with('/') == pattern.starts_with('/')
        && enough
        && wanted.iter().zip(&parts).all(|(pattern, part)| wildcard::matches(pattern, part))
}

#[cfg(test)]
mod tests {
    use super::path_matches;

    #[test]
    fn paths_are_compared_by_component() {
        let cases = [
            ("/etc*", "/etc", true),
            ("/etc*", "/etc/ssl", true),
            ("/etc*", "/etc-evil", false),
            ("/etc/*", "/etc/ssl/certs", true),
            ("/etc/*", "/etc", false),
            ("/etc", "/etc/", true),
            ("/etc", "/etc/../root", false),
            ("/etc*", "/etc/../root", false),
            ("/var/log/pods", "/var/log//./pods", true),
            ("/var/*/pods", "/var/log/pods", true),
            ("/var/*/pods", "/var/log/x/pods", false),
            ("*", "/anything", true),
            ("/*", "/anything/below", true),
            ("/", "/", true),
            ("/", "/etc", false),
            ("etc", "/etc", false),
        ];
        for (pattern, path, expected) in cases {
            assert_eq!(path_matches(pattern, path), expected, "{pattern} on {path}");
        }
    }
}
