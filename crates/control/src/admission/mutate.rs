//! The swap as a webhook.

use super::judge::{Judge, OnFault, Stop, Verdict};
use super::swap::Swapper;
use crate::live::Live;
use crate::lookup::{AskError, Asker};
use crate::review::Request;

/// Swaps the pods of meshes.
pub(super) struct Mutate {
    pub(super) swapper: Swapper,
    pub(super) live: Live,
}

impl Judge for Mutate {
    fn name(&self) -> &'static str {
        "swap"
    }

    /// A pod that is let through as it is meets Pod Security next.
    fn on_fault(&self) -> OnFault {
        OnFault::Allow
    }

    fn judge(&self, request: &Request<'_>, asker: &Asker<'_>) -> Result<Verdict, Stop> {
        if !self.swapper.is_asked(request) {
            return Ok(Verdict::default());
        }
        let namespace = match asker.namespace(&self.live.snapshot(), &request.namespace) {
            Err(AskError::Waits) => return Err(Stop::Waits),
            namespace => namespace.map_err(|error| error.to_string()),
        };
        let namespace = namespace.as_deref().map_err(String::as_str);
        let answer = self.swapper.answer(request, namespace);
        answer.map(Verdict::from).map_err(|error| Stop::Failed(format!("the object cannot be read: {error}")))
    }
}
