//! AdmissionReview (admission.k8s.io/v1) as it comes and goes. The envelope is read without its objects, which are by
//! far the largest part: most requests are answered from kind and namespace alone, and an object is parsed at most once.

use std::borrow::Cow;
use std::collections::BTreeMap;

use meshward_policy::go::base64;
use meshward_policy::kyverno::matching::{Gvk, UserInfo};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The only version that is spoken: every supported API server does.
const API_VERSION: &str = "admission.k8s.io/v1";

/// A review as the API server sends it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(borrow, default)]
    api_version: Cow<'a, str>,
    #[serde(borrow)]
    request: Option<Request<'a>>,
}

/// A request to be judged. Names and texts are the API server's, objects are users'.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request<'a> {
    /// Comes back with the answer.
    #[serde(borrow)]
    pub uid: Cow<'a, str>,
    /// Of the object; of a subresource, of what it sends (for pods/ephemeralcontainers that is Pod).
    pub kind: Kind,
    /// Of the object.
    pub resource: Resource,
    /// Or empty.
    #[serde(borrow, default)]
    pub sub_resource: Cow<'a, str>,
    /// Or empty where the server makes it up.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    /// Or empty for objects of the cluster; of a Namespace its own name.
    #[serde(borrow, default)]
    pub namespace: Cow<'a, str>,
    /// `CREATE`, `UPDATE`, `DELETE` or `CONNECT`.
    #[serde(borrow)]
    pub operation: Cow<'a, str>,
    /// Who asks.
    pub user_info: User,
    /// The object; none for deletions.
    #[serde(borrow, default)]
    object: Option<&'a RawValue>,
    /// The object before; none for new ones.
    #[serde(borrow, default)]
    old_object: Option<&'a RawValue>,
    /// Nothing is stored: no reports and no Events either.
    #[serde(default)]
    pub dry_run: Option<bool>,
    /// What the client asked for, where the API server converted it to the version that the webhook asks for.
    #[serde(borrow, default)]
    request_kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_resource: Option<&'a RawValue>,
    #[serde(borrow, default)]
    request_sub_resource: Option<&'a RawValue>,
    /// Of the operation, such as `propagationPolicy`.
    #[serde(borrow, default)]
    options: Option<&'a RawValue>,
}

/// Group, version and kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kind {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its name.
    pub kind: String,
}

/// Group, version and plural.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Resource {
    /// Empty for the core group.
    #[serde(default)]
    pub group: String,
    /// Its version.
    pub version: String,
    /// Its plural.
    pub resource: String,
}

/// An authenticated user.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct User {
    /// The user's name.
    #[serde(default)]
    pub username: String,
    /// The user's groups.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The user's unique name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// What else the authenticator said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// As policies see it, with the roles that bindings give.
    pub fn with_roles(&self, roles: Vec<String>, cluster_roles: Vec<String>) -> UserInfo {
        let User { username, groups, uid, .. } = self.clone();
        UserInfo { username, groups, roles, cluster_roles, uid }
    }
}

/// Why a body is no review.
#[derive(Debug, thiserror::Error)]
pub enum ReviewError {
    /// It is not JSON of the right shape.
    #[error("not an AdmissionReview: {0}")]
    Shape(#[from] serde_json::Error),
    /// It is of another version.
    #[error("found apiVersion {found:?}, accepted: {API_VERSION}")]
    Version {
        /// What was found.
        found: String,
    },
    /// It is an answer, or empty.
    #[error("the AdmissionReview has no request")]
    NoRequest,
}

impl<'a> Request<'a> {
    /// Reads a body.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(body: &'a [u8]) -> Result<Self, ReviewError> {
        let envelope: Envelope<'a> = serde_json::from_slice(body)?;
        if envelope.api_version != API_VERSION {
            return Err(ReviewError::Version { found: envelope.api_version.into_owned() });
        }
        envelope.request.ok_or(ReviewError::NoRequest)
    }

    /// The object, parsed now; null where there is none.
    ///
    /// # Errors
    /// It is no JSON: the API server does not send such.
    pub fn object(&self) -> Result<Value, serde_json::Error> {
        parsed(self.object)
    }

