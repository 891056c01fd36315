//! Paths of API calls. A namespaced policy is written by whoever may write in its namespace, but its calls are made with
//! our rights: they stay in that namespace (CVE-2026-22039).

use std::fmt::Write;

/// A name as one step of a path.
pub(super) fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

/// Whether a policy of `namespace` may ask for `path`; everything may be asked by one without a namespace.
///
/// # Errors
/// Why it may not. The words are Kyverno's where it has some.
pub(super) fn check(path: &str, namespace: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err(format!("urlPath {path:?} does not begin with a slash"));
    }
    if namespace.is_empty() {
        return Ok(());
    }
    let own = path.split(['?', '#']).next().unwrap_or_default();
    let steps: Vec<&str> = own.split('/').skip(1).collect();
    // What a proxy or the API server would read in another way is not worth interpreting.
    let plain =
        |step: &&str| !step.is_empty() && *step != "." && *step != ".." && !step.contains(['%', '\\']);
    let trimmed = steps.strip_suffix(&[""]).unwrap_or(&steps);
    if let Some(step) = trimmed.iter().find(|step| !plain(step)) {
        return Err(format!("path {path} has the step {step:?}, which a namespaced policy may not use"));
    }
    let named = match trimmed {
        ["api", _, "namespaces", named, ..] | ["apis", _, _, "namespaces", named, ..] => *named,
        _ => {
            return Err(format!(
                "path {path} does not contain a namespace segment, which is required for namespaced policies"
            ));
        }
    };
    if named == namespace {
        return Ok(());
    }
    Err(format!(
        "path {path} refers to namespace {named}, which is different from the policy namespace {namespace}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespaced_policy_stays_at_home() {
        let fine = [
            "/api/v1/namespaces/shop/pods",
            "/api/v1/namespaces/shop/pods/web",
            "/api/v1/namespaces/shop",
            "/api/v1/namespaces/shop/",
            "/apis/apps/v1/namespaces/shop/deployments?labelSelector=a%3Db",
        ];
        for path in fine {
            assert_eq!(check(path, "shop"), Ok(()), "{path}");
        }
        let refused = [
            "/api/v1/namespaces/other/secrets",
            "/api/v1/namespaces/shop/../other/secrets",
            "/api/v1/namespaces/shop/%2e%2e/other/secrets",
            "/api/v1/namespaces/shop//../other",
            "/api/v1/namespaces/%6fther/secrets",
            "/api/v1/pods?/namespaces/shop/",
            "/api/v1/pods",
            "/apis/namespaces/shop/x",
            "/version/namespaces/shop",
            "/api/v1/proxy/namespaces/shop/services/x",
            "/api/v1/namespaces/shop\\..\\other",
            "api/v1/namespaces/shop/pods",
            "",
        ];
        for path in refused {
            assert!(check(path, "shop").is_err(), "{path}");
        }
        assert_eq!(check("/api/v1/secrets", ""), Ok(()));
        assert!(check("http://elsewhere/", "").is_err());
    }

    #[test]
    fn names_are_one_step() {
        assert_eq!(escape("a-b.c"), "a-b.c");
        assert_eq!(escape("../x?y"), "..%2Fx%3Fy");
    }
}
