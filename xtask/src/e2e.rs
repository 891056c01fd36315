//! `cargo e2e`: images, chart, a cluster and what runs on it, prepared; then the cases of `tests/e2e`. With `KUBECONFIG`
//! it is a cluster of the caller's own, and stays as it was; without, the one of `tests/e2e/cluster` is built (once),
//! started and stopped.

mod bench;
mod envoy;
mod lock;
mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use tempfile::NamedTempFile;

use crate::image::{self, Which};
use crate::{chart, demo, run, tools};
use rig::Rig;

pub(crate) use bench::{
    AdmissionArguments as BenchAdmissionArguments, Arguments as BenchNodeArguments,
    admission as bench_admission, node as bench_node,
};

/// What the cases need.
const IMAGES: [Which; 4] = [Which::Node, Which::Control, Which::Wait, Which::TestApp];

/// What the case about switching runs of Kyverno.
const KYVERNO: [&str; 2] = ["kyverno-admission", "kyverno-reports"];

/// Objects that the scan's own test makes.
const SCANNED: &str = "5000";

/// How the cases are run.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Run only cases with one of these words in their name
    filter: Vec<String>,
    /// Leave the cluster running, and what failed cases made in it
    #[arg(long)]
    keep: bool,
    /// Do without a real Envoy, Istio, Kyverno and cert-manager (cases that need them are told)
    #[arg(long)]
    quick: bool,
    /// Print the cases, and run none
    #[arg(long)]
    list: bool,
    /// Try a case that fails a second time, after the others, and tell of it: for machines that others use as well
    #[arg(long, conflicts_with = "keep")]
    again: bool,
    /// Build everything that is needed, and run nothing
    #[arg(long)]
    prepare: bool,
    /// Cases that run at once
    #[arg(long, default_value_t = 4)]
    jobs: usize,
    /// Use the images that `cargo xtask image node control wait test-app` has left here, instead of building them
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Command that puts an image archive into the cluster of KUBECONFIG, such as `kind load image-archive`
    #[arg(long, value_name = "COMMAND")]
    load: Option<String>,
    /// A value of the chart that the cluster of KUBECONFIG needs, as for helm's --set
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let begin = Instant::now();
    if arguments.list {
        let nothing = Prepared { helm: "helm".into(), ..Prepared::default() };
        return run::quiet_step("the list of cases", cases(&nothing, arguments)?.arg("--list"));
    }
    let own = std::env::var_os("KUBECONFIG").is_none_or(|value| value.is_empty());
    let helm = tools::helm()?;
    chart::run(&helm, false)?;
    let rig = if own { Some(Rig::prepare()?) } else { None };
    let result = Some(tempfile::NamedTempFile::new().context("cannot make a file for the result")?);
    let mut prepared = Prepared { helm, result, ..Prepared::default() };
    prepared.build(arguments, rig.as_ref())?;
    eprintln!("==> everything is built, {:.0} s", begin.elapsed().as_secs_f64());
    if arguments.prepare {
        return Ok(());
    }
    let ended = match &rig {
        Some(rig) => {
            let mut cases = cases(&prepared, arguments)?;
            on_node_of(rig, &mut cases);
            let mut work = vec![("cases", cases)];
            if arguments.filter.is_empty() {
                work.push(("taking the chart away", uninstall(&prepared.helm)));
                work.push(("tests of the crates that need a cluster", cluster_tests(rig)));
            }
            on_own_cluster(rig, &prepared.images, arguments.keep, work)
        }
        None => on_given_cluster(&prepared, arguments),
    };
    eprintln!("==> the whole of it: {:.0} s", begin.elapsed().as_secs_f64());
    if let Err(error) = &ended {
        eprintln!("error: {error:#}");
    }
    // The last line of all, whatever comes after the cases.
    if let Some(result) = &prepared.result {
        print!("{}", std::fs::read_to_string(result).unwrap_or_default());
    }
    ended.map_err(|_| run::Told.into())
}

/// What the cases are given.
#[derive(Default)]
struct Prepared {
    helm: PathBuf,
    images: Vec<PathBuf>,
    envoy: bool,
    istio: Option<PathBuf>,
    kyverno: Option<PathBuf>,
    operators: Option<PathBuf>,
    result: Option<NamedTempFile>,
}

impl Prepared {
    fn build(&mut self, arguments: &Arguments, rig: Option<&Rig>) -> Result<()> {
        self.images = images(arguments.images.as_deref())?;
        // Of the whole workspace, so that its dependencies are those that the tests were built with.
        let build = ["build", "--quiet", "--workspace", "--bin", "meshward", "--bin", "meshward-e2e"];
        run::step("building the command line and the cases", &mut run::cargo(&build))?;
        let Some(rig) = rig.filter(|_| !arguments.quick) else { return Ok(()) };
        self.images.push(envoy::image()?);
        self.envoy = true;
        self.istio = Some(rig.istio()?);
        self.kyverno = Some(rig.kyverno(&KYVERNO)?);
        self.operators = Some(rig.operators()?);
        Ok(())
    }
}

