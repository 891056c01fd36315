//! The meshes' own languages. Each dialect is a table of the peer's flags, an options struct those flags parse into,
//! and a builder from options to a [`RuleSet`](crate::RuleSet); there is no generic model that fits none of them.

mod build;
pub mod consul;
mod document;
mod explain;
pub mod flags;
pub mod istio;
pub mod kuma;
pub mod linkerd;
pub mod lint;
mod multiport;
mod nearest;
pub mod settings;

pub use build::{Built, Surroundings, build, check, flags_of};
pub use explain::{explain, explanations};
pub use flags::{Effect, Flag, FlagKind};
pub use lint::Lint;
pub use nearest::nearest;
pub use settings::{InvalidOption, Origin, Setting, Settings};
