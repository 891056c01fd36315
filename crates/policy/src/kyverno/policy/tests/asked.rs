//! What an API server has to ask a policy about.

use super::*;

/// Which requests an API server has to send, by rule and kind.
#[test]
fn asks_only_for_requests_that_a_rule_can_be_about() {
    use crate::kyverno::matching::Operations;
    let standard = json!({"podSecurity": {"level": "baseline", "version": "latest"}});
    let deny = json!({"deny": {"conditions": {"any": [{"key": "a", "operator": "Equals", "value": "a"}]}}});
    let of = |group: &str, kind: &str| Gvk { group: group.into(), version: "v1".into(), kind: kind.into() };
    let pods = json!({"any": [{"resources": {"kinds": ["Pod"]}}]});
    let deleted = json!({"any": [{"resources": {"kinds": ["Pod"], "operations": ["DELETE", "CREATE"]}}]});
    let both = json!({"all": [
        {"resources": {"kinds": ["*"], "operations": ["UPDATE", "CREATE"]}},
        {"resources": {"kinds": ["Pod", "Secret"], "operations": ["UPDATE"]}},
    ]});
    let users = json!({"any": [{"subjects": [{"kind": "User", "name": "eve"}]}]});
    let no_delete = ["CREATE", "UPDATE", "CONNECT"].as_slice();
    let all = ["CREATE", "UPDATE", "DELETE", "CONNECT"].as_slice();
    let table = [
        (&pods, json!(null), &standard, of("", "Pod"), "", no_delete),
        (&pods, json!(null), &standard, of("", "Pod"), "ephemeralcontainers", no_delete),
        (&pods, json!(null), &standard, of("", "Pod"), "exec", &[]),
        (&pods, json!(null), &standard, of("apps", "Deployment"), "", no_delete),
        (&pods, json!(null), &standard, of("batch", "CronJob"), "", no_delete),
        (&pods, json!(null), &standard, of("", "Secret"), "", &[]),
        (&pods, json!(null), &deny, of("", "Pod"), "", all),
        (&deleted, json!(null), &deny, of("", "Pod"), "", &["CREATE", "DELETE"]),
        (&deleted, json!(null), &standard, of("", "Pod"), "", &["CREATE"]),
        (&both, json!(null), &deny, of("", "Secret"), "", &["UPDATE"]),
        (&both, json!(null), &deny, of("", "ConfigMap"), "", &[]),
        (&users, json!(null), &deny, of("", "ConfigMap"), "", all),
        (&both, json!({"any": [{"resources": {"kinds": ["Secret"]}}]}), &deny, of("", "Secret"), "", &[]),
        // Which Secrets the exclusion is about is only known when one is there.
        (
            &both,
            json!({"any": [{"resources": {"kinds": ["Secret"], "names": ["a"]}}]}),
            &deny,
            of("", "Secret"),
            "",
            &["UPDATE"],
        ),
    ];
    for (at, (matching, exclude, validate, gvk, subresource, expected)) in table.into_iter().enumerate() {
        let mut document = policy(validate.clone());
        document["spec"]["rules"][0]["match"] = matching.clone();
        document["spec"]["rules"][0]["exclude"] = exclude;
        // Rules about every kind or user are not refused then.
        let compiled = Policy::compile_with(&document, Quirks::STRICT).unwrap();
        let expected = Operations::of(expected.iter().copied());
        assert_eq!(compiled.operations(&gvk, subresource), expected, "row {at}");
    }
}

/// The namespaces that a policy is bound to, by what it matches.
#[test]
fn knows_the_only_namespaces_that_it_can_be_about() {
    let named = |kinds: &[&str], namespaces: &[&str]| json!({"resources": {"kinds": kinds, "namespaces": namespaces}});
    let table = [
        (json!({"any": [named(&["Pod"], &["a", "b"])]}), Some("a b")),
        (json!({"any": [named(&["Pod"], &["a"]), named(&["Secret"], &["b"])]}), Some("a b")),
        (json!({"any": [named(&["Pod"], &["a"]), named(&["Secret"], &[])]}), None),
        (json!({"any": [named(&["Pod"], &["a", "b*"])]}), None),
        (json!({"all": [named(&["Pod"], &[]), named(&["Pod"], &["a"])]}), Some("a")),
        (named(&["Pod"], &["a"]), Some("a")),
        // Namespaces are named too, as objects; labels of theirs say nothing about others.
        (json!({"any": [named(&["Namespace"], &["a"])]}), None),
        (json!({"any": [named(&["*"], &["a"])]}), None),
        (json!({"any": [named(&["Namespace/finalize"], &["a"])]}), None),
        (json!({"any": [named(&[], &["a"])]}), None),
    ];
    for (matched, expected) in table {
        let mut document = policy(json!({"pattern": {"metadata": {"name": "?*"}}}));
        document["spec"]["background"] = false.into();
        document["spec"]["rules"][0]["match"] = matched.clone();
        let compiled = Policy::compile_with(&document, Quirks::STRICT).unwrap();
        let found = compiled.namespaces().map(|all| all.into_iter().collect::<Vec<_>>().join(" "));
        assert_eq!(found.as_deref(), expected, "{matched}");
    }
    let mut document = policy(json!({"pattern": {"metadata": {"name": "?*"}}}));
    document["kind"] = "Policy".into();
    document["metadata"]["namespace"] = "team".into();
    assert_eq!(Policy::compile(&document).unwrap().namespaces(), Some(["team"].into()));
}
