//! The answer to an admission request.

use std::collections::BTreeMap;

use crate::pss::LevelVersion;

use super::{Mode, Request, describe, labels::InvalidLabel};

/// Whether a policy allows a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It does.
    Allow,
    /// It does not.
    Deny,
}

/// What upstream counts in `pod_security_{evaluations,exemptions,errors}_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// A policy was applied in a mode. Audit and warn are counted only when they deny.
    Evaluation {
        /// What it decided.
        decision: Decision,
        /// The policy.
        policy: LevelVersion,
        /// The mode.
        mode: Mode,
    },
    /// The request was exempt.
    Exemption,
    /// Something could not be read.
    Error {
        /// Whether it kept the policy from being applied.
        fatal: bool,
    },
}

/// One field that makes an object invalid, or the cause of an internal error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatusCause {
    /// `FieldValueInvalid`, or empty.
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
    /// The field's path, or empty.
    pub field: String,
}

/// Why a request is refused: the members of a `metav1.Status` that matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The HTTP code.
    pub code: u16,
    /// The reason in one word.
    pub reason: &'static str,
    /// The sentence that the user sees.
    pub message: String,
    /// The single causes, for `details.causes`.
    pub causes: Vec<StatusCause>,
}

/// The answer to an admission request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// Why it is refused; `None` if it is allowed.
    pub refusal: Option<Status>,
    /// What the user is told.
    pub warnings: Vec<String>,
    /// For the audit log, without the prefix `pod-security.kubernetes.io/` that the API server adds:
    /// `enforce-policy`, `audit-violations`, `exempt`, `error`.
    pub audit_annotations: BTreeMap<&'static str, String>,
    /// What to count.
    pub records: Vec<Record>,
}

impl Response {
    /// Whether the request is allowed.
    #[must_use]
    pub fn allowed(&self) -> bool {
        self.refusal.is_none()
    }

    pub(super) fn warned(warnings: Vec<String>) -> Response {
        Response { warnings, ..Response::default() }
    }

    pub(super) fn exempt(by: &str) -> Response {
        let mut response = Response { records: vec![Record::Exemption], ..Response::default() };
        response.audit_annotations.insert("exempt", by.to_owned());
        response
    }

    /// Allowed although something could not be read: the answer about controllers, which are never enforced.
    pub(super) fn unread(error: String) -> Response {
        let mut response = Response { records: vec![Record::Error { fatal: true }], ..Response::default() };
        response.audit_annotations.insert("error", error);
        response
    }

    /// Refused because something could not be read.
    pub(super) fn failed(refusal: Status, cause: Option<&str>) -> Response {
        let message = &refusal.message;
        let error = cause.map_or_else(|| message.clone(), |cause| format!("{message}: {cause}"));
        Response { refusal: Some(refusal), ..Response::unread(error) }
    }
}

impl Status {
    pub(super) fn forbidden(request: &Request<'_>, error: &str) -> Status {
        let who = qualified(request.resource, request.group);
        let name = request.name;
        let message = match (request.resource, name) {
            ("", _) => format!("forbidden: {error}"),
            (_, "") => format!("{who} is forbidden: {error}"),
            _ => format!("{who} {} is forbidden: {error}", crate::pss::quote(name)),
        };
        Status { code: 403, reason: "Forbidden", message, causes: Vec::new() }
    }

    pub(super) fn invalid(request: &Request<'_>, errors: &[InvalidLabel]) -> Status {
        let who = qualified(request.kind, request.group);
        let name = crate::pss::quote(request.name);
        let message = format!("{who} {name} is invalid: {}", describe(errors));
        let cause = |error: &InvalidLabel| StatusCause {
            reason: "FieldValueInvalid",
            message: error.body(),
            field: error.field(),
        };
        Status { code: 422, reason: "Invalid", message, causes: errors.iter().map(cause).collect() }
    }

    pub(super) fn bad_request(message: &str) -> Status {
        Status { code: 400, reason: "BadRequest", message: message.to_owned(), causes: Vec::new() }
    }

    pub(super) fn internal(error: String) -> Status {
        let message = format!("Internal error occurred: {error}");
        let causes = vec![StatusCause { reason: "", message: error, field: String::new() }];
        Status { code: 500, reason: "InternalError", message, causes }
    }
}

fn qualified(name: &str, group: &str) -> String {
    if group.is_empty() { name.to_owned() } else { format!("{name}.{group}") }
}
