//! Which roles a user has: policies may match by roles and ask for `request.roles`. Bindings are as many as a cluster
//! likes, and most clusters have no such policy; they are watched only as long as there is one.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kube::Client;
use meshward_kit::admin::Condition;
use meshward_kit::watch::{Event, Loose, Watched, resource};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::review::User;

const GROUP: &str = "rbac.authorization.k8s.io";

/// To whom something is bound.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
}

/// A role and where it was bound; the namespace is empty for a ClusterRoleBinding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    namespace: String,
    /// Of the cluster, not of the namespace.
    cluster: bool,
    role: String,
}

/// What bindings give.
#[derive(Debug, Clone, Default)]
pub struct Roles {
    bindings: HashMap<String, (Grant, Vec<Subject>)>,
    by_subject: HashMap<Subject, BTreeSet<String>>,
}

impl Roles {
    /// The roles (`namespace:name`) and cluster roles of a user who asks for something in a namespace. A cluster role
    /// that is bound in a namespace counts only there (Kyverno's `pkg/userinfo/roleRef.go`).
    pub fn of(&self, user: &User, namespace: &str) -> (Vec<String>, Vec<String>) {
        let subjects = user.groups.iter().cloned().map(Subject::Group);
        let subjects = subjects.chain([Subject::User(user.username.clone())]);
        let (mut roles, mut cluster_roles) = (BTreeSet::new(), BTreeSet::new());
        for key in subjects.filter_map(|subject| self.by_subject.get(&subject)).flatten() {
            let Some((grant, _)) = self.bindings.get(key) else { continue };
            if !grant.cluster {
                roles.insert(format!("{}:{}", grant.namespace, grant.role));
            } else if grant.namespace.is_empty() || grant.namespace == namespace {
                cluster_roles.insert(grant.role.clone());
            }
        }
        (roles.into_iter().collect(), cluster_roles.into_iter().collect())
    }

    /// Puts in a RoleBinding or ClusterRoleBinding.
    pub fn insert(&mut self, binding: &Value) {
        let key = key(binding);
        self.remove(&key);
        let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let namespace = text("/metadata/namespace");
        let cluster = match text("/roleRef/kind") {
            "ClusterRole" => true,
            "Role" if !namespace.is_empty() => false,
            _ => return,
        };
        let subjects = binding.get("subjects").and_then(Value::as_array).into_iter().flatten();
        let subjects: Vec<Subject> = subjects.filter_map(|one| subject(one, namespace)).collect();
        for subject in &subjects {
            self.by_subject.entry(subject.clone()).or_default().insert(key.clone());
        }
        let grant =
            Grant { namespace: namespace.to_owned(), cluster, role: text("/roleRef/name").to_owned() };
        self.bindings.insert(key, (grant, subjects));
    }

    fn remove(&mut self, key: &str) {
        let Some((_, subjects)) = self.bindings.remove(key) else { return };
        for subject in subjects {
            if let Some(keys) = self.by_subject.get_mut(&subject) {
                keys.remove(key);
                if keys.is_empty() {
                    self.by_subject.remove(&subject);
                }
            }
        }
    }

    /// Takes out all bindings of a kind.
    fn clear(&mut self, kind: &str) {
        let prefix = format!("{kind} ");
        let keys: Vec<String> =
            self.bindings.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
        keys.iter().for_each(|key| self.remove(key));
    }
}

/// Kind, namespace and name. What a watch shows has no kind of its own, but only one of the two has a namespace.
fn key(binding: &Value) -> String {
    let text = |pointer: &str| binding.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let namespace = text("/metadata/namespace");
    let kind = if namespace.is_empty() { "ClusterRoleBinding" } else { "RoleBinding" };
    format!("{kind} {namespace}/{}", text("/metadata/name"))
}

fn subject(one: &Value, namespace: &str) -> Option<Subject> {
    let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
    match text("kind") {
        "User" => Some(Subject::User(text("name").to_owned())),
        "Group" => Some(Subject::Group(text("name").to_owned())),
        "ServiceAccount" => {
            let own = if text("namespace").is_empty() { namespace } else { text("namespace") };
            (!own.is_empty()).then(|| Subject::User(format!("system:serviceaccount:{own}:{}", text("name"))))
        }
        _ => None,
    }
}

/// Whether a policy or an exception asks for roles: it matches by them, or an expression names them.
pub fn are_asked(document: &Value) -> bool {
    match document {
        Value::Object(map) => map.iter().any(|(key, value)| {
            let listed = value.as_array().is_some_and(|list| !list.is_empty());
            (matches!(key.as_str(), "roles" | "clusterRoles") && listed) || are_asked(value)
        }),
        Value::Array(list) => list.iter().any(are_asked),
        Value::String(text) => {
            text.contains("request.roles")
                || text.contains("request.clusterRoles")
                // An expression may take the request as a whole.
                || text.contains("{{request}}")
                || text.contains("{{ request }}")
        }
        _ => false,
    }
}

