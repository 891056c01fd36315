//! Requests about policies, exceptions and exemptions themselves: one that cannot be used is refused while its author
//! looks, and whatever else is wrong with it is told. Whoever only changes labels, takes an object away, or lets a
//! finalizer go is never held up.

mod check;

use std::sync::Arc;

use meshward_kit::machine::Machine;
use meshward_policy::exemption::GROUP;
use serde_json::Value;

use super::judge::{Judge, OnFault, Stop, Verdict};
use crate::live::{Granting, KINDS, Live};
use crate::lookup::Asker;
use crate::review::{Answer, Refusal, Request};
use check::Checked;

/// Warnings that are told at once; the API server cuts what it passes on, and people read no more.
const MOST_WARNINGS: usize = 10;

/// The webhook of objects.
pub(super) struct Objects {
    pub(super) live: Live,
    pub(super) granting: Arc<Granting>,
}

impl Judge for Objects {
    fn name(&self) -> &'static str {
        "objects"
    }

    /// One that is wrong is found again when it is read, and then its last good version stays in force.
    fn on_fault(&self) -> OnFault {
        OnFault::Allow
    }

    fn judge(&self, request: &Request<'_>, asker: &Asker<'_>) -> Result<Verdict, Stop> {
        let (group, kind) = (&*request.kind.group, &*request.kind.kind);
        let known = KINDS.iter().any(|one| one.group == group && one.kind == kind);
        let changes = matches!(&*request.operation, "CREATE" | "UPDATE") && request.sub_resource.is_empty();
        if !known || !changes {
            return Ok(Verdict::default());
        }
        let unread = |error: serde_json::Error| Stop::Failed(format!("the object cannot be read: {error}"));
        let (object, old) = (request.object().map_err(unread)?, request.old_object().map_err(unread)?);
        let going = object.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null());
        if going || (!old.is_null() && old.get("spec") == object.get("spec")) {
            return Ok(Verdict::default());
        }
        let snapshot = self.live.snapshot();
        let checked = match (group, kind) {
            (GROUP, _) => check::exemption(&object, &Machine),
            (_, "PolicyException") => check::exception(&object, &self.granting, &snapshot, &Machine),
            _ => check::policy(&object, asker, &Machine)?,
        };
        Ok(answer(request, checked).into())
    }
}

fn answer(request: &Request<'_>, checked: Checked) -> Answer {
    let mut answer = Answer::allowed();
    match checked {
        Checked::Invalid(causes) => {
            let told: Vec<String> =
                causes.iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect();
            let told = match told.as_slice() {
                [one] => one.clone(),
                all => format!("[{}]", all.join(", ")),
            };
            let (kind, group) = (&request.kind.kind, &request.kind.group);
            let message = format!("{kind}.{group} {:?} is invalid: {told}", &*request.name);
            answer.refusal = Some(Refusal { code: 422, reason: "Invalid", message, causes });
        }
        Checked::Forbidden(why) => {
            let (resource, group) = (&request.resource.resource, &request.resource.group);
            let message = format!("{resource}.{group} {:?} is forbidden: {why}", &*request.name);
            answer.refusal = Some(Refusal { code: 403, reason: "Forbidden", message, causes: Vec::new() });
        }
        Checked::Usable(mut warnings) => {
            let more = warnings.len().saturating_sub(MOST_WARNINGS);
            warnings.truncate(MOST_WARNINGS);
            if more > 0 {
                warnings.push(format!("and {more} more; meshward lint shows them all"));
            }
            answer.warnings = warnings;
        }
    }
    answer
}

/// The text at a pointer; empty where there is none.
fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
