//! An admission request, as far as Pod Security Admission looks at it.

use serde_json::Value;

use super::Labels;

/// What the request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A new object.
    Create,
    /// A changed object.
    Update,
    /// Anything else, such as `DELETE` and `CONNECT`.
    Other,
}

/// An admission request. Names and texts come from the API server; objects come from users.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// What it does.
    pub operation: Operation,
    /// The resource's API group; empty for the core group.
    pub group: &'a str,
    /// The resource in plural, such as `pods`.
    pub resource: &'a str,
    /// The subresource, or empty.
    pub subresource: &'a str,
    /// The object's kind, such as `Namespace`.
    pub kind: &'a str,
    /// The namespace; for a Namespace its own name.
    pub namespace: &'a str,
    /// The object's name; empty where the server makes it up.
    pub name: &'a str,
    /// The authenticated user's name.
    pub username: &'a str,
    /// The object.
    pub object: Option<&'a Value>,
    /// The object before an update.
    pub old_object: Option<&'a Value>,
    /// The labels of the request's namespace, or why they could not be read. Not looked at for Namespace objects.
    pub namespace_labels: Result<&'a dyn Labels, &'a str>,
}
