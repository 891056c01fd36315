//! `cargo xtask chart`: the Helm chart linted, rendered with some values and compared with what is kept, and refused with
//! others. What the kept manifests mean is tested by `tests/e2e/tests/chart.rs`, which needs no helm.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use similar::TextDiff;

use crate::{run, tools};

/// Kept renderings: name, and the arguments that give it. Definitions are kept by `cargo xtask crds`, and rendered only
/// where all of them are.
const RENDERED: [(&str, &[&str]); 7] = [
    ("default", &["--set", "definitions.install=false"]),
    ("agent", &["--set", "controller.enabled=false,definitions.install=false"]),
    ("openshift", &["--set", "distribution=openshift,definitions.install=false"]),
    ("cni", &["--set", "cni.enabled=true,nri.mode=off,controller.enabled=false,definitions.install=false"]),
    ("everything", &["--values", "golden/everything.values.yaml"]),
    (
        "openreports",
        &[
            "--show-only",
            "templates/definitions.yaml",
            "--set",
            "definitions.install=false,reportDefinitions.install=true,controller.config.reports=openreports",
        ],
    ),
    (
        "definitions",
        &["--show-only", "templates/definitions.yaml", "--values", "golden/definitions.values.yaml"],
    ),
];

/// Values that must be refused, and a part of what has to be said then.
const REFUSED: [(&str, &str); 11] = [
    ("nri.mod=off", "mod"),
    ("distribution=openshft", "distribution"),
    ("config.log-levl=debug", "log-levl"),
    ("config.backend=ebpf", "backend"),
    ("config.recheck-interval=soon", "recheck-interval"),
    ("image.digest=sha256:1", "digest"),
    ("serviceAccount.create=false", "serviceAccount.name is needed"),
    ("controller.serviceAccount.create=false", "controller.serviceAccount.name is needed"),
    ("controller.config.exceptionNamespaces=policy", "exceptionNamespaces"),
    ("controller.config.shutdown-timeout=soon", "shutdown-timeout"),
    ("controller.replicas=0", "replicas"),
];

/// Checks the chart with `helm`; with `bless` the renderings are kept anew.
pub(crate) fn run(helm: &Path, bless: bool) -> Result<()> {
    run::step("helm lint", Command::new(helm).args(["lint", "--strict", "--quiet"]).arg(chart()))?;
    for (name, arguments) in RENDERED {
        let fresh = render(helm, arguments)?;
        let kept = chart().join(format!("golden/{name}.yaml"));
        if bless {
            std::fs::write(&kept, fresh).with_context(|| format!("cannot write {}", kept.display()))?;
            continue;
        }
        let old =
            std::fs::read_to_string(&kept).with_context(|| format!("cannot read {}", kept.display()))?;
        if old != fresh {
            let diff = TextDiff::from_lines(&old, &fresh);
            eprintln!("{}", diff.unified_diff().context_radius(3));
            bail!(
                "the chart renders something else than {}: run `cargo xtask chart --bless` if that is meant",
                kept.display()
            );
        }
    }
    for (set, said) in REFUSED {
        refused(helm, set, said)?;
    }
    eprintln!("chart: {} renderings as kept, {} wrong values refused", RENDERED.len(), REFUSED.len());
    Ok(())
}

/// The chart's folder.
pub(crate) fn chart() -> PathBuf {
    run::root().join("charts/meshward")
}

fn template(helm: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(helm);
    command
        .args(["template", "meshward", ".", "--namespace", "meshward-system"])
        .args(arguments)
        .current_dir(chart());
    command
}

fn render(helm: &Path, arguments: &[&str]) -> Result<String> {
    run::output("helm template", &mut template(helm, arguments))
}

fn refused(helm: &Path, set: &str, said: &str) -> Result<()> {
    let output = template(helm, &["--set", set]).output().context("cannot start helm")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        bail!("the chart takes --set {set}, which is wrong");
    }
    if !complaint.contains(said) {
        bail!("the chart refuses --set {set} without naming {said:?}: {complaint}");
    }
    Ok(())
}

/// As a verb of its own.
pub(crate) fn verb(bless: bool) -> Result<()> {
    run(&tools::helm()?, bless)
}
