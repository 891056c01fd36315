//! What policies are made of, evaluated without I/O, clock or environment: the JMESPath engine in the standard and in
//! Kyverno's dialect, and the value types that its functions and the policies' operators share. The same code runs in
//! the command line tool, the webhook and, compiled to WebAssembly, the browser; whatever comes from outside is passed
//! in through [`jmespath::Environment`].

pub mod duration;
pub mod go;
pub mod image;
pub mod jmespath;
pub mod quantity;
pub mod semver_range;
pub mod wildcard;
