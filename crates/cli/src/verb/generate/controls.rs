//! The page of controls, made from the table that the checks run from, so that it cannot list a field that no check
//! reads.

use std::fmt::Write as _;

use meshward_policy::pss::{CHECKS, Check, Field, Level, NEWEST, Predicate, Relaxation, Revision};

const HEAD: &str = "\
# Controls of the Pod Security Standards

Written by `cargo xtask docs`; do not edit.

Every check, from which release of Kubernetes 1 on it exists, and the fields it reads. The control's name is what
`control` of an [exemption](../exemptions.md) and `controlName` of Kyverno's `podSecurity` rules hold, a field's name
what `field` and `restrictedField` hold. `spec.*[*]` stands for each of `spec.initContainers[*]`,
`spec.containers[*]` and `spec.ephemeralContainers[*]`. Below its first version a check does not run; at level
restricted the checks of baseline run as well, but for those that a restricted check takes the place of.
";

pub(super) fn page() -> String {
    let mut text = HEAD.to_string();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "The newest release whose checks are known is 1.{NEWEST}.");
    for level in [Level::Baseline, Level::Restricted] {
        let _ = write!(text, "\n## {level}\n");
        CHECKS.iter().filter(|check| check.level == level).for_each(|check| section(check, &mut text));
    }
    text
}

fn section(check: &Check, text: &mut String) {
    let _ = write!(text, "\n### {}\n\nCheck `{}`.\n\n", check.control, check.id);
    text.push_str("| from | looks for | leaves alone | in place of |\n|---|---|---|---|\n");
    for revision in check.revisions {
        let over: Vec<String> = revision.overrides.iter().map(|id| format!("`{id}`")).collect();
        let _ = writeln!(
            text,
            "| v1.{} | {} | {} | {} |",
            revision.minimum,
            looks_for(revision.predicate),
            leaves_alone(revision.relaxation),
            over.join(", "),
        );
    }
    text.push_str("\n| field | it may hold | in versions |\n|---|---|---|\n");
    for (index, field) in fields(check) {
        let _ = writeln!(text, "| `{}` | {} | {} |", name(field), allowed(field), versions(check, index));
    }
}

/// Each field once, with the revision that reads it first.
fn fields(check: &Check) -> Vec<(usize, &'static Field)> {
    let mut found: Vec<(usize, &'static Field)> = Vec::new();
    for (index, revision) in check.revisions.iter().enumerate() {
        for field in revision.fields {
            if !found.iter().any(|(_, known)| known == field) {
                found.push((index, field));
            }
        }
    }
    found
}

/// From the first revision that reads a field to the one before the first that does not.
fn versions(check: &Check, first: usize) -> String {
    let from = check.revisions[first].minimum;
    let read = check.revisions[first].fields;
    let reads = |revision: &Revision| read.iter().all(|field| revision.fields.contains(field));
    match check.revisions[first..].iter().find(|revision| !reads(revision)) {
        Some(next) => format!("v1.{from} to v1.{}", next.minimum - 1),
        None => format!("v1.{from} and later"),
    }
}

fn name(field: &Field) -> String {
    let names = field.restricted_fields();
    match names.as_slice() {
        [one] => one.clone(),
        [first, ..] => first.replacen("spec.initContainers", "spec.*", 1),
        [] => field.path.to_string(),
    }
}

/// A star would begin italics; lists that differ between versions stand with what the versions look for.
fn allowed(field: &Field) -> String {
    match field.allowed {
        "the revision's list" => "only what is named above".to_string(),
        words => words.replace('*', "\\*"),
    }
}

fn leaves_alone(relaxation: Option<Relaxation>) -> &'static str {
    match relaxation {
        None => "",
        Some(Relaxation::Windows) => "pods with `spec.os.name: windows`",
        Some(Relaxation::UserNamespace) => "pods with `spec.hostUsers: false`",
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn looks_for(predicate: Predicate) -> String {
    let plain = match predicate {
        Predicate::Capabilities { addable, drop_all: false } => {
            return format!("added capabilities other than {}", list(addable));
        }
        Predicate::Capabilities { addable, drop_all: true } => {
            return format!("`ALL` not dropped; added capabilities other than {}", list(addable));
        }
        Predicate::SeLinux { types } => {
            return format!("types other than {}; any user or role", list(types));
        }
        Predicate::Sysctls { allowed } => return format!("names other than {}", list(allowed)),
        Predicate::AppArmor => "profiles other than the runtime's or a local one, in fields and annotations",
        Predicate::HostNamespaces => "the host's network, process and IPC namespaces",
        Predicate::HostPath => "volumes of type `hostPath`",
        Predicate::HostPorts => "ports of the host",
        Predicate::HandlerHosts => "a host in probes and lifecycle handlers",
        Predicate::Privileged => "privileged containers",
        Predicate::ProcMount => "a `/proc` mount other than the default",
        Predicate::SeccompAnnotations => "profiles in annotations other than the runtime's or a local one",
        Predicate::Seccomp { required: false } => "profiles other than the runtime's or a local one",
        Predicate::Seccomp { required: true } => {
            "no profile, neither the container's nor the pod's; profiles other than the runtime's or a local one"
        }
        Predicate::WindowsHostProcess => "containers in the host's process space",
        Predicate::PrivilegeEscalation => "privilege escalation that is not switched off",
        Predicate::VolumeTypes => "volumes of a type that a namespace's user does not own",
        Predicate::NonRoot => "`runAsNonRoot` that is not true",
        Predicate::RootUser => "`runAsUser` of 0",
    };
    plain.to_string()
}
