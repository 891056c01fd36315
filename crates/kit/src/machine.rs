//! What expressions and policies may ask of the machine they are evaluated on: the clock, randomness, names, YAML. The
//! command line and the controller must answer alike, or a policy that was tried would decide another way in force.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, ToSocketAddrs};
use std::time::{SystemTime, UNIX_EPOCH};

use meshward_manifest::{Documents, Options};
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Environment;
use serde_json::Value;

/// This machine. Times are shown in UTC, so that results do not depend on where they were made.
#[derive(Debug, Clone, Copy, Default)]
pub struct Machine;

impl Environment for Machine {
    fn now(&self) -> Option<Moment> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        let seconds = i64::try_from(now.as_secs()).ok()?;
        Some(Moment { nanoseconds: now.subsec_nanos(), ..Moment::from_unix(seconds) })
    }

    fn random(&self) -> Option<u64> {
        // The standard library seeds its hash maps from the system; policies need no better randomness than that.
        Some(RandomState::new().build_hasher().finish())
    }

    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let found = (host, 0).to_socket_addrs().map_err(|error| format!("lookup {host}: {error}"))?;
        Ok(found.map(|address| address.ip()).collect())
    }

    fn parse_yaml(&self, text: &str) -> Result<Value, String> {
        let options = Options { spans: false, ..Options::default() };
        match Documents::new(text.as_bytes(), options).next() {
            Some(Ok(document)) => Ok(document.value),
            Some(Err(error)) => Err(error.to_string()),
            None => Ok(Value::Null),
        }
    }
}
