//! The short name of a rule set. It stands in the comment of the table that holds the rules, so that one read of the
//! kernel tells whether a namespace already has exactly what is wanted, and a person who lists the table sees it too.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::RuleSet;

/// Version of the way rule sets are put in the kernel. A release that encodes the same rules in another way raises
/// it, so that tables written by older ones are replaced.
pub const FORMAT: u32 = 1;

impl RuleSet {
    /// `meshward v1 ` and 32 hexadecimal digits: the start of SHA-256 over the format version and the rule set as
    /// JSON in the order its fields are declared.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(FORMAT.to_be_bytes());
        // Plain data with string keys always serialises; were it ever not so, equal sets would still hash equal.
        hash.update(serde_json::to_vec(self).unwrap_or_default());
        let mut text = format!("meshward v{FORMAT} ");
        for byte in &hash.finalize()[..16] {
            let _ = write!(text, "{byte:02x}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use crate::builder::{Builder, rule};
    use crate::{Action, Hook, Mesh, TableKind};

    fn fingerprint(port: u16) -> String {
        let mut builder = Builder::new(Mesh::Istio, true);
        let redirect = rule("redirect").then(Action::Redirect(port));
        builder.base(TableKind::Nat, Hook::Output, redirect);
        builder.finish().fingerprint()
    }

    #[test]
    fn it_names_the_format_and_the_rules() {
        let hex = fingerprint(1).strip_prefix("meshward v1 ").map(str::to_string).unwrap();
        assert_eq!(hex.len(), 32);
        assert!(hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(fingerprint(1), fingerprint(1));
        assert_ne!(fingerprint(1), fingerprint(2));
    }
}
