//! PolicyReports: what policies say about the objects of the cluster, in the form that report UIs and exporters read
//! (wgpolicyk8s.io/v1alpha2, or openreports.io/v1alpha1). One report for each object, as Kyverno writes them. Everything
//! here is bounded, and an object whose results are the same is never written again: reports of other tools have filled
//! whole etcds.
//!
//! ```text
//! RuleReport, standards ─► Line ─┐
//!                                ├─► Content (sorted, capped, hashed) ─► rendered ─► writer ─► API server
//! lines that are there already ──┘                                                     └─► what is new: Events
//! ```

mod api;
mod content;
mod index;
mod line;
mod render;
mod settings;
mod writer;

pub use api::Form;
pub use content::{Bounds, Content, Summary};
pub(crate) use index::group_kind;
pub use index::{Index, Present};
pub use line::{Line, Moment as Timestamp, PodImages, Severity, of_fault, of_panic, of_rule};
pub use render::{CONTENT, Held, MANAGED_BY, MANAGER, TRUNCATED, render};
pub use settings::ReportSettings;
pub use writer::{Message, Metrics, News, Parts, Results, Writer, named};
