//! A real cluster, for `apply --cluster`: its policies, the objects that policies are about, and answers to what their
//! context entries ask. It is only read. Evaluation is synchronous and runs on threads of its own, so that an answer
//! that is not known yet is waited for there, and every answer is asked for once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hyper::Request;
use kube::Client;
use meshward_kit::client::{Access, Kind, RequestError, connect, kind};
use meshward_policy::kyverno::matching::Gvk;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::resource::{list, text};

const PAGE: usize = 500;
/// For one request: a person waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// A kind that the cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// The kind.
    pub(crate) gvk: Gvk,
    /// Whether its objects have namespaces.
    pub(crate) namespaced: bool,
    plural: String,
}

/// A cluster that is asked.
pub(crate) struct Live {
    runtime: Runtime,
    client: Client,
    /// Labels by namespace.
    namespaces: HashMap<String, Value>,
    answers: Mutex<HashMap<String, Result<Value, String>>>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("namespaces", &self.namespaces.len()).finish_non_exhaustive()
    }
}

impl Live {
    /// A connection, with the labels of all namespaces.
    ///
    /// # Errors
    /// What keeps it from being made.
    pub(crate) fn connect(access: &Access) -> Result<Live, String> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.map_err(|error| format!("cannot start: {error}"))?;
        let client = runtime.block_on(connect(access)).map_err(|error| error.to_string())?;
        let mut live =
            Live { runtime, client, namespaces: HashMap::new(), answers: Mutex::new(HashMap::new()) };
        let mut namespaces = HashMap::new();
        live.list("/api/v1/namespaces", |namespace| {
            let labels = namespace.pointer("/metadata/labels").cloned().unwrap_or_else(|| json!({}));
            namespaces.insert(text(&namespace, "/metadata/name").to_owned(), labels);
        })
        .map_err(|error| error.to_string())?;
        live.namespaces = namespaces;
        Ok(live)
    }

    /// Every kind whose objects can be listed, each group's preferred version first.
    ///
    /// # Errors
    /// What the API server answered.
    pub(crate) fn resources(&self) -> Result<Vec<Resource>, RequestError> {
        let mut versions = vec!["v1".to_owned()];
        let groups = self.get("/apis").map_err(RequestError::of("list the groups of the API"))?;
        for group in list(&groups["groups"]) {
            let preferred = text(group, "/preferredVersion/groupVersion");
            let others = list(&group["versions"]).map(|version| text(version, "/groupVersion"));
            let others: Vec<&str> = others.filter(|version| *version != preferred).collect();
            versions.extend([preferred].into_iter().chain(others).map(str::to_owned));
        }
        let mut resources = Vec::new();
        for version in versions.iter().filter(|version| !version.is_empty()) {
            // A group whose own server is away takes nothing from the others.
            let Ok(found) = self.get(&root(version)) else { continue };
            let known = list(&found["resources"]).filter(|resource| {
                !text(resource, "/name").contains('/') && list(&resource["verbs"]).any(|verb| verb == "list")
            });
            resources.extend(known.map(|resource| Resource {
                gvk: Gvk::of(&json!({ "apiVersion": version, "kind": resource["kind"] })),
                namespaced: resource["namespaced"] == true,
                plural: text(resource, "/name").to_owned(),
            }));
        }
        Ok(resources)
    }

    /// The objects of a kind, in one namespace or in all, each with its `apiVersion` and `kind`, as text of one document
    /// each.
    ///
    /// # Errors
    /// What the API server answered.
    pub(crate) fn objects(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        text: &mut Vec<u8>,
    ) -> Result<usize, RequestError> {
        let Resource { gvk, plural, .. } = resource;
        let version = match gvk.group.as_str() {
            "" => gvk.version.clone(),
            group => format!("{group}/{}", gvk.version),
        };
        let path = match namespace.filter(|_| resource.namespaced) {
            Some(namespace) => format!("{}/namespaces/{namespace}/{plural}", root(&version)),
            None => format!("{}/{plural}", root(&version)),
        };
        let mut count = 0;
        let listed = self.list(&path, |mut object| {
            object["apiVersion"] = json!(version);
            object["kind"] = json!(gvk.kind);
            // Who wrote which field is in no policy, and often half of the object.
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            text.extend_from_slice(b"---\n");
            text.extend_from_slice(object.to_string().as_bytes());
            text.push(b'\n');
            count += 1;
        });
        listed.map(|()| count)
    }

    /// The labels of a namespace.
    pub(crate) fn namespace_labels(&self, name: &str) -> Option<&Value> {
        self.namespaces.get(name)
    }

    /// A ConfigMap as context entries see it.
    pub(crate) fn config_map(&self, namespace: &str, name: &str) -> Result<Value, String> {
        let found = self.ask(&format!("/api/v1/namespaces/{namespace}/configmaps/{name}"), "GET", None)?;
        let data = found.get("data").cloned().unwrap_or_else(|| json!({}));
        Ok(json!({ "data": data, "metadata": found["metadata"] }))
    }

    /// What the API server answers to a call of a context entry. `data` is the entry's list of keys and values.
    pub(crate) fn call(&self, path: &str, method: &str, data: &Value) -> Result<Value, String> {
        match method {
            "GET" => self.ask(path, method, None),
            // Reviews, such as SubjectAccessReview, are questions that are posted.
            "POST" => {
                let pairs = list(data).map(|pair| (text(pair, "/key").to_owned(), pair["value"].clone()));
                self.ask(path, method, Some(Value::Object(pairs.collect::<Map<_, _>>())))
            }
            _ => Err(format!("method {method:?}, accepted: GET, POST")),
        }
    }

    fn ask(&self, path: &str, method: &str, body: Option<Value>) -> Result<Value, String> {
        let key = format!("{method} {path} {}", body.as_ref().map(Value::to_string).unwrap_or_default());
        let known = self.answers.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        // Two threads may ask the same; that costs a request, and a lock held over one would cost them all.
        let answer = self.request(path, method, body).map_err(|error| match kind(&error) {
            Kind::Gone => format!("{path} not found"),
            _ => RequestError::of(format!("{method} {path}"))(error).to_string(),
        });
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).insert(key, answer.clone());
        answer
    }

    fn get(&self, path: &str) -> kube::Result<Value> {
        self.request(path, "GET", None)
    }

    fn request(&self, path: &str, method: &str, body: Option<Value>) -> kube::Result<Value> {
        let body = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .body(body)
            .map_err(kube::Error::HttpError)?;
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(PATIENCE, self.client.request::<Value>(request)).await });
        answer.unwrap_or_else(|late| Err(kube::Error::Service(late.into())))
    }

    fn list(&self, path: &str, mut each: impl FnMut(Value)) -> Result<(), RequestError> {
        let what = || RequestError::of(format!("list {path}"));
        let mut next = String::new();
        loop {
            let mut page = self.get(&format!("{path}?limit={PAGE}{next}")).map_err(what())?;
            if let Value::Array(items) = page["items"].take() {
                items.into_iter().for_each(&mut each);
            }
            match text(&page, "/metadata/continue") {
                "" => return Ok(()),
                token => next = format!("&continue={token}"),
            }
        }
    }
}

/// Where the API of a version is.
fn root(version: &str) -> String {
    if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") }
}
