//! `meshward generate`: documentation made from the command line's own definition, for packagers and for `docs/`.

mod controls;
mod presets;
mod quirks;
mod rules;
mod showcase;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, Command, ValueEnum};
use meshward_redirect::Mesh;

use crate::exit::{Failure, Outcome};
use crate::kyverno::flags;

/// Write man pages or the command reference into a folder
#[derive(Args)]
pub(crate) struct Arguments {
    /// What to write
    #[arg(value_enum)]
    kind: Kind,
    /// Where to; has to exist
    folder: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// One page a verb, for man(1)
    Man,
    /// cli.md, controls.md, presets.md, quirks.md, lint.md, kyverno-cli-flags.md, and rules-MESH.md for each mesh
    Reference,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let mut command = crate::command();
    command.build();
    match arguments.kind {
        Kind::Man => clap_mangen::generate_to(command, &arguments.folder).map_err(|error| {
            Failure::input(format!("cannot write to {}: {error}", arguments.folder.display()))
        }),
        Kind::Reference => {
            write(&arguments.folder.join("cli.md"), &reference(&command))?;
            write(&arguments.folder.join("controls.md"), &controls::page())?;
            write(&arguments.folder.join("presets.md"), &presets::page())?;
            write(&arguments.folder.join("quirks.md"), &quirks::page())?;
            write(&arguments.folder.join("kyverno-cli-flags.md"), &flags::page())?;
            write(&arguments.folder.join("lint.md"), &super::lint::page())?;
            Mesh::ALL.into_iter().try_for_each(|mesh| {
                let page = rules::page(mesh).map_err(Failure::impossible)?;
                write(&arguments.folder.join(format!("rules-{mesh}.md")), &page)
            })
        }
    }
}

fn write(path: &Path, text: &str) -> Outcome {
    fs::write(path, text).map_err(|error| Failure::input(format!("cannot write {}: {error}", path.display())))
}

fn reference(command: &Command) -> String {
    let mut text = String::from("# Command reference\n\nWritten by `cargo xtask docs`; do not edit.\n");
    section(command, "meshward", &mut text);
    text
}

fn section(command: &Command, path: &str, text: &mut String) {
    let help = command.clone().term_width(110).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    // Writing to a String cannot fail.
    let _ = write!(text, "\n## {path}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        section(verb, &format!("{path} {}", verb.get_name()), text);
    }
}
