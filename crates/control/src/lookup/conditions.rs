//! Whether the API server takes match conditions: asked when a policy with some is written, since nobody else can say, and
//! its author looks now.

use std::time::Duration;

use meshward_kit::client::RequestError;
use serde_json::Value;

use super::{AskError, Asker};
use crate::hooks::{Fault, ask_conditions};

/// A policy is not held up for longer: its status will tell.
const PATIENCE: Duration = Duration::from_secs(3);

impl Asker<'_> {
    /// What the API server finds wrong with match conditions; nothing if it takes them.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn match_conditions(&self, conditions: &[Value]) -> Result<Vec<Fault>, AskError> {
        let Some(handle) = &self.handle else { return self.miss() };
        self.waits.set(self.waits.get() + 1);
        let Some(client) = &self.outside.client else {
            return Err(AskError::Failed("there is no API server to ask".to_owned()));
        };
        let time = self.deadline.left().min(PATIENCE);
        let asked = handle.block_on(tokio::time::timeout(time, ask_conditions(client, conditions)));
        let answer = asked.map_err(|_| AskError::Failed(format!("no answer within {time:.1?}")))?;
        let attempted = "ask the API server by a dry run of a webhook configuration";
        answer.map_err(|error| AskError::Failed(RequestError::of(attempted)(error).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use kube::Client;
    use tokio::runtime::Handle;
    use tokio::sync::watch;
    use tower::service_fn;

    use super::*;
    use crate::admission::Deadline;
    use crate::lookup::Outside;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn an_api_server_that_does_not_answer_is_not_waited_for() {
        let silent = service_fn(|_: axum::http::Request<kube::client::Body>| {
            std::future::pending::<Result<axum::http::Response<axum::body::Body>, Infallible>>()
        });
        let outside = Outside::new(Some(Client::new(silent, "default")), watch::channel(None).1);
        let asked = tokio::task::spawn_blocking(move || {
            let deadline = Deadline::after(Duration::from_millis(50));
            let conditions = [serde_json::json!({"name": "a", "expression": "true"})];
            let at_once = Asker::at_once(&outside, deadline).match_conditions(&conditions);
            (at_once, Asker::waiting(&outside, deadline, Handle::current()).match_conditions(&conditions))
        });
        let (at_once, waiting) = asked.await.unwrap();
        assert_eq!(at_once, Err(AskError::Waits));
        let Err(AskError::Failed(why)) = waiting else { panic!("{waiting:?}") };
        assert!(why.starts_with("no answer within"), "{why}");
    }
}