/// The archives of [`IMAGES`]: those of an earlier build in `folder`, or new ones.
fn images(folder: Option<&Path>) -> Result<Vec<PathBuf>> {
    if let Some(folder) = folder {
        return image::archives(&IMAGES, folder);
    }
    eprintln!("==> building images");
    let begin = Instant::now();
    let made = image::make(&IMAGES, &image::folder())?;
    for image in &made {
        eprintln!("    {} {}", image.name, image.digest);
    }
    eprintln!("    building images: {:.0} s", begin.elapsed().as_secs_f64());
    Ok(made.into_iter().map(|image| image.archive).collect())
}

/// Runs programs on the cluster that we start ourselves, with these images on its node.
fn on_own_cluster(rig: &Rig, images: &[PathBuf], keep: bool, work: Vec<(&str, Command)>) -> Result<()> {
    let started = rig.start()?;
    let result = rig.load(images).and_then(|()| {
        work.into_iter().try_for_each(|(what, mut command)| {
            rig.environment(&mut command);
            run::step(what, &mut command)
        })
    });
    match (started, keep) {
        (true, false) => rig.stop()?,
        (true, true) => {
            rig.leave();
            eprintln!("the cluster still runs; {}", rig.how_to_use());
        }
        (false, _) => eprintln!("the cluster was there before, and still runs; {}", rig.how_to_use()),
    }
    result
}

/// Two controllers would write the same reports.
fn uninstall(helm: &Path) -> Command {
    let mut helm = Command::new(helm);
    helm.args(["uninstall", "meshward", "--namespace", "meshward-system", "--wait", "--ignore-not-found"]);
    helm
}

/// The tests of the crates that are skipped without a cluster, with the faults that no release has.
fn cluster_tests(rig: &Rig) -> Command {
    // Of the whole workspace, as everything else, so that nothing is built twice.
    let mut tests = run::cargo(&["test", "--quiet", "--workspace", "--features", "meshward-control/faults"]);
    tests.args(["--test", "cluster", "--test", "lease", "--test", "reporter", "--", "--test-threads", "3"]);
    tests.env("MESHWARD_TEST_KUBECONFIG", rig.kubeconfig()).env("MESHWARD_TEST_OBJECTS", SCANNED);
    tests
}

/// Tells a program that installs the chart where this cluster's node has its folders.
fn on_node_of(rig: &Rig, command: &mut Command) {
    command.arg("--rig").arg(rig.state());
    for value in rig.chart_values() {
        command.args(["--set", &value]);
    }
}

fn on_given_cluster(prepared: &Prepared, arguments: &Arguments) -> Result<()> {
    match &arguments.load {
        None => eprintln!("note: no --load: the cluster has to have the images already"),
        Some(load) => {
            let words: Vec<&str> = load.split_whitespace().collect();
            let Some((program, first)) = words.split_first() else { bail!("--load is empty") };
            for image in &prepared.images {
                let what = format!("{load} {}", image.display());
                run::step(&what, Command::new(program).args(first).arg(image))?;
            }
        }
    }
    run::step("cases", &mut cases(prepared, arguments)?)
}

/// The program of `tests/e2e`, with everything it asks for.
fn cases(prepared: &Prepared, arguments: &Arguments) -> Result<Command> {
    let built = demo::target_folder().join("debug");
    if arguments.list {
        let build = ["build", "--quiet", "--workspace", "--bin", "meshward-e2e"];
        run::quiet_step("building the cases", &mut run::cargo(&build))?;
    }
    let mut command = Command::new(built.join("meshward-e2e"));
    command.args(&arguments.filter);
    given(&mut command, &prepared.helm);
    command.args(["--jobs", &arguments.jobs.to_string()]);
    for value in &arguments.set {
        command.args(["--set", value]);
    }
    for (flag, is_set) in [("--keep", arguments.keep), ("--again", arguments.again)] {
        command.args(is_set.then_some(flag));
    }
    if prepared.envoy {
        command.arg("--envoy");
    }
    let others = [
        ("--istio", &prepared.istio),
        ("--kyverno", &prepared.kyverno),
        ("--operators", &prepared.operators),
    ];
    for (flag, folder) in others {
        if let Some(folder) = folder {
            command.arg(flag).arg(folder);
        }
    }
    if let Some(result) = &prepared.result {
        command.arg("--result").arg(result.path());
    }
    Ok(command)
}

/// `cargo xtask replay`: the program that replays declarative cases, on the caller's own cluster.
pub(crate) fn replay(arguments: &[String]) -> Result<()> {
    let build = ["build", "--quiet", "--workspace", "--bin", "meshward-replay"];
    run::quiet_step("building the player of cases", &mut run::cargo(&build))?;
    let program = demo::target_folder().join("debug/meshward-replay");
    // It has told everything itself, and its exit code says which kind of end it was.
    let status = Command::new(program).args(arguments).status().context("cannot start meshward-replay")?;
    std::process::exit(status.code().unwrap_or(1));
}

/// What every program that works on a cluster is told.
fn given(command: &mut Command, helm: &Path) {
    let meshward = demo::target_folder().join("debug/meshward");
    command.current_dir(run::root()).arg("--helm").arg(helm).arg("--meshward").arg(meshward);
    command.arg("--chart").arg(chart::chart());
}

/// Runs one of the scripts beside the cases.
fn script(path: &str) -> Command {
    Command::new(folder().join(path))
}

fn folder() -> PathBuf {
    run::root().join("tests/e2e")
}

/// Makes a folder and its parents.
fn make_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))
}
