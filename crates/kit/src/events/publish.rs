//! One attempt to bring an Event to the API server.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};

use super::{EventAction, EventPlan, Severity};
use crate::client::{self, Kind};

/// The API server takes no longer `reportingInstance`.
const LONGEST_INSTANCE: usize = 128;
/// Where Events of objects of the cluster are kept.
const DEFAULT_NAMESPACE: &str = "default";

/// Who says it.
#[derive(Debug, Clone, Copy)]
pub struct Author<'a> {
    /// Such as `meshward.dev/node`.
    pub controller: &'a str,
    /// Which one of several, such as the node.
    pub instance: &'a str,
}

/// Whether the attempt wrote something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It did.
    Written,
    /// It was there already, or was not to be written.
    Unchanged,
}

/// Writes an Event about an object, or raises the count of one. `related` is another object that it is about.
///
/// # Errors
/// What the API server answered.
pub async fn publish(
    client: Client,
    author: Author<'_>,
    regarding: &ObjectReference,
    related: Option<&ObjectReference>,
    action: &EventAction,
) -> Result<Published, kube::Error> {
    let namespace = regarding.namespace.as_deref().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or(DEFAULT_NAMESPACE);
    let events: Api<Event> = Api::namespaced(client, namespace);
    let now = Timestamp::now();
    let object = |name: &str, event: &EventPlan| Event {
        metadata: ObjectMeta {
            name: Some(name.to_string()),
            namespace: Some(namespace.to_owned()),
            ..ObjectMeta::default()
        },
        regarding: Some(regarding.clone()),
        related: related.cloned(),
        ..content(author, event, now)
    };
    let fresh = match action {
        EventAction::Create { name, event } => object(name, event),
        EventAction::Count { name, count, event } => {
            let series = EventSeries { count: *count, last_observed_time: MicroTime(now) };
            let patch = serde_json::json!({ "series": series });
            match events.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await {
                // The API server forgot it (its Events live for an hour): written anew.
                Err(error) if client::kind(&error) == Kind::Gone => object(name, event),
                Err(error) => return Err(error),
                Ok(_) => return Ok(Published::Written),
            }
        }
        EventAction::Held | EventAction::Dropped(_) => return Ok(Published::Unchanged),
    };
    match events.create(&PostParams::default(), &fresh).await {
        Ok(_) => Ok(Published::Written),
        // An attempt whose answer was lost had arrived.
        Err(error) if client::kind(&error) == Kind::Conflict => Ok(Published::Unchanged),
        Err(error) => Err(error),
    }
}

fn content(author: Author<'_>, event: &EventPlan, now: Timestamp) -> Event {
    let severity = match event.severity {
        Severity::Normal => "Normal",
        Severity::Warning => "Warning",
    };
    Event {
        type_: Some(severity.into()),
        reason: Some(event.reason.into()),
        action: Some(event.action.into()),
        note: Some(event.note.clone()),
        event_time: Some(MicroTime(now)),
        reporting_controller: Some(author.controller.into()),
        reporting_instance: Some(author.instance.chars().take(LONGEST_INSTANCE).collect()),
        ..Event::default()
    }
}
