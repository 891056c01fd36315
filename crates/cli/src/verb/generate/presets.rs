//! The page of mesh presets, made from the table that exemptions read.

use std::fmt::Write as _;

use meshward_policy::exemption::{PRESETS, Preset};

const HEAD: &str = "\
# Presets

Written by `cargo xtask docs`; do not edit.

What `spec.preset` of a `MeshPreset` may hold, and what it stands for: one entry of an [exemption](../exemptions.md),
about containers that fit every line. `images` of the object takes the place of the public ones; an image without a
tag stands for each of its tags. `...` as the last word of a command stands for any further words.
";

pub(super) fn page() -> String {
    PRESETS.iter().fold(HEAD.to_string(), |mut text, preset| {
        section(preset, &mut text);
        text
    })
}

fn section(preset: &Preset, text: &mut String) {
    let list = |names: &[&str]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
    let or = |names: &[&str], none: &str| if names.is_empty() { none.to_string() } else { list(names) };
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\n## {}\n\nOf {}: {}. Shape: {}.\n\n| | |\n|---|---|\n| names | {} |\n| kinds | {} |\n| images | {} |\n\
         | command | {} |\n| args | {} |\n| env | {} |\n| mounts | {} |\n| hooks | {} |\n\n| control | field of the container | values | why |\n|---|---|---|---|\n",
        preset.name,
        preset.mesh,
        preset.about,
        preset.source,
        list(preset.names),
        list(preset.kinds),
        list(preset.images),
        or(preset.command, "none"),
        or(preset.args, "none"),
        or(preset.env, "none"),
        or(preset.mounts, "none"),
        or(preset.hooks, "none"),
    );
    for allow in preset.allow {
        let values = or(allow.values, "");
        let _ = writeln!(text, "| {} | `{}` | {values} | {} |", allow.control, allow.field, allow.why);
    }
}
