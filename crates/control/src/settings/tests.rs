use super::*;

fn parse(arguments: &[&str]) -> Result<Settings, String> {
    let all = std::iter::once("meshward-control").chain(arguments.iter().copied());
    Settings::try_parse_from(all).map_err(|error| error.to_string())
}

#[test]
fn defaults_are_those_of_the_help() {
    let settings = parse(&[]).unwrap();
    assert_eq!(settings.drain_delay, Duration::from_secs(5));
    assert_eq!(settings.certificates.certificate_lifetime, Duration::from_secs(90 * 86_400));
    assert_eq!(settings.policy.exclude_namespaces, ["kube-system"]);
    assert!(settings.policy.exclude_kinds.contains(&"SelfSubjectAccessReview".to_owned()));
    assert!(settings.policy.exclude_kinds.contains(&"SelfSubjectReview".to_owned()));
    assert_eq!(settings.command, None);
    assert_eq!(parse(&["uninstall"]).unwrap().command, Some(Command::Uninstall));
}

#[test]
fn namespaces_are_selected_as_kubectl_writes_it() {
    let settings =
        parse(&["--namespace-selector", "team=shop,!legacy", "--namespace-selector", "a.io/b,c!=d"]);
    let expected = serde_json::json!([
        {"key": "team", "operator": "In", "values": ["shop"]},
        {"key": "legacy", "operator": "DoesNotExist"},
        {"key": "a.io/b", "operator": "Exists"},
        {"key": "c", "operator": "NotIn", "values": ["d"]},
    ]);
    assert_eq!(serde_json::Value::from(settings.unwrap().webhooks.namespace_selector), expected);
}

#[test]
fn wrong_values_say_what_is_accepted() {
    let table = [
        (&["--webhook-url", "http://a"][..], "accepted: https://HOST[:PORT][/PATH]"),
        (&["--webhook-url", "https:///x"], "accepted: https://HOST[:PORT][/PATH]"),
        (&["--namespace-selector", "a=b,=c"], "found \"=c\", accepted: KEY, !KEY, KEY=VALUE, KEY!=VALUE"),
        (&["--drain-delay", "5 s"], "accepted: a whole number of s, m, h or d"),
        (&["--tls-cert", "a"], "--tls-key"),
        (&["--ca-file", "a"], "--tls-cert"),
        (&["--wait-exit-code", "7"], "[possible values: 96, 126, 95]"),
    ];
    for (arguments, told) in table {
        let error = parse(arguments).unwrap_err();
        assert!(error.contains(told), "{arguments:?}: {error}");
    }
}
