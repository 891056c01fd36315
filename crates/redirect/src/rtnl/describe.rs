//! Everything that can be read from an answer, whatever it answers: the whole way of bytes that a kernel (or who passes
//! for one) sends, for fuzzing.

use std::fmt::Write as _;

use super::message::{self, Content};
use super::{address, link, policy};

/// Reads bytes as if they were the answer to every request that we make, and prints what was understood.
pub fn describe_answer(bytes: &[u8]) -> String {
    let mut text = String::new();
    for message in message::messages(bytes) {
        // Writing to a String cannot fail.
        let _ = match message {
            Err(malformed) => writeln!(text, "{malformed:?}"),
            Ok(message) => match message.content {
                Content::Object(kind, payload) => writeln!(
                    text,
                    "{} {kind} {:?} {:?} {:?} {:?}",
                    message.sequence,
                    address::read(payload),
                    link::read(payload),
                    policy::read_rule(payload),
                    policy::read_route(payload),
                ),
                other => writeln!(text, "{} {other:?}", message.sequence),
            },
        };
    }
    text
}
