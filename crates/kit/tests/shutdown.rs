//! Signals, to a process of its own: the first ends in order, the second at once.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use meshward_kit::shutdown::Shutdown;

const CHILD: &str = "MESHWARD_TEST_SIGNALS";

/// Not a test of its own: what the others start.
#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let shutdown = Shutdown::on_signals().unwrap();
        let token = shutdown.token();
        shutdown.spawn("stuck", async {
            std::future::pending::<()>().await;
        });
        eprintln!("runs");
        token.cancelled().await;
        eprintln!("ends");
        let error = shutdown.drain(Duration::from_secs(60)).await;
        eprintln!("{error:?}");
    });
}

fn send(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
}

#[test]
fn the_second_signal_ends_at_once() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130)] {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--nocapture"])
            .env(CHILD, "1")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        assert!(lines.any(|line| line == "runs"));
        send(&child, signal);
        assert!(lines.any(|line| line == "ends"), "the first one ends in order");
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(code));
    }
}
