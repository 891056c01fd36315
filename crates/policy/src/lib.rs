//! What policies are made of, evaluated without I/O, clock or environment: the value types that policies' operators and
//! functions share.

pub mod duration;
pub mod go;
pub mod image;
pub mod quantity;
pub mod semver_range;
pub mod wildcard;
