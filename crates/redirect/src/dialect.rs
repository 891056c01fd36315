//! The meshes' own languages. Each dialect is a table of the peer's flags, an options struct those flags parse into,
//! and a builder from options to a [`RuleSet`](crate::RuleSet); there is no generic model that fits none of them.

pub mod flags;
pub mod istio;
pub mod linkerd;
pub mod lint;
pub mod settings;

pub use flags::{Effect, Flag, FlagKind};
pub use lint::Lint;
pub use settings::{InvalidOption, Origin, Setting, Settings};
