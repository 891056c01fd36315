//! What a webhook decides, apart from how requests reach it. A judge is synchronous and keeps nothing: whatever it has
//! to ask for goes through [`Asker`], which says when that would take time, so that the same code is tried at once on
//! the worker and only then, if it must wait, on a thread that may.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::lookup::Asker;
use crate::observed::Observed;
use crate::review::{Answer, Request};

/// Why there is no verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stop {
    /// Something outside must be asked first: again, with an asker that waits.
    Waits,
    /// It cannot be decided, in words.
    Failed(String),
}

/// What a request that cannot be decided is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnFault {
    /// It is refused.
    Refuse,
    /// It is allowed, and the client is told.
    Allow,
}

/// A decision.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What is answered.
    pub(super) answer: Answer,
    /// What was found out about the object.
    pub(super) observed: Option<Observed>,
}

impl From<Answer> for Verdict {
    fn from(answer: Answer) -> Self {
        Self { answer, observed: None }
    }
}

/// A webhook.
pub(super) trait Judge: Send + Sync + 'static {
    /// Its name in logs and metrics.
    fn name(&self) -> &'static str;

    /// What is answered if it cannot decide.
    fn on_fault(&self) -> OnFault;

    /// Decides.
    ///
    /// # Errors
    /// [`Stop`], never anything else: a panic is caught above, but says nothing of what it was about.
    fn judge(&self, request: &Request<'_>, asker: &Asker<'_>) -> Result<Verdict, Stop>;
}

/// Runs what may panic; the error is what the panic said.
pub(crate) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
    })
}
