//! The harness of the end-to-end tests: a real Kubernetes, and few words to say what has to hold on it. A case makes its
//! own namespaces, says what it puts there and what it waits for; what is needed to understand a failure is collected by
//! the harness.
//!
//! ```no_run
//! # use std::time::Duration;
//! # use anyhow::Result;
//! use meshward_e2e::manifest::APP;
//! use meshward_e2e::{Bed, Manifest};
//!
//! async fn an_istio_pod_starts_under_restricted(bed: &Bed) -> Result<()> {
//!     let shop = bed.restricted("shop").await?;
//!     let pod = Manifest::example("istio.yaml")?
//!         .workload("web", &["serve", "8080"])?
//!         .proxy("istio-proxy", APP, &["/e2e-app", "proxy", "15001", "15006", "127.0.0.6"])?;
//!     assert!(shop.refused(&pod).await?.contains("violates PodSecurity"));
//!     let pod = shop.pod(&bed.swapped(&pod).await?).await?;
//!     pod.ready(Duration::from_secs(30)).await?;
//!     pod.in_force().await
//! }
//! ```

pub mod agent;
pub mod ask;
pub mod bed;
pub mod beside;
pub mod case;
pub mod cluster;
pub mod controller;
pub mod deployment;
mod diagnosis;
pub mod http;
pub mod istio;
pub mod kyverno;
pub mod load;
pub mod manifest;
pub mod namespace;
pub mod options;
pub mod pod;
pub mod replay;
pub mod rig;
pub mod turn;
pub mod until;

pub use agent::Agent;
pub use ask::Reply;
pub use bed::Bed;
pub use beside::Beside;
pub use case::{Case, Needs};
pub use cluster::{Cluster, Tools};
pub use controller::Controller;
pub use http::Answer;
pub use istio::Istio;
pub use kyverno::Kyverno;
pub use load::Load;
pub use manifest::Manifest;
pub use namespace::Namespace;
pub use options::Options;
pub use pod::Pod;
pub use rig::{Paused, Rig};
pub use turn::Turn;
pub use until::until;
