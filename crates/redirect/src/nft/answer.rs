//! What the kernel answers to a batch: nothing but refusals, and the one acknowledgement that was asked for.

use super::wire::Messages;

/// The answers to one batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// Refusals as they came, the first cause first: place of the message in its batch, and errno.
    pub refusals: Vec<(u32, i32)>,
    /// Whether the message that asked for it was acknowledged.
    pub acknowledged: bool,
}

impl Answer {
    /// Reads the answers to the `count` messages from sequence number `first` on; anything else in the bytes, and
    /// anything that is no message, does not count.
    pub fn parse(bytes: &[u8], first: u32, count: u32) -> Self {
        let mut answer = Self::default();
        for message in Messages(bytes) {
            let place = message.sequence.wrapping_sub(first);
            match message.error() {
                Some(0) if place < count => answer.acknowledged = true,
                Some(errno) if place < count => answer.refusals.push((place, errno)),
                _ => {}
            }
        }
        answer
    }
}
