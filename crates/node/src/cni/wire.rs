//! What plugin and agent say to each other: one line of JSON each way. Versioned, since an upgrade replaces the agent
//! before or after the plugin.

use std::net::IpAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The protocol that this file describes. Fields may be added without a new number: unknown ones are ignored.
pub const PROTOCOL: u32 = 1;

/// The longest line that either side reads.
pub const LONGEST_LINE: usize = 64 << 10;

/// From the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// [`PROTOCOL`]
    pub version: u32,
    /// What is asked.
    #[serde(flatten)]
    pub asked: Asked,
    /// How long the plugin waits for the answer.
    pub timeout_millis: u64,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Asked {
    /// Put the pod's rules in force.
    Add(Pod),
    /// Are they in force?
    Check(Pod),
    /// The sandbox is going.
    Delete {
        /// Its id.
        sandbox: String,
    },
    /// Are you there?
    Status,
}

/// A pod whose network was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, or empty.
    pub uid: String,
    /// Id of its sandbox.
    pub sandbox: String,
    /// Path of its network namespace.
    pub netns: PathBuf,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
}

/// From the agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "camelCase")]
pub enum Answer {
    /// Rules are in force, or none are wanted; or what was asked is done.
    Settled,
    /// They are not.
    Later {
        /// Why.
        reason: String,
    },
    /// The question made no sense.
    Refused {
        /// Why.
        reason: String,
    },
}

impl Question {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let spoken: Versioned = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if spoken.version != PROTOCOL {
            return Err(format!("protocol version {}, accepted is {PROTOCOL}", spoken.version));
        }
        let question: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        match &question.asked {
            Asked::Add(pod) | Asked::Check(pod) if !pod.netns.is_absolute() => {
                Err("netns is no absolute path".into())
            }
            _ => Ok(question),
        }
    }
}
