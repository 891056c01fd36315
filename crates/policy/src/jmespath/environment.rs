//! What an evaluation needs from outside, as one trait, so that the engine itself stays pure and reproducible.

use crate::go::time::Moment;
use serde_json::Value;
use std::net::IpAddr;

/// Answers that depend on the world. Every method has a default for "not available here".
pub trait Environment {
    /// The present moment with the local offset from UTC; `None` where there is no clock.
    fn now(&self) -> Option<Moment> {
        None
    }

    /// 64 random bits; `None` where there is no source of randomness.
    fn random(&self) -> Option<u64> {
        None
    }

    /// The addresses of a host name.
    ///
    /// # Errors
    /// In words, why there is no answer.
    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        Err(format!("cannot look up {host:?}: name resolution is not available here"))
    }

    /// The value that a YAML text stands for, by the rules of go-yaml.
    ///
    /// # Errors
    /// In words, why the text is not YAML.
    fn parse_yaml(&self, text: &str) -> Result<Value, String> {
        let _ = text;
        Err("YAML is not available here".to_owned())
    }

    /// The registry that an image name without one belongs to.
    fn default_registry(&self) -> &str {
        "docker.io"
    }

    /// Whether `image_normalize` shows the default registry in names that had none.
    fn adds_default_registry(&self) -> bool {
        true
    }
}

/// An environment without clock, randomness, names and YAML.
#[derive(Debug, Clone, Copy, Default)]
pub struct Offline;

impl Environment for Offline {}

/// How much an evaluation may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Steps: an operation is one, a value copied into the result four, 16 bytes of text built one.
    pub steps: u64,
}

impl Default for Limits {
    /// Eight million steps: less than a second and at most a few hundred megabytes, thousands of times what policies
    /// need.
    fn default() -> Self {
        Self { steps: 8_000_000 }
    }
}

/// What an evaluation is given besides the data.
#[derive(Clone, Copy)]
pub struct Context<'c> {
    /// Clock, randomness, names, YAML.
    pub environment: &'c dyn Environment,
    /// When to give up.
    pub limits: Limits,
}

impl Default for Context<'_> {
    fn default() -> Self {
        Self { environment: &Offline, limits: Limits::default() }
    }
}

impl<'c> Context<'c> {
    /// The default limits in `environment`.
    pub fn new(environment: &'c dyn Environment) -> Self {
        Self { environment, limits: Limits::default() }
    }
}
