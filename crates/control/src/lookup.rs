//! What judges ask of the cluster while a request waits: ConfigMaps and API calls of policy context, namespaces that the
//! watch has not shown yet, the kind behind a resource. Every question is bounded in time by the request's deadline and
//! in size, asked once for all policies of a request, and with our own rights alone.
//!
//! ```text
//! judge ─► Asker ─┬─ known (cache, this request's answers) ─► answer
//!                 ├─ at once: not known ─► Stop::Waits ─► the judge runs again, on a thread that may wait
//!                 └─ waiting: ask the API server or the Service, until the deadline ─► answer or error
//! ```

mod cache;
mod conditions;
mod fetch;
mod global;
mod parents;
mod path;
mod pods;
mod policy;
mod service;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use meshward_kit::machine::Machine;
use meshward_policy::go::time::Moment;
use meshward_policy::jmespath::Environment;
use meshward_policy::kyverno::matching::Gvk;
use serde_json::Value;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::admission::Deadline;
use crate::live::Snapshot;
use crate::review::Resource;
use crate::roles::Roles;
use cache::Cache;
use fetch::{Call, FetchError};
use service::Services;

pub use pods::Listed;
pub use policy::ForPolicy;

/// ConfigMaps change seldom; a policy that follows one may be this late.
const CONFIG_MAP: Duration = Duration::from_secs(2);
/// A namespace that the watch has not shown will be shown soon.
const NAMESPACE: Duration = Duration::from_secs(1);
/// What is behind a resource changes only with definitions.
const DISCOVERY: Duration = Duration::from_secs(60);
/// Calls say what is there at this moment: an answer is good for the request that asked, and no other.
const CALL: Duration = Duration::ZERO;
/// Definitions of global context.
const GLOBAL: Duration = Duration::from_secs(10);

/// Whom to ask, and what was answered lately.
pub struct Outside {
    client: Option<Client>,
    cache: Cache,
    services: Services,
    roles: watch::Receiver<Option<Arc<Roles>>>,
}

impl Outside {
    /// Asks with `client`; without one nothing is known that is not in the snapshot. `roles` are those that bindings give,
    /// while they are watched.
    pub fn new(client: Option<Client>, roles: watch::Receiver<Option<Arc<Roles>>>) -> Self {
        Self { client, cache: Cache::default(), services: Services::default(), roles }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is not known yet, and this asker does not wait.
    #[error("not known yet")]
    Waits,
    /// It is not there.
    #[error("{0}")]
    Missing(String),
    /// It could not be asked.
    #[error("{0}")]
    Failed(String),
}

/// Asks for one request.
pub struct Asker<'o> {
    outside: &'o Outside,
    deadline: Deadline,
    /// Where to wait; `None` for one that does not.
    handle: Option<Handle>,
    /// Whether something was asked that is not known.
    missed: Cell<bool>,
    /// How often it waited.
    waits: Cell<usize>,
    answers: RefCell<HashMap<String, Result<Arc<Value>, AskError>>>,
}

impl<'o> Asker<'o> {
    /// Answers only what is known.
    pub fn at_once(outside: &'o Outside, deadline: Deadline) -> Self {
        Self {
            outside,
            deadline,
            handle: None,
            missed: Cell::new(false),
            waits: Cell::new(0),
            answers: RefCell::default(),
        }
    }

    /// Waits for answers. Only on a thread that may: on a worker it panics.
    pub fn waiting(outside: &'o Outside, deadline: Deadline, handle: Handle) -> Self {
        Self { handle: Some(handle), ..Self::at_once(outside, deadline) }
    }

    /// Whether it waits for answers.
    pub fn may_wait(&self) -> bool {
        self.handle.is_some()
    }

    /// How often it waited for one.
    pub fn waits(&self) -> usize {
        self.waits.get()
    }

    /// Until when.
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// Whether something was asked that is not known, so that whatever was made of the answers is none.
    pub fn missed(&self) -> bool {
        self.missed.get()
    }

    /// A namespace, from the snapshot or else as the API server has it.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn namespace(&self, snapshot: &Snapshot, name: &str) -> Result<Arc<Value>, AskError> {
        if let Some(namespace) = snapshot.namespaces.get(name) {
            return Ok(namespace.clone());
        }
        self.get(&format!("/api/v1/namespaces/{}", path::escape(name)), NAMESPACE)
    }

    /// The kind behind a resource: requests about subresources name only what is sent.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn parent(&self, resource: &Resource) -> Result<Gvk, AskError> {
        let Resource { group, version, resource } = resource;
        let of = |kind: &str| Gvk { group: group.clone(), version: version.clone(), kind: kind.to_owned() };
        if let Some(kind) = parents::built_in(group, resource) {
            return Ok(of(kind));
        }
        let (group, version) = (path::escape(group), path::escape(version));
        let list = self.get(&format!("/apis/{group}/{version}"), DISCOVERY)?;
        parents::find(&list, resource)
            .map(of)
            .ok_or_else(|| AskError::Missing(format!("{group}/{version} has no resource {resource:?}")))
    }

    /// The roles that bindings give, as soon as they are all known.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn roles(&self) -> Result<Arc<Roles>, AskError> {
        let mut roles = self.outside.roles.clone();
        if let Some(roles) = roles.borrow().clone() {
            return Ok(roles);
        }
        let Some(handle) = &self.handle else { return self.miss() };
        let known =
            handle.block_on(tokio::time::timeout(self.deadline.left(), roles.wait_for(Option::is_some)));
        let unknown = || AskError::Failed("role bindings are not known yet".to_owned());
        known.ok().and_then(|known| known.ok()?.clone()).ok_or_else(unknown)
    }

    fn get(&self, path: &str, fresh: Duration) -> Result<Arc<Value>, AskError> {
        self.call(&Call::get(path), fresh)
    }

    /// Asks the API server. What was answered is good for `fresh`, and always for the rest of this request.
    fn call(&self, call: &Call<'_>, fresh: Duration) -> Result<Arc<Value>, AskError> {
        let key = call.key();
        if let Some(answer) = self.answers.borrow().get(&key) {
            return answer.clone();
        }
        if let Some(known) = self.outside.cache.get(&key, fresh) {
            return Ok(known);
        }
        let Some(handle) = &self.handle else { return self.miss() };
        self.waits.set(self.waits.get() + 1);
        let Some(client) = &self.outside.client else {
            return Err(AskError::Failed("there is no API server to ask".to_owned()));
        };
        let answer = handle
            .block_on(fetch::fetch(client, call, self.deadline.left()))
            .map_err(|error| match error {
                FetchError::Status { code: 404, .. } => AskError::Missing(error.to_string()),
                error => AskError::Failed(error.to_string()),
            })
            .map(|(value, size)| self.outside.cache.put(&key, value, size, fresh));
        self.answers.borrow_mut().insert(key, answer.clone());
        answer
    }

    fn miss<T>(&self) -> Result<T, AskError> {
        self.missed.set(true);
        Err(AskError::Waits)
    }
}

/// This machine, but names are not looked up on a worker: a name server that is away would hold it.
impl Environment for Asker<'_> {
    fn now(&self) -> Option<Moment> {
        Machine.now()
    }

    fn random(&self) -> Option<u64> {
        Machine.random()
    }

    fn resolve(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if self.handle.is_none() {
            return self.miss().map_err(|error| error.to_string());
        }
        Machine.resolve(host)
    }

    fn parse_yaml(&self, text: &str) -> Result<Value, String> {
        Machine.parse_yaml(text)
    }
}
