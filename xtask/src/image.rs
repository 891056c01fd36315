//! `cargo xtask image`: the container images, without Docker or a registry: one static program each, on nothing else.
//! Two builds of the same sources give the same digests.

mod layer;
mod layout;
mod program;
mod sbom;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::{demo, run};
use layer::Layer;
use layout::{Image, Layout};
use program::{Machine, Program};

/// Where images of this project are published.
const REGISTRY: &str = "ghcr.io/meshward";

/// What is built.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Only these images; all of the product when none is named
    #[arg(value_enum)]
    images: Vec<Which>,
    /// Where to put them; the workspace's target/images when absent
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Form of what is printed
    #[arg(short, long, value_enum, default_value_t = Form::Text)]
    output: Form,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// For people
    Text,
    /// For programs
    Json,
}

/// An image of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Which {
    /// The node agent
    Node,
    /// The admission controller
    Control,
    /// The wait container
    Wait,
    /// The workload and stand-in proxy of the end-to-end tests
    TestApp,
}

/// How an image is made.
struct Recipe {
    name: String,
    program: Program,
    user: &'static str,
    description: &'static str,
}

impl Which {
    const PRODUCT: [Self; 3] = [Self::Node, Self::Control, Self::Wait];

    fn recipe(self) -> Recipe {
        let version = env!("CARGO_PKG_VERSION");
        match self {
            Self::Node => Recipe {
                name: format!("{REGISTRY}/node:{version}"),
                program: Program { package: "meshward-node", name: "meshward-node", profile: "release" },
                // Entering network namespaces takes root's capabilities; the chart drops all others.
                user: "0:0",
                description: "Programs mesh pods' network namespaces from outside, proves the rules and keeps them",
            },
            Self::Control => Recipe {
                name: format!("{REGISTRY}/control:{version}"),
                program: Program {
                    package: "meshward-control",
                    name: "meshward-control",
                    profile: "release",
                },
                user: "65532:65532",
                description: "Admission controller: policies and exemptions in force, mesh pods swapped, reports",
            },
            Self::Wait => Recipe {
                name: format!("{REGISTRY}/wait:{version}"),
                program: Program { package: "meshward-wait", name: "meshward-wait", profile: "small" },
                user: "65532:65532",
                description: "The init container that waits for a pod's mesh rules and proves them",
            },
            Self::TestApp => Recipe {
                name: "meshward.test/app:1".into(),
                program: Program { package: "meshward-e2e-app", name: "e2e-app", profile: "small" },
                user: "65532:65532",
                description: "Workload and stand-in proxy of the end-to-end tests",
            },
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Control => "control",
            Self::Wait => "wait",
            Self::TestApp => "test-app",
        }
    }
}

/// An image that was made.
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) digest: String,
    /// For `ctr images import`.
    pub(crate) archive: PathBuf,
    folder: PathBuf,
    program_bytes: usize,
    image_bytes: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let images = if arguments.images.is_empty() { &Which::PRODUCT[..] } else { &arguments.images };
    let folder = arguments.folder.clone().unwrap_or_else(folder);
    let made = make(images, &folder)?;
    match arguments.output {
        Form::Text => made.iter().for_each(|image| {
            println!("{} {}", image.name, image.digest);
            println!("  {} bytes, of which the program {}", image.image_bytes, image.program_bytes);
            println!("  archive {}", image.archive.display());
            println!("  layout  {}", image.folder.display());
        }),
        Form::Json => println!("{:#}", Value::Array(made.iter().map(as_json).collect())),
    }
    Ok(())
}

fn as_json(image: &Made) -> Value {
    json!({
        "name": image.name,
        "digest": image.digest,
        "archive": image.archive,
        "layout": image.folder,
        "bytes": image.image_bytes,
        "programBytes": image.program_bytes,
    })
}

/// Where images are put by default.
pub(crate) fn folder() -> PathBuf {
    demo::target_folder().join("images")
}

/// The archives of `images` that an earlier run has written into `folder`.
pub(crate) fn archives(images: &[Which], folder: &Path) -> Result<Vec<PathBuf>> {
    let archive = |image: &Which| {
        let path = folder.join(format!("{}.tar", image.file_name()));
        ensure!(path.is_file(), "no image at {}: `cargo xtask image` makes it", path.display());
        Ok(path)
    };
    images.iter().map(archive).collect()
}

/// Builds and writes `images` into `folder`.
pub(crate) fn make(images: &[Which], folder: &Path) -> Result<Vec<Made>> {
    let machine = Machine::this()?;
    machine.prepare()?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let programs: Vec<Program> = images.iter().map(|image| image.recipe().program).collect();
    let built = program::build(&machine, &programs)?;
    let metadata = program::metadata(&machine)?;
    let source = Source { machine, metadata, revision: revision() };
    images.iter().zip(&built).map(|(image, program)| write(*image, program, &source, folder)).collect()
}

/// What all images of one run have in common.
struct Source {
    machine: Machine,
    metadata: Value,
    /// The commit, where there is one.
    revision: Option<String>,
}

fn write(which: Which, program: &Path, source: &Source, folder: &Path) -> Result<Made> {
    let recipe = which.recipe();
    let content = std::fs::read(program).with_context(|| format!("cannot read {}", program.display()))?;
    let program_bytes = content.len();
    let sbom = sbom::of(&source.metadata, recipe.program.package)?;
    let entrypoint = format!("/{}", recipe.program.name);
    let layout = Layout::of(&Image {
        name: recipe.name.clone(),
        architecture: source.machine.architecture,
        layer: Layer::default().file(&entrypoint, 0o755, content),
        entrypoint,
        user: recipe.user,
        labels: labels(&recipe, source, &sbom),
        sbom: Some(sbom.clone()),
    })?;
    let place = |ending: &str| folder.join(format!("{}{ending}", which.file_name()));
    let archive = place(".tar");
    std::fs::write(&archive, layout.to_archive()?)
        .with_context(|| format!("cannot write {}", archive.display()))?;
    std::fs::write(place(".cdx.json"), sbom).context("cannot write the bill of materials")?;
    layout.write_folder(&place(""))?;
    Ok(Made {
        name: recipe.name,
        digest: layout.digest.clone(),
        archive,
        folder: place(""),
        program_bytes,
        image_bytes: layout.size(),
    })
}

fn labels(recipe: &Recipe, source: &Source, sbom: &[u8]) -> BTreeMap<String, String> {
    let standard = |key: &str| format!("org.opencontainers.image.{key}");
    let mut labels = BTreeMap::from([
        (standard("title"), recipe.program.name.to_string()),
        (standard("description"), recipe.description.to_string()),
        (standard("version"), env!("CARGO_PKG_VERSION").to_string()),
        (standard("licenses"), env!("CARGO_PKG_LICENSE").to_string()),
        (standard("source"), env!("CARGO_PKG_REPOSITORY").to_string()),
        // Says which bill of materials belongs to the image, wherever it is kept.
        ("dev.meshward.sbom.digest".to_string(), format!("sha256:{}", layout::sha256(sbom))),
    ]);
    if let Some(revision) = &source.revision {
        labels.insert(standard("revision"), revision.clone());
    }
    labels
}

/// The commit; with `-dirty` where files differ from it.
fn revision() -> Option<String> {
    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        run::output("git", command.args(arguments).current_dir(run::root())).ok()
    };
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_string();
    let changes = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changes.trim().is_empty() { commit } else { format!("{commit}-dirty") })
}
