//! What the API server, or whoever can reach the port, sends to the webhooks.

use meshward_control::review::{Answer, Request};
use serde_json::Value;

/// An AdmissionReview: what can be read is answered by its uid, and its members never hold the objects.
pub fn review(data: &[u8]) {
    let Ok(request) = Request::parse(data) else { return };
    let _ = (request.object(), request.old_object());
    if let Ok(members) = request.members() {
        assert!(members.get("object").is_none() && members.get("oldObject").is_none());
    }
    let mut answer = Answer::allowed();
    answer.warnings.push(request.name.to_string());
    answer.bound();
    let body: Value = serde_json::from_slice(&answer.body(&request)).unwrap();
    assert_eq!(body["response"]["uid"], *request.uid);
}
