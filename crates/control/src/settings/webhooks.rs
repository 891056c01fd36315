//! Settings of the webhook configurations and of the swap.

use std::time::Duration;

use clap::{Args, ValueEnum};
use meshward_mesh::SwapOptions;
use serde_json::{Value, json};

use super::values::{Validators, WaitExit, WaitUser, duration};

/// What the API server does with a request when nobody answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum)]
pub enum FailureMode {
    /// Refuses it
    Fail,
    /// Lets it through
    Ignore,
}

impl FailureMode {
    /// As webhook configurations write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fail => "Fail",
            Self::Ignore => "Ignore",
        }
    }
}

/// What the API server is told to send us.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Webhooks")]
pub struct Webhooks {
    /// Port of our Service
    #[arg(long, env = "MESHWARD_SERVICE_PORT", default_value = "443")]
    pub service_port: u16,
    /// Where the API server reaches us when it is not by our Service, such as https://10.0.0.1:9443
    #[arg(long, env = "MESHWARD_WEBHOOK_URL", value_name = "URL", value_parser = url)]
    pub webhook_url: Option<String>,
    /// Send us requests of these namespaces only: label selectors that must all hold, such as team=shop,!legacy
    #[arg(long, env = "MESHWARD_NAMESPACE_SELECTOR", value_delimiter = ',', value_parser = requirement, value_name = "KEY=VALUE,...")]
    pub namespace_selector: Vec<Value>,
    /// Let requests through whenever nobody answers, whatever policies say about their failure
    #[arg(long, env = "MESHWARD_FORCE_IGNORE")]
    pub force_ignore: bool,
    /// How long after we are ready new webhooks still let requests through when nobody answers: until the API server has
    /// learnt where we are
    #[arg(long, env = "MESHWARD_WARM_UP", default_value = "10s", value_parser = duration, value_name = "TIME")]
    pub warm_up: Duration,
    /// ClusterRole of ours that owns the webhook configurations, so that they go with it; by default our namespace
    #[arg(long, env = "MESHWARD_CLUSTER_ROLE", value_name = "NAME")]
    pub cluster_role: Option<String>,
    /// Remove the webhook configurations when the leader ends: nothing is enforced until another one leads
    #[arg(long, env = "MESHWARD_REMOVE_WEBHOOKS_ON_EXIT")]
    pub remove_webhooks_on_exit: bool,
}

impl Webhooks {
    /// The host of [`Webhooks::webhook_url`].
    pub fn host(&self) -> Option<String> {
        let url = self.webhook_url.as_deref()?.strip_prefix("https://")?;
        let authority = url.split('/').next().unwrap_or_default();
        let host = match authority.strip_prefix('[') {
            Some(rest) => rest.split(']').next(),
            None => authority.split(':').next(),
        };
        host.map(str::to_owned)
    }
}

/// `https://` with a host, and a path that ours can be put behind.
fn url(text: &str) -> Result<String, String> {
    let accepted = || format!("found {text:?}, accepted: https://HOST[:PORT][/PATH]");
    let rest = text.strip_prefix("https://").ok_or_else(accepted)?;
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || rest.contains(['?', '#', '@', ' ']) {
        return Err(accepted());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// `key`, `!key`, `key=value` or `key!=value`, as an expression of a selector.
fn requirement(text: &str) -> Result<Value, String> {
    let text = text.trim();
    let (key, operator, value) = match (text.split_once("!="), text.split_once('=')) {
        (Some((key, value)), _) => (key, "NotIn", Some(value)),
        (None, Some((key, value))) => (key, "In", Some(value.trim_start_matches('='))),
        (None, None) => match text.strip_prefix('!') {
            Some(key) => (key, "DoesNotExist", None),
            None => (text, "Exists", None),
        },
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let valid = |text: &str| text.chars().all(allowed);
    if key.is_empty() || !valid(key) || !value.is_none_or(valid) {
        return Err(format!("found {text:?}, accepted: KEY, !KEY, KEY=VALUE, KEY!=VALUE"));
    }
    let mut expression = json!({"key": key, "operator": operator});
    if let Some(value) = value {
        expression["values"] = json!([value]);
    }
    Ok(expression)
}

/// How mesh pods are swapped.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Swap")]
pub struct Swap {
    /// Leave pods of meshes as they are
    #[arg(long, env = "MESHWARD_NO_SWAP")]
    pub no_swap: bool,
    /// What becomes of pods when nobody answers; those let through keep their privileged init container
    #[arg(long, env = "MESHWARD_SWAP_FAILURE", value_enum, default_value = "ignore")]
    pub swap_failure: FailureMode,
    /// Image of the wait container
    #[arg(long, env = "MESHWARD_WAIT_IMAGE", default_value_t = SwapOptions::default().image, value_name = "IMAGE")]
    pub wait_image: String,
    /// How long the wait container waits for the rules, in seconds
    #[arg(long, env = "MESHWARD_WAIT_TIMEOUT", default_value_t = SwapOptions::default().timeout, value_parser = clap::value_parser!(u32).range(1..=86_400), value_name = "SECONDS")]
    pub wait_timeout: u32,
    /// Its exit code when they do not come: our own, or the one that a mesh's repair controller looks for
    #[arg(long, env = "MESHWARD_WAIT_EXIT_CODE", value_enum, default_value = "96")]
    pub wait_exit_code: WaitExit,
    /// Whom it runs as, which decides what it can prove
    #[arg(long, env = "MESHWARD_WAIT_USER", value_enum, default_value = "auto")]
    pub wait_user: WaitUser,
    /// What becomes of the meshes' own validation containers (CNI mode)
    #[arg(long, env = "MESHWARD_VALIDATORS", value_enum, default_value = "keep")]
    pub validators: Validators,
}
