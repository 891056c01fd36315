//! Pod Security Admission as a library call: what kube-apiserver 1.37 answers to a request, texts and audit annotations
//! included, from the request, the namespace's labels and a configuration. It exists so that the webhook, the scanner
//! and `migrate` can say what the built-in admission would, and put exemptions of values where it has only exemptions
//! of whole namespaces: the evaluation is a parameter ([`Evaluator`]).
//!
//! The caller reads the namespace and the pods; nothing here waits or keeps time.
//!
//! Upstream: k8s.io/pod-security-admission v0.37 `admission/admission.go`, `api/helpers.go`.

mod config;
mod labels;
mod namespace;
mod request;
mod response;
mod review;
mod update;

pub use self::{
    config::{Configuration, Exemptions, InvalidConfiguration},
    labels::{InvalidLabel, Labels, Mode, PREFIX, Policy, describe},
    namespace::DryRun,
    request::{Operation, Request},
    response::{Decision, Record, Response, Status, StatusCause},
    review::{Admission, Evaluator, Review, Standards},
    update::is_significant,
};
