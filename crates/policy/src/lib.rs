//! Policy verdicts about Kubernetes objects, as a pure function of JSON values: no I/O, no clock, no environment. The
//! command line, the webhook, the scanner and the browser playground all call this crate, so that they cannot disagree;
//! whatever comes from outside is passed in through [`jmespath::Environment`].
//!
//! Today: the Pod Security Standards and Pod Security Admission, the JMESPath engine in the standard and in Kyverno's
//! dialect, Kyverno's validate rules, and the value types that functions and operators share.

pub mod duration;
pub mod go;
pub mod image;
pub mod jmespath;
pub mod kyverno;
pub mod nearest;
pub mod psa;
pub mod pss;
pub mod quantity;
pub mod semver_range;
pub mod wildcard;
