//! Which containers an entry is about. Every part that is set must hold for one and the same container.

use super::around::{self, Names, is_plain};
use super::near::Miss;
use crate::image::{ImagePattern, normalise};
use crate::pss::{Container, ContainerKind};
use crate::wildcard;
use serde_json::Value;
use std::fmt;

/// What an exemption looks at; in the order in which it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum Trait {
    Expiry,
    Namespace,
    PodLabels,
    ServiceAccount,
    ContainerKind,
    ContainerName,
    Image,
    Command,
    Args,
    Env,
    Mounts,
    Hooks,
    OtherContainers,
    Field,
    Value,
}

impl fmt::Display for Trait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Trait::Expiry => "expiry",
            Trait::Namespace => "namespace",
            Trait::PodLabels => "pod labels",
            Trait::ServiceAccount => "service account",
            Trait::ContainerKind => "container kind",
            Trait::ContainerName => "container name",
            Trait::Image => "image",
            Trait::Command => "command",
            Trait::Args => "args",
            Trait::Env => "env",
            Trait::Mounts => "mounts",
            Trait::Hooks => "hooks",
            Trait::OtherContainers => "other containers",
            Trait::Field => "field",
            Trait::Value => "value",
        })
    }
}

/// Which containers.
#[derive(Debug, Clone, Default)]
pub(super) struct ContainerSelector {
    pub(super) names: Vec<String>,
    pub(super) kinds: Vec<ContainerKind>,
    pub(super) images: Vec<ImagePattern>,
    pub(super) command: Option<Words>,
    pub(super) args: Option<Words>,
    pub(super) env: Option<Names>,
    pub(super) mounts: Option<Names>,
    pub(super) hooks: Option<Names>,
}

/// What surrounds a container, each with what a selector does not allow of it.
type Surroundings<'s> = [(Trait, &'s Option<Names>, fn(&Container<'_>, &Names) -> Vec<String>); 3];

/// A list of words, each a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Words {
    patterns: Vec<String>,
    /// What no word may be, nor two that follow each other with a space between them: an option and its value.
    forbidden: Vec<String>,
    /// Whether further words may follow.
    open: bool,
}

impl Words {
    pub(super) fn new(written: &[String]) -> Words {
        let (forbidden, mut patterns): (Vec<_>, Vec<_>) =
            written.iter().cloned().partition(|word| word.starts_with('!'));
        let open = patterns.last().is_some_and(|last| last == "...");
        patterns.truncate(patterns.len() - usize::from(open));
        let forbidden = forbidden.iter().map(|word| word[1..].to_owned()).collect();
        Words { patterns, forbidden, open }
    }

    fn matches(&self, words: &[&str]) -> bool {
        let enough =
            if self.open { words.len() >= self.patterns.len() } else { words.len() == self.patterns.len() };
        let pairs = || words.windows(2).map(|pair| pair.join(" "));
        let is_forbidden = |pattern: &String| {
            words.iter().any(|word| wildcard::matches(pattern, word))
                || pairs().any(|pair| wildcard::matches(pattern, &pair))
        };
        enough
            && self.patterns.iter().zip(words).all(|(pattern, word)| word_matches(pattern, word))
            && !self.forbidden.iter().any(is_forbidden)
    }

    fn text(&self) -> String {
        let open = if self.open { vec!["..."] } else { Vec::new() };
        let forbidden = self.forbidden.iter().map(|word| format!("!{word}"));
        let words = self.patterns.iter().cloned().chain(open.into_iter().map(str::to_owned)).chain(forbidden);
        format!("[{}]", words.collect::<Vec<_>>().join(", "))
    }
}

/// A wildcard in a word stands for nothing that a shell would make a further command of: the word may be the script of
/// `sh -c`.
fn word_matches(pattern: &str, word: &str) -> bool {
    if !wildcard::is_pattern(pattern) {
        return pattern == word;
    }
    is_plain(word) && wildcard::matches(pattern, word)
}

impl ContainerSelector {
    fn surroundings(&self) -> Surroundings<'_> {
        [
            (Trait::Env, &self.env, around::other_variables),
            (Trait::Mounts, &self.mounts, around::other_mounts),
            (Trait::Hooks, &self.hooks, around::other_commands),
        ]
    }

    /// Whether the selector is about a container; where it is not, each part that does not hold is added.
    pub(super) fn misses(&self, container: &Container<'_>, found: &mut Vec<Miss>) {
        let mut unless = |holds: bool, part: Trait, is: &dyn Fn() -> String, wanted: &dyn Fn() -> String| {
            if !holds {
                found.push(Miss { part, found: is(), wanted: wanted() });
            }
        };
        unless(
            self.kinds.is_empty() || self.kinds.contains(&container.kind),
            Trait::ContainerKind,
            &|| container.kind.as_str().to_owned(),
            &|| list(&self.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>()),
        );
        unless(
            self.names.is_empty() || self.names.iter().any(|name| wildcard::matches(name, container.name)),
            Trait::ContainerName,
            &|| container.name.to_owned(),
            &|| list(&self.names.iter().map(String::as_str).collect::<Vec<_>>()),
        );
        unless(
            self.images.is_empty() || self.images.iter().any(|image| image.matches(container.image())),
            Trait::Image,
            &|| {
                normalise(container.image())
                    .map_or_else(|| container.image().to_owned(), |image| image.to_string())
            },
            &|| self.images.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        );
        for (part, key, words) in
            [(Trait::Command, "command", &self.command), (Trait::Args, "args", &self.args)]
        {
            let Some(words) = words else { continue };
            let is = words_of(container, key);
            let holds = is.as_ref().is_some_and(|is| words.matches(is));
            unless(
                holds,
                part,
                &|| is.as_ref().map_or_else(|| "not a list of texts".to_owned(), |is| list(is)),
                &|| words.text(),
            );
        }
        for (part, names, others) in self.surroundings() {
            let Some(names) = names else { continue };
            let other = others(container, names);
            unless(other.is_empty(), part, &|| other.join(", "), &|| names.to_string());
        }
    }

    /// Whether the selector is about a container, without reasons.
    pub(super) fn selects(&self, container: &Container<'_>) -> bool {
        let words = |key: &str, words: &Option<Words>| {
            words.as_ref().is_none_or(|words| words_of(container, key).is_some_and(|is| words.matches(&is)))
        };
        (self.kinds.is_empty() || self.kinds.contains(&container.kind))
            && (self.names.is_empty()
                || self.names.iter().any(|name| wildcard::matches(name, container.name)))
            && words("command", &self.command)
            && words("args", &self.args)
            && self.surroundings().iter().all(|(_, names, others)| {
                names.as_ref().is_none_or(|names| others(container, names).is_empty())
            })
            && (self.images.is_empty() || self.images.iter().any(|image| image.matches(container.image())))
    }
}

/// The words of a container's `command` or `args`; none if it has none, `None` if they are not texts.
fn words_of<'a>(container: &Container<'a>, key: &str) -> Option<Vec<&'a str>> {
    match container.object.and_then(|object| object.get(key)) {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(words)) => words.iter().map(Value::as_str).collect(),
        Some(_) => None,
    }
}

fn list(words: &[&str]) -> String {
    format!("[{}]", words.join(", "))
}

/// The kind with a name.
pub(super) fn kind(name: &str) -> Option<ContainerKind> {
    KINDS.into_iter().find(|kind| kind.as_str() == name)
}

/// Every kind.
pub(super) const KINDS: [ContainerKind; 4] =
    [ContainerKind::Init, ContainerKind::Sidecar, ContainerKind::Regular, ContainerKind::Ephemeral];
