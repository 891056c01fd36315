//! The texts a rule set can be written as. Each is a walk over the same value and decides nothing.

pub mod nft;
