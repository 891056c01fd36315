//! Policy verdicts about Kubernetes objects, as a pure function of JSON values: no I/O, no clock, no environment. The
//! command line, the webhook, the scanner and the browser playground all call this crate, so that they cannot disagree.

pub mod psa;
pub mod pss;
