//! What the node itself has to offer, looked at before any pod needs it: an agent on a kernel without packet rules, or
//! without a folder for its sockets, says so by not being ready instead of by the first pod that waits in vain.

use std::time::Duration;

use meshward_kit::admin::Condition;
use meshward_redirect::program::{Backend, usable};
use tokio_util::sync::CancellationToken;

/// A kernel module may be loaded later.
const AGAIN: Duration = Duration::from_secs(30);

/// Tries whether rules can be put in force at all, until they can.
pub(super) async fn kernel(backend: Backend, condition: Condition, token: CancellationToken) {
    loop {
        let tried = tokio::task::spawn_blocking(move || usable(backend)).await;
        let reason = match tried {
            Ok(Ok(backend)) => {
                tracing::debug!(%backend, "the kernel takes rules");
                condition.hold();
                return;
            }
            Ok(Err(error)) => chain(&error),
            Err(error) => error.to_string(),
        };
        if condition.fail(format!("no rules can be put in force on this node: {reason}")) {
            tracing::error!(reason, "no rules can be put in force on this node; tried again every {AGAIN:?}");
        }
        if token.run_until_cancelled(tokio::time::sleep(AGAIN)).await.is_none() {
            return;
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
