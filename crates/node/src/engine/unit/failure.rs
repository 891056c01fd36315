//! Why a step failed, in words for people.

use std::error::Error;

use meshward_redirect::netns::OpenNetNs;

use super::super::hold::HoldError;

/// Why a step failed, for people.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    /// The namespace is not there.
    pub(super) gone: bool,
}

impl Failure {
    pub(super) fn told(text: String) -> Self {
        Self { text, gone: false }
    }

    pub(super) fn of(error: HoldError) -> Self {
        Self { gone: matches!(error, HoldError::Open(OpenNetNs::Gone { .. })), text: chain(&error) }
    }
}

/// An error with its causes, as far as it does not name them itself.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.replace('\n', "; ")
}
