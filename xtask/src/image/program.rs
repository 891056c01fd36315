//! Building the programs that go into images: static, for musl, with no path of this machine in them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{demo, run, setup};

/// A program and how it is built.
pub(crate) struct Program {
    /// Cargo's package.
    pub(crate) package: &'static str,
    /// The executable.
    pub(crate) name: &'static str,
    /// Cargo's profile.
    pub(crate) profile: &'static str,
}

/// The machine that images are for: the one we run on.
pub(crate) struct Machine {
    /// Rust's target.
    pub(crate) target: &'static str,
    /// As Go and OCI spell it.
    pub(crate) architecture: &'static str,
}

impl Machine {
    pub(crate) fn this() -> Result<Self> {
        match std::env::consts::ARCH {
            "x86_64" => Ok(Self { target: "x86_64-unknown-linux-musl", architecture: "amd64" }),
            "aarch64" => Ok(Self { target: "aarch64-unknown-linux-musl", architecture: "arm64" }),
            other => bail!("images are made on x86_64 and aarch64, and this machine is {other}"),
        }
    }

    /// Installs what is missing, and says so.
    pub(crate) fn prepare(&self) -> Result<()> {
        setup::rust_target(self.target)?;
        setup::packages(&[("musl-gcc", "musl-tools")])
    }
}

/// Builds the programs, those of one profile at once, and gives their paths in the given order.
pub(crate) fn build(machine: &Machine, programs: &[Program]) -> Result<Vec<PathBuf>> {
    // A folder of its own: other flags than a developer's builds, which would else be built again each time.
    let folder = demo::target_folder().join("image-build");
    let mut profiles: BTreeMap<&str, Vec<&Program>> = BTreeMap::new();
    for program in programs {
        profiles.entry(program.profile).or_default().push(program);
    }
    for (profile, programs) in profiles {
        let mut command =
            run::cargo(&["build", "--locked", "--target", machine.target, "--profile", profile]);
        command.arg("--target-dir").arg(&folder);
        for program in programs {
            command.args(["--package", program.package, "--bin", program.name]);
        }
        for (name, value) in environment(machine)? {
            command.env(name, value);
        }
        run::quiet_step("build of the images' programs", &mut command)?;
    }
    let place = |program: &Program| folder.join(machine.target).join(program.profile).join(program.name);
    Ok(programs.iter().map(place).collect())
}

/// What makes a build say nothing of the machine it was made on: paths end up in panic messages and in C's assertions.
fn environment(machine: &Machine) -> Result<Vec<(String, String)>> {
    let workspace = run::root();
    let cargo = cargo_home()?;
    let folders = [(workspace.as_path(), "/meshward"), (cargo.as_path(), "/cargo")];
    let rust: Vec<String> =
        folders.iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect();
    let c: Vec<String> =
        folders.iter().map(|(from, to)| format!("-ffile-prefix-map={}={to}", from.display())).collect();
    let target = machine.target.replace('-', "_");
    Ok(vec![
        ("CARGO_ENCODED_RUSTFLAGS".into(), rust.join("\u{1f}")),
        (format!("CC_{target}"), "musl-gcc".into()),
        (format!("CFLAGS_{target}"), c.join(" ")),
    ])
}

fn cargo_home() -> Result<PathBuf> {
    let set = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let usual = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    set.or(usual).context("neither CARGO_HOME nor HOME is set")
}

/// Everything cargo knows about the workspace as it is built for `machine`.
pub(crate) fn metadata(machine: &Machine) -> Result<Value> {
    let arguments = ["metadata", "--locked", "--format-version", "1", "--filter-platform", machine.target];
    let output = run::output("cargo metadata", &mut run::cargo(&arguments))?;
    serde_json::from_str(&output).context("cannot read the output of cargo metadata")
}
