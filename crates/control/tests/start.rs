//! How the controller ends when it cannot start.

use std::process::{Command, Output};

fn start(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshward-control"))
        .args(arguments)
        .env_remove("KUBECONFIG")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .expect("it runs")
}

/// A kubeconfig of an API server that is not there.
fn nowhere() -> String {
    let path = format!("{}/nowhere.kubeconfig", env!("CARGO_TARGET_TMPDIR"));
    let text = "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}], \
                clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {}}]}";
    std::fs::write(&path, text).expect("a file");
    path
}

#[test]
fn wrong_settings_end_with_2_and_what_cannot_be_done_with_3() {
    let nowhere = nowhere();
    let table: [(&[&str], i32, &str); 7] = [
        (&["--listen", "nine"], 2, "invalid value 'nine' for '--listen"),
        (&["--log-level", "loud=loud"], 2, "invalid log level \"loud=loud\""),
        (&["--tls-cert", "a"], 2, "--tls-key"),
        (
            &["--kubeconfig", &nowhere, "--tls-cert", "/none/tls.crt", "--tls-key", "/none/tls.key"],
            2,
            "cannot read /none/tls.crt",
        ),
        (&["--kubeconfig", &nowhere, "--pod-security-config", "/none.yaml"], 2, "cannot read /none.yaml"),
        (&["--kubeconfig", "/none"], 3, "cannot use the kubeconfig /none"),
        (&["--kubeconfig", &nowhere, "uninstall"], 3, "the API server cannot be reached"),
    ];
    for (arguments, code, told) in table {
        let output = start(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(told), "{arguments:?}: {text}");
    }
}
