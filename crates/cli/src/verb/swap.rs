//! `meshward swap`: a manifest as the admission webhook would let it in. All or nothing: a file of which one pod cannot be
//! swapped prints nothing, so that nobody applies half of it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use meshward_manifest::{Document, to_yaml};
use meshward_mesh::{
    SwapError, SwapOptions, Swapped, Unchanged, Validators, WaitExit, WaitUser, patch, pods, swap,
};
use serde_json::Value;
use similar::TextDiff;

use crate::exit::{Failure, Outcome};
use crate::input::Input;
use crate::pods::{Context, Namespaces};
use crate::source::PodSource;
use crate::terminal;

const EXAMPLES: &str = "\
Examples:
  istioctl kube-inject -f app.yaml | meshward swap - | kubectl apply -f -
  meshward swap deployment.yaml -o diff
  meshward swap deployment.yaml -o patch
  kubectl get pod web-0 -o yaml | meshward swap - --namespace namespace.yaml

Exit codes: 1 when a pod cannot do without privileges, 2 when what it wants cannot be read";

/// Print a manifest with its privileged mesh init containers replaced
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The manifest, YAML or JSON; - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A manifest with the namespace object, whose annotations and labels count too
    #[arg(long, value_name = "FILE")]
    namespace: Option<PathBuf>,
    /// Form of the output
    #[arg(short, long, value_enum, default_value_t = Form::Yaml)]
    output: Form,
    /// Image of the wait container
    #[arg(long, value_name = "IMAGE", default_value_t = SwapOptions::default().image)]
    wait_image: String,
    /// How long the wait container waits for the rules, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = SwapOptions::default().timeout, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    wait_timeout: u32,
    /// Its exit code when they do not come: our own, or the one that a mesh's repair controller looks for
    #[arg(long, value_enum, default_value_t = Code::Own)]
    wait_exit_code: Code,
    /// Whom it runs as, which decides what it can prove
    #[arg(long, value_enum, default_value_t = User::Ordinary)]
    wait_user: User,
    /// What becomes of the meshes' own validation containers (CNI mode)
    #[arg(long, value_enum, default_value_t = Kept::Keep)]
    validators: Kept,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// Every object of the input; those that stay as they are, as they were written
    Yaml,
    /// One JSON patch (RFC 6902) for each document, in their order, each on a line
    Patch,
    /// What changes, line by line; nothing when nothing does
    Diff,
    /// Every document as JSON
    Json,
}

#[derive(Clone, Copy, ValueEnum)]
enum Code {
    /// Ours
    #[value(name = "96")]
    Own,
    /// Istio's
    #[value(name = "126")]
    Istio,
    /// Linkerd's
    #[value(name = "95")]
    Linkerd,
}