    /// The object before, parsed now; null where there is none.
    ///
    /// # Errors
    /// As [`Request::object`].
    pub fn old_object(&self) -> Result<Value, serde_json::Error> {
        parsed(self.old_object)
    }

    /// Group, version and kind as policies ask for them.
    pub fn gvk(&self) -> Gvk {
        let Kind { group, version, kind } = self.kind.clone();
        Gvk { group, version, kind }
    }

    /// Everything but the objects, as variables of policies may ask for it.
    ///
    /// # Errors
    /// As [`Request::object`].
    pub fn members(&self) -> Result<Value, serde_json::Error> {
        let mut members = json!({
            "uid": self.uid, "kind": self.kind, "resource": self.resource, "operation": self.operation,
            "userInfo": self.user_info, "dryRun": self.is_dry_run(),
        });
        let texts =
            [("name", &self.name), ("namespace", &self.namespace), ("subResource", &self.sub_resource)];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            members[name] = json!(text);
        }
        let parts = [
            ("requestKind", self.request_kind),
            ("requestResource", self.request_resource),
            ("requestSubResource", self.request_sub_resource),
            ("options", self.options),
        ];
        for (name, part) in parts.into_iter().filter(|(_, part)| part.is_some()) {
            members[name] = parsed(part)?;
        }
        Ok(members)
    }

    /// Whether nothing is stored.
    pub fn is_dry_run(&self) -> bool {
        self.dry_run.unwrap_or_default()
    }
}

fn parsed(raw: Option<&RawValue>) -> Result<Value, serde_json::Error> {
    raw.map_or(Ok(Value::Null), |raw| serde_json::from_str(raw.get()))
}

/// Why a request is refused: what the client sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// The HTTP code, such as 403.
    pub code: u16,
    /// One word, such as `Forbidden`.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
    /// Single causes, each with the field that it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
}

/// One of several reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// `FieldValueInvalid` and the like.
    pub reason: &'static str,
    /// What is wrong.
    pub message: String,
    /// The field's path.
    pub field: String,
}

/// What a request is answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// Why it is refused; `None` if it is allowed.
    pub refusal: Option<Refusal>,
    /// What the client is told; the API server shows each once.
    pub warnings: Vec<String>,
    /// For the audit log; the API server puts the webhook's name before the keys.
    pub audit: BTreeMap<String, String>,
    /// What is to be changed (RFC 6902); only of a mutating webhook.
    pub patch: Vec<Value>,
}

impl Answer {
    /// Lets the request through.
    pub fn allowed() -> Self {
        Self::default()
    }

    /// Cuts what an object's author made long: a terminal and an audit log have an end.
    pub fn bound(&mut self) {
        let texts = self.warnings.iter_mut().chain(self.audit.values_mut());
        texts.chain(self.refusal.iter_mut().map(|refusal| &mut refusal.message)).for_each(cut);
    }

    /// The body that answers a request.
    pub fn body(&self, request: &Request<'_>) -> Vec<u8> {
        let mut response = json!({"uid": request.uid, "allowed": self.refusal.is_none()});
        if let Some(Refusal { code, reason, message, causes }) = &self.refusal {
            response["status"] =
                json!({"status": "Failure", "code": code, "reason": reason, "message": message});
            if !causes.is_empty() {
                // Without a name and a kind, kubectl says that the request is invalid, not what is.
                let (name, Kind { group, kind, .. }) = (&request.name, &request.kind);
                response["status"]["details"] =
                    json!({"name": name, "group": group, "kind": kind, "causes": causes});
            }
        }
        if !self.warnings.is_empty() {
            response["warnings"] = json!(self.warnings);
        }
        if !self.audit.is_empty() {
            response["auditAnnotations"] = json!(self.audit);
        }
        if !self.patch.is_empty() {
            response["patchType"] = json!("JSONPatch");
            response["patch"] = json!(base64::encode(Value::from(self.patch.clone()).to_string().as_bytes()));
        }
        json!({"apiVersion": API_VERSION, "kind": "AdmissionReview", "response": response})
            .to_string()
            .into_bytes()
    }
}

/// Bytes of one text.
const LONGEST: usize = 32 << 10;

fn cut(text: &mut String) {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
        text.truncate(end);
        text.push_str("… and more");
    }
}
