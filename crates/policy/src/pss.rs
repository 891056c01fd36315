//! The Pod Security Standards, as kube-apiserver 1.37 checks them: 19 checks with their versions as one table of data,
//! evaluated over a pod's JSON without a copy of it. It exists because the peers either restate the checks by hand and
//! drift, or know only "allowed or not": here every offending value is a [`Finding`] with its place in the object, and
//! upstream's sentences are rendered from the findings, so that an exemption can take one value out and the sentence
//! still says exactly what is left.
//!
//! ```text
//! Value ─► Pod ─► evaluate(level, version) ─► Vec<CheckResult> ─► aggregate ─► violates PodSecurity "restricted:v1.29": …
//!                                                └─ retain(…) is where exemptions act
//! ```
//!
//! Upstream: <https://github.com/kubernetes/pod-security-admission> `policy/`, module version 0.37.

mod aggregate;
mod check;
mod container;
mod evaluate;
mod fields;
mod finding;
mod malformed;
mod pod;
mod predicate;
mod quote;
mod table;
mod text;
mod version;
mod workload;

pub use self::{
    aggregate::Aggregate,
    check::{Check, CheckId, Predicate, Relaxation, Revision, UnknownCheck},
    container::{Container, ContainerKind},
    evaluate::{CheckResult, active, evaluate},
    finding::{Field, Finding, Holder, Scope},
    malformed::Malformed,
    pod::{Defaults, Pod},
    table::{CHECKS, NEWEST},
    version::{Level, LevelVersion, UnknownLevel, UnknownVersion, Version},
    workload::{NoPodSpec, extract},
};

pub(crate) use self::{evaluate::run_check, quote::quote};
