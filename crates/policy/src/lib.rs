//! Policy verdicts about Kubernetes objects, as a pure function of JSON values: no I/O, no clock, no environment. The
//! command line, the webhook, the scanner and the browser playground all call this crate, so that they cannot disagree;
//! whatever comes from outside is passed in through [`jmespath::Environment`].
//!
//! The Pod Security Standards and Pod Security Admission, exemptions from them, the JMESPath engine in the standard and
//! in Kyverno's dialect, Kyverno's validate rules with its quirks as switches, and the value types that functions and
//! operators share.

pub mod duration;
pub mod exemption;
pub mod fields;
pub mod go;
pub mod image;
pub mod jmespath;
pub mod kyverno;
pub mod lint;
pub mod migrate;
pub mod nearest;
pub mod psa;
pub mod pss;
pub mod quantity;
pub mod semver_range;
pub mod wildcard;
