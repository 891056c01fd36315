//! The page of quirks, made from the switches themselves.

use std::fmt::Write as _;

use meshward_policy::kyverno::quirk::Quirk;

const HEAD: &str = "\
# Quirks

Written by `cargo xtask docs`; do not edit.

Where `podSecurity` rules of Kyverno 1.19 do something else than they say. In [kyverno mode](../modes.md) each of them
is done as Kyverno does it, in strict mode as it is meant.

| | name | kyverno mode | strict mode |
|---|---|---|---|
";

pub(super) fn page() -> String {
    Quirk::all().fold(HEAD.to_string(), |mut text, quirk| {
        // A bar would end the cell; writing to a String cannot fail.
        let cell = |words: &str| words.replace('|', "\\|").replace('*', "\\*");
        let (theirs, ours) = (cell(quirk.text()), cell(quirk.strict_text()));
        let _ = writeln!(text, "| Q{} | `{}` | {theirs} | {ours} |", quirk.number(), quirk.name());
        text
    })
}