#[derive(Clone, Copy, ValueEnum)]
enum User {
    /// 65532: proves that what applications send is captured
    Ordinary,
    /// The proxy's: proves that inbound connections are captured (Istio, Kuma; else as ordinary)
    Proxy,
    /// Whom the platform chooses, as OpenShift's restricted-v2 wants it
    Platform,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kept {
    /// They stay
    Keep,
    /// The wait container takes their place too
    Replace,
}

impl Arguments {
    fn options(&self) -> SwapOptions {
        SwapOptions {
            image: self.wait_image.clone(),
            timeout: self.wait_timeout,
            exit: match self.wait_exit_code {
                Code::Own => WaitExit::Own,
                Code::Istio => WaitExit::Istio,
                Code::Linkerd => WaitExit::Linkerd,
            },
            validators: match self.validators {
                Kept::Keep => Validators::Keep,
                Kept::Replace => Validators::Replace,
            },
            user: match self.wait_user {
                User::Ordinary => WaitUser::Ordinary,
                User::Proxy => WaitUser::Proxy,
                User::Platform => WaitUser::Platform,
            },
        }
    }
}

/// What could not be swapped, in words.
#[derive(Default)]
struct Errors {
    /// What a pod wants cannot be read.
    unreadable: Vec<String>,
    /// It cannot do without privileges.
    refused: Vec<String>,
}

pub(crate) fn run(arguments: Arguments) -> Outcome {
    let options = arguments.options();
    let source = PodSource { file: arguments.file, namespace: arguments.namespace };
    let input = Input::read(&source.file)?;
    let namespaces = Namespaces::read(&source)?;
    let mut errors = Errors::default();
    errors.unreadable.extend(no_objects(&input));
    let swapped: Vec<Value> = input
        .documents
        .iter()
        .map(|document| swap_document(&input, document, &namespaces, &options, &mut errors))
        .collect();
    if !errors.unreadable.is_empty() {
        errors.unreadable.append(&mut errors.refused);
        return Err(Failure::Reported(errors.unreadable.join("\n")));
    }
    if !errors.refused.is_empty() {
        eprintln!("{}", errors.refused.join("\n"));
        return Err(Failure::Found);
    }
    terminal::print(&text(&input, &swapped, arguments.output));
    Ok(())
}

/// Documents that are no Kubernetes object at all; one without a pod is printed as it is.
fn no_objects(input: &Input) -> impl Iterator<Item = String> {
    let strangers = input.documents.iter().filter(|document| document.value.get("kind").is_none());
    strangers.map(|document| {
        input.error("no Kubernetes object: found a document without a kind", document.object().place())
    })
}

/// The document with each of its pods swapped; pods that cannot be are told in `errors`.
fn swap_document(
    input: &Input,
    document: &Document,
    namespaces: &Namespaces,
    options: &SwapOptions,
    errors: &mut Errors,
) -> Value {
    let mut after = document.value.clone();
    let object = document.object();
    for pod in &pods(&document.value) {
        let at = Context { input, object: &object, pod };
        let namespace = namespaces.of(input, pod.namespace());
        match swap(pod, namespace.as_ref(), options) {
            Ok(Swapped::Changed(swapped)) => {
                swapped.plan.warnings.iter().for_each(|warning| at.warn(warning));
                swapped.left.iter().for_each(|left| at.warn(left));
                let changes: Vec<String> = swapped.changes.iter().map(ToString::to_string).collect();
                terminal::note(&format!("{}: {}", at.title(), changes.join("; ")));
                if let Some(template) = after.pointer_mut(pod.pointer()) {
                    *template = swapped.template;
                }
            }
            Ok(Swapped::Unchanged(reason)) => {
                if let Unchanged::Already { left } = &reason {
                    left.iter().for_each(|left| at.warn(left));
                }
                terminal::note(&format!("{}: unchanged: {reason}", at.title()));
            }
            Err(SwapError::Plan(error)) => errors.unreadable.append(&mut at.problems(&error)),
            Err(SwapError::Refused { refusals, .. }) => {
                errors.refused.extend(refusals.iter().map(|refusal| at.error(refusal)));
            }
        }
    }
    after
}

fn text(input: &Input, swapped: &[Value], form: Form) -> String {
    let documents = input.documents.iter().zip(swapped);
    match form {
        Form::Yaml => {
            let texts: Vec<String> = documents
                .map(|(document, after)| {
                    let unchanged = (document.value == *after).then(|| input.source(document)).flatten();
                    unchanged.unwrap_or_else(|| to_yaml(after))
                })
                .collect();
            texts.join("---\n")
        }
        Form::Patch => documents
            .map(|(document, after)| Value::from(patch(&document.value, after)).to_string() + "\n")
            .collect(),
        Form::Diff => documents.map(|(document, after)| difference(input, document, after)).collect(),
        Form::Json => {
            let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
            swapped.iter().map(pretty).collect()
        }
    }
}

/// A unified diff of the document as we write it: quotes and comments of the source are no difference.
fn difference(input: &Input, document: &Document, after: &Value) -> String {
    let (before, after) = (to_yaml(&document.value), to_yaml(after));
    let title = |field: &str| document.value.pointer(field).and_then(Value::as_str).unwrap_or_default();
    let name = format!("{}: {} {}", input.name, title("/kind"), title("/metadata/name"));
    TextDiff::from_lines(&before, &after)
        .unified_diff()
        .header(&name, &format!("{name}, swapped"))
        .to_string()
}
