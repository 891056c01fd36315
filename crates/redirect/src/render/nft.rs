//! nft text.
use crate::RuleSet;

/// What `nft -f` takes.
pub fn render(_rules: &RuleSet) -> String {
    todo!()
}
