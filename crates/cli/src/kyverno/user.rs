//! Who asks, for policies about users: Kyverno's `UserInfo` file.

use meshward_policy::kyverno::matching::UserInfo;
use serde_json::Value;
use std::path::Path;

use super::problem::{Problem, Problems};
use super::resource::{list, text};
use super::schema::{self, USER_INFO};
use crate::input::Input;

/// Reads a file with one `UserInfo`. What is wrong is told; then nobody asks.
pub(crate) fn read(path: &Path, problems: &mut Problems) -> UserInfo {
    let Some(input) = Input::read_readable(path, problems) else { return UserInfo::default() };
    let Some(document) = input.documents.first() else {
        let message =
            format!("{}: no document, accepted: one UserInfo of cli.kyverno.io/v1alpha1", input.name);
        problems.tell(Problem::of_file(&input.name, message));
        return UserInfo::default();
    };
    schema::check(&input, &document.object(), &USER_INFO, problems);
    let file = &document.value;
    let texts = |value: &Value| list(value).filter_map(Value::as_str).map(str::to_owned).collect();
    UserInfo {
        username: text(file, "/userInfo/username").to_owned(),
        groups: texts(&file["userInfo"]["groups"]),
        roles: texts(&file["roles"]),
        cluster_roles: texts(&file["clusterRoles"]),
        uid: text(file, "/userInfo/uid").to_owned(),
    }
}
