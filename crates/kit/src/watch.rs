//! Lists and watches of the API server as both daemons follow them: objects come as loose JSON, so that one of the wrong
//! shape spoils no list, and whether the API server answers is told by a condition.
//!
//! ```text
//! list (pages) ─► watch (bookmarks) ─► Event ─► whoever follows
//!   ▲                 │ gone, broken: backoff with jitter, then watch or list again
//!   └─────────────────┘
//! ```

mod loose;

use std::future::pending;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::Client;
use kube::api::{Api, ApiResource, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, watcher};

use crate::admin::Condition;
use crate::backoff::Backoff;
use crate::client::RequestError;

pub use kube::runtime::watcher::{Config, Event};
use loose::Jitter;
pub use loose::Loose;

/// The first pause before the API server is asked again, and the longest: a daemon should be back soon after it is.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How many objects one answer holds, if nobody says otherwise.
const PAGE: u32 = 500;

/// What is followed.
#[derive(Clone)]
pub struct Watched {
    /// Asks the API server.
    pub client: Client,
    /// The resource.
    pub resource: ApiResource,
    /// The only namespace to look at; all of them when there is none.
    pub namespace: Option<String>,
    /// Selectors.
    pub config: Config,
    /// How many objects one answer may hold.
    pub page: u32,
}

impl Watched {
    /// Every object of a resource.
    pub fn all(client: Client, resource: ApiResource) -> Self {
        Self { client, resource, namespace: None, config: Config::default(), page: PAGE }
    }

    /// The same with field selectors, as in `spec.nodeName=worker-1`.
    #[must_use]
    pub fn fields(mut self, selector: &str) -> Self {
        self.config = self.config.fields(selector);
        self
    }

    /// The same with fewer objects in one answer: each is in memory as a whole.
    #[must_use]
    pub fn pages_of(mut self, objects: u32) -> Self {
        self.page = objects;
        self
    }

    /// Only the objects of a namespace.
    #[must_use]
    pub fn within(mut self, namespace: &str) -> Self {
        self.namespace = Some(namespace.to_owned());
        self
    }

    /// The requests that this makes.
    pub fn api(&self) -> Api<Loose> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &self.resource),
            None => Api::all_with(self.client.clone(), &self.resource),
        }
    }

    /// Begins to follow. `shown` holds while the API server answers and whoever follows has taken the first list.
    pub fn follow(self, shown: Condition) -> Following {
        let api = self.api();
        let events = watcher(api.clone(), self.config.clone().page_size(self.page));
        let events = events.backoff(Jitter(Backoff::new(RETRY.0, RETRY.1))).boxed();
        let plural = self.resource.plural;
        Following { api, plural, events, shown, listed: false, taken: false, away: false }
    }
}

/// A watch that goes on.
pub struct Following {
    api: Api<Loose>,
    plural: String,
    events: BoxStream<'static, watcher::Result<Event<Loose>>>,
    shown: Condition,
    /// A first list has come.
    listed: bool,
    /// A whole list was handed out; whoever asks for more has taken it.
    taken: bool,
    /// The API server does not answer.
    away: bool,
}

impl Following {
    /// The next event. Every list begins with `Init` and ends with `InitDone`: what did not come between them is gone.
    pub async fn next(&mut self) -> Option<Event<Loose>> {
        if std::mem::take(&mut self.taken) {
            self.shown.hold();
        }
        loop {
            let event = tokio::select! {
                event = self.events.next() => event?,
                // A watch that was taken up again tells nothing until something changes.
                () = answers(&self.api, self.away && self.listed) => {
                    self.away = false;
                    self.shown.hold();
                    continue;
                }
            };
            match event {
                Ok(event) => {
                    self.taken = matches!(event, Event::InitDone);
                    self.listed |= self.taken;
                    if self.listed && !self.taken && std::mem::take(&mut self.away) {
                        self.shown.hold();
                    }
                    return Some(event);
                }
                Err(error) => {
                    self.away = true;
                    let told = told(&self.plural, error);
                    if self.shown.fail(told.clone()) {
                        tracing::warn!("{told}; trying again");
                    }
                }
            }
        }
    }
}

/// A resource of the core group or of a group of its own, by the names that its API has.
pub fn resource(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    let api_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version,
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Ends when the API server answers; never, unless that is wanted.
async fn answers(api: &Api<Loose>, wanted: bool) {
    if !wanted {
        return pending().await;
    }
    let mut pause = Backoff::new(RETRY.0, RETRY.1);
    loop {
        tokio::time::sleep(pause.next_delay()).await;
        if api.list_metadata(&ListParams::default().limit(1)).await.is_ok() {
            return;
        }
    }
}

fn told(what: &str, error: watcher::Error) -> String {
    match error {
        watcher::Error::InitialListFailed(error) => {
            RequestError::of(format!("list {what}"))(error).to_string()
        }
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            RequestError::of(format!("watch {what}"))(error).to_string()
        }
        other => format!("cannot watch {what}: {other}"),
    }
}
