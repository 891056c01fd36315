//! Behaviour of Go's standard library that verdicts and messages hang on, where Rust's differs: letter case, regular
//! expressions, times, JSON text, URLs. Facts are those of Go 1.26.

pub mod base64;
pub mod json;
pub mod number;
pub mod print;
pub mod regex;
pub mod text;
pub mod time;
pub mod url;
