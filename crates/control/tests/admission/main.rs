//! The webhooks as the API server sees them, without a port: requests go through the router, and where a policy asks
//! the API server, the case says what that answers. The cases are data, in `tests/cases/admission`.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "helpers of tests fail as tests do"
)]

mod case;
#[cfg(feature = "faults")]
mod faults;
mod hostile;
mod http;
#[allow(unreachable_pub, reason = "it is compiled as a crate of its own as well")]
#[path = "../../../../fuzz/src/reviews.rs"]
mod reviews;
mod world;