/// Keeps `roles` as bindings give them while a policy asks for them, `None` otherwise, until `token` is cancelled.
pub async fn watch_roles(
    client: Client,
    live: Live,
    roles: watch::Sender<Option<Arc<Roles>>>,
    shown: [Condition; 2],
    token: CancellationToken,
) {
    let mut changes = live.changes();
    let asked = || !live.snapshot().asking_roles.is_empty();
    let follow = async {
        loop {
            for condition in &shown {
                condition.hold();
            }
            while !asked() {
                if changes.changed().await.is_err() {
                    return;
                }
            }
            let following = follow_bindings(&client, &roles, &shown);
            let unasked = async {
                let mut changes = live.changes();
                while asked() && changes.changed().await.is_ok() {}
            };
            tokio::select! {
                () = following => return,
                () = unasked => drop(roles.send_replace(None)),
            }
        }
    };
    token.run_until_cancelled(follow).await;
}

async fn follow_bindings(client: &Client, roles: &watch::Sender<Option<Arc<Roles>>>, shown: &[Condition; 2]) {
    let watched = |kind, plural| Watched::all(client.clone(), resource(GROUP, "v1", kind, plural));
    let [own, cluster] = shown.clone();
    let mut own = watched("RoleBinding", "rolebindings").follow(own);
    let mut cluster = watched("ClusterRoleBinding", "clusterrolebindings").follow(cluster);
    let mut all = Roles::default();
    let mut whole = [false; 2];
    loop {
        let (which, kind, event) = tokio::select! {
            event = own.next() => (0, "RoleBinding", event),
            event = cluster.next() => (1, "ClusterRoleBinding", event),
        };
        let Some(event) = event else { return };
        take(&mut all, kind, event, &mut whole[which]);
        if whole == [true; 2] {
            roles.send_replace(Some(Arc::new(all.clone())));
        }
    }
}

fn take(all: &mut Roles, kind: &str, event: Event<Loose>, whole: &mut bool) {
    match event {
        // What a list does not name is gone; until it is whole, what was known before stays in force.
        Event::Init => {
            *whole = false;
            all.clear(kind);
        }
        Event::InitApply(object) | Event::Apply(object) => all.insert(&object.value),
        Event::InitDone => *whole = true,
        Event::Delete(object) => all.remove(&key(&object.value)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(name: &str, groups: &[&str]) -> User {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        User { username: name.into(), groups, ..User::default() }
    }

    fn binding(namespace: &str, name: &str, role: (&str, &str), subjects: Value) -> Value {
        let mut metadata = json!({"name": name});
        if !namespace.is_empty() {
            metadata["namespace"] = json!(namespace);
        }
        json!({"metadata": metadata, "roleRef": {"kind": role.0, "name": role.1}, "subjects": subjects})
    }

    #[test]
    fn bindings_give_roles() {
        let mut roles = Roles::default();
        let account = json!([{"kind": "ServiceAccount", "name": "web"}]);
        roles.insert(&binding("shop", "a", ("Role", "reader"), account.clone()));
        roles.insert(&binding(
            "shop",
            "b",
            ("ClusterRole", "edit"),
            json!([{"kind": "Group", "name": "devs"}]),
        ));
        roles.insert(&binding("", "c", ("ClusterRole", "admin"), json!([{"kind": "User", "name": "root"}])));
        roles.insert(&binding("", "d", ("ClusterRole", "none"), account));
        let of = |name: &str, groups: &[&str], namespace: &str| roles.of(&user(name, groups), namespace);
        let none = Vec::<String>::new();
        let web = "system:serviceaccount:shop:web";
        assert_eq!(of(web, &[], "other"), (vec!["shop:reader".to_owned()], none.clone()));
        assert_eq!(of("x", &["devs"], "shop"), (none.clone(), vec!["edit".to_owned()]));
        assert_eq!(of("x", &["devs"], "other"), (none.clone(), none.clone()));
        assert_eq!(of("root", &[], ""), (none.clone(), vec!["admin".to_owned()]));
        roles.insert(&binding("shop", "a", ("Role", "writer"), json!([{"kind": "User", "name": "x"}])));
        assert_eq!(roles.of(&user(web, &[]), "shop"), (none.clone(), none.clone()));
        assert_eq!(roles.of(&user("x", &[]), "shop").0, ["shop:writer"]);
        roles.clear("RoleBinding");
        assert_eq!(roles.of(&user("x", &["devs"]), "shop"), (none.clone(), none));
        assert_eq!(roles.by_subject.len(), 1);
    }

    #[test]
    fn policies_that_ask_are_recognised() {
        let asks = [
            json!({"spec": {"rules": [{"exclude": {"any": [{"clusterRoles": ["admin"]}]}}]}}),
            json!({"a": ["{{ request.roles[0] }}"]}),
        ];
        assert!(asks.iter().all(are_asked));
        let not = [json!({"roles": []}), json!({"a": "{{ request.userInfo.username }}"}), json!(1)];
        assert!(!not.iter().any(are_asked));
    }
}
