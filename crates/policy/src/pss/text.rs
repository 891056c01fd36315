//! Upstream's sentences, letter by letter, rendered from findings. Each list's order and quoting is the one of
//! `policy/check_*.go`: containers in visiting order, values sorted by bytes unless said otherwise.

use std::{borrow::Cow, collections::BTreeSet};

use super::{Finding, Holder, Predicate, fields, quote};

/// The reason and the detail of a check that found something.
pub(super) fn render(predicate: Predicate, findings: &[Finding<'_>]) -> (&'static str, String) {
    match predicate {
        Predicate::AppArmor => apparmor(findings),
        Predicate::Capabilities { drop_all, .. } => capabilities(drop_all, findings),
        Predicate::HostNamespaces => {
            ("host namespaces", join(findings.iter().map(|finding| format!("{}=true", finding.field.path))))
        }
        Predicate::HostPath => ("hostPath volumes", volumes(findings).0),
        Predicate::HostPorts => host_ports(findings),
        Predicate::HandlerHosts => handler_hosts(findings),
        Predicate::Privileged => {
            ("privileged", format!("{} must not set securityContext.privileged=true", containers(findings)))
        }
        Predicate::ProcMount => {
            let (who, types) = (containers(findings), values(findings));
            ("procMount", format!("{who} must not set securityContext.procMount to {types}"))
        }
        Predicate::SeLinux { .. } => selinux(findings),
        Predicate::SeccompAnnotations => {
            let annotations = annotations(findings);
            let word = plural("annotation", "annotations", annotations.len());
            ("seccompProfile", format!("forbidden {word} {}", join(annotations)))
        }
        Predicate::Seccomp { .. } => seccomp(findings),
        Predicate::Sysctls { .. } => ("forbidden sysctls", join(findings.iter().map(Finding::value_text))),
        Predicate::WindowsHostProcess => {
            let who = setters(findings);
            ("hostProcess", format!("{who} must not set securityContext.windowsOptions.hostProcess=true"))
        }
        Predicate::PrivilegeEscalation => {
            let who = containers(findings);
            let detail = format!("{who} must set securityContext.allowPrivilegeEscalation=false");
            ("allowPrivilegeEscalation != false", detail)
        }
        Predicate::VolumeTypes => volume_types(findings),
        Predicate::NonRoot => non_root(findings),
        Predicate::RootUser => ("runAsUser=0", format!("{} must not set runAsUser=0", setters(findings))),
    }
}

fn apparmor(findings: &[Finding<'_>]) -> (&'static str, String) {
    let (annotated, set): (Vec<Finding<'_>>, Vec<Finding<'_>>) =
        findings.iter().partition(|finding| matches!(finding.holder, Holder::Annotation { .. }));
    let mut forbidden: Vec<String> = sorted(&set).into_iter().map(Cow::into_owned).collect();
    let annotations = annotations(&annotated);
    let mut who = setters(&set);
    if !annotations.is_empty() {
        let separator = if who.is_empty() { "" } else { " and " };
        who = format!("{who}{separator}{}", plural("annotation", "annotations", annotations.len()));
        forbidden.extend(annotations);
    }
    let reason = plural("forbidden AppArmor profile", "forbidden AppArmor profiles", forbidden.len());
    (reason, format!("{who} must not set AppArmor profile type to {}", join_quoted(&forbidden)))
}

fn capabilities(drop_all: bool, findings: &[Finding<'_>]) -> (&'static str, String) {
    let (dropping, adding): (Vec<Finding<'_>>, Vec<Finding<'_>>) =
        findings.iter().partition(|finding| finding.field == &fields::CAPABILITIES_DROP);
    let mut details = Vec::with_capacity(2);
    if !dropping.is_empty() {
        details
            .push(format!(r#"{} must set securityContext.capabilities.drop=["ALL"]"#, containers(&dropping)));
    }
    if !adding.is_empty() {
        let (who, names) = (containers(&adding), values(&adding));
        details.push(format!("{who} must not include {names} in securityContext.capabilities.add"));
    }
    let reason = if drop_all { "unrestricted capabilities" } else { "non-default capabilities" };
    (reason, details.join("; "))
}

fn host_ports(findings: &[Finding<'_>]) -> (&'static str, String) {
    let ports = sorted(findings);
    let names = container_names(findings);
    let word = plural("hostPort", "hostPorts", ports.len());
    let uses = plural("uses", "use", names.len());
    ("hostPort", format!("{} {uses} {word} {}", containers(findings), join(ports)))
}

fn handler_hosts(findings: &[Finding<'_>]) -> (&'static str, String) {
    let hosts = sorted(findings);
    // Here alone upstream collects the containers' names in a set.
    let names: Vec<&str> =
        container_names(findings).into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let container = plural("container", "containers", names.len());
    let uses = plural("uses", "use", names.len());
    let word = plural("probe or lifecycle host", "probe or lifecycle hosts", hosts.len());
    let (names, hosts) = (join_quoted(&names), join_quoted(&hosts));
    ("probe or lifecycle host", format!("{container} {names} {uses} {word} {hosts}"))
}

fn selinux(findings: &[Finding<'_>]) -> (&'static str, String) {
    let named = |path: &str| findings.iter().any(|finding| finding.field.path.ends_with(path));
    let types: Vec<Finding<'_>> =
        findings.iter().filter(|finding| finding.field.path.ends_with(".type")).copied().collect();
    let mut data = Vec::with_capacity(3);
    if !types.is_empty() {
        let values = sorted(&types);
        data.push(format!("{} {}", plural("type", "types", values.len()), join_quoted(&values)));
    }
    if named(".user") {
        data.push("user may not be set".to_owned());
    }
    if named(".role") {
        data.push("role may not be set".to_owned());
    }
    let who = setters(findings);
    ("seLinuxOptions", format!("{who} set forbidden securityContext.seLinuxOptions: {}", data.join("; ")))
}

fn seccomp(findings: &[Finding<'_>]) -> (&'static str, String) {
    let explicit = explicit(findings);
    let detail = if explicit.is_empty() {
        let who = containers(findings);
        format!(
            r#"pod or {who} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost""#
        )
    } else {
        let (who, types) = (setters(&explicit), values(&explicit));
        format!("{who} must not set securityContext.seccompProfile.type to {types}")
    };
    ("seccompProfile", detail)
}

fn non_root(findings: &[Finding<'_>]) -> (&'static str, String) {
    let explicit = explicit(findings);
    let detail = if explicit.is_empty() {
        format!("pod or {} must set securityContext.runAsNonRoot=true", containers(findings))
    } else {
        format!("{} must not set securityContext.runAsNonRoot=false", setters(&explicit))
    };
    ("runAsNonRoot != true", detail)
}

/// Upstream speaks of missing settings only where no setting is wrong.
pub(super) fn explicit<'a>(findings: &[Finding<'a>]) -> Vec<Finding<'a>> {
    findings.iter().filter(|finding| finding.value.is_some()).copied().collect()
}

fn volume_types(findings: &[Finding<'_>]) -> (&'static str, String) {
    let types: BTreeSet<&str> = findings
        .iter()
        .map(|finding| if finding.field.path.is_empty() { "unknown" } else { finding.field.path })
        .collect();
    let types: Vec<&str> = types.into_iter().collect();
    let (volumes, count) = volumes(findings);
    let uses = plural("uses", "use", count);
    let word = plural("restricted volume type", "restricted volume types", types.len());
    ("restricted volume types", format!("{volumes} {uses} {word} {}", join_quoted(&types)))
}

fn volumes(findings: &[Finding<'_>]) -> (String, usize) {
    let names: Vec<&str> = findings
        .iter()
        .filter_map(|finding| match finding.holder {
            Holder::Volume { name, .. } => Some(name),
            _ => None,
        })
        .collect();
    (format!("{} {}", plural("volume", "volumes", names.len()), join_quoted(&names)), names.len())
}

/// `pod and containers "a", "b"`: whoever set something.
fn setters(findings: &[Finding<'_>]) -> String {
    let pod = findings.iter().any(|finding| matches!(finding.holder, Holder::Pod));
    match (pod, findings.iter().any(|finding| matches!(finding.holder, Holder::Container(_)))) {
        (true, true) => format!("pod and {}", containers(findings)),
        (true, false) => "pod".to_owned(),
        (false, true) => containers(findings),
        (false, false) => String::new(),
    }
}

/// `container "a"` or `containers "a", "b"`.
fn containers(findings: &[Finding<'_>]) -> String {
    let names = container_names(findings);
    format!("{} {}", plural("container", "containers", names.len()), join_quoted(&names))
}

/// The name of each container once, however many of its values are wrong; two containers of one name give it twice.
fn container_names<'a>(findings: &[Finding<'a>]) -> Vec<&'a str> {
    let mut seen = Vec::new();
    for finding in findings {
        if let Holder::Container(container) = finding.holder
            && !seen.last().is_some_and(|last| container.same(last))
        {
            seen.push(container);
        }
    }
    seen.into_iter().map(|container| container.name).collect()
}

fn annotations(findings: &[Finding<'_>]) -> Vec<String> {
    let mut annotations: Vec<String> = findings
        .iter()
        .filter_map(|finding| match finding.holder {
            Holder::Annotation { key, .. } => Some(format!("{key}={}", quote(&finding.value_text()))),
            _ => None,
        })
        .collect();
    annotations.sort_unstable();
    annotations
}

fn values(findings: &[Finding<'_>]) -> String {
    join_quoted(&sorted(findings))
}

fn sorted<'a>(findings: &[Finding<'a>]) -> Vec<Cow<'a, str>> {
    let values: BTreeSet<Cow<'a, str>> = findings.iter().map(Finding::value_text).collect();
    values.into_iter().collect()
}

fn join(items: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let mut text = String::new();
    for item in items {
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(item.as_ref());
    }
    text
}

fn join_quoted(items: &[impl AsRef<str>]) -> String {
    let mut text = String::new();
    for (index, item) in items.iter().enumerate() {
        text.push_str(if index == 0 { "\"" } else { ", \"" });
        text.push_str(item.as_ref());
        text.push('"');
    }
    text
}

fn plural(one: &'static str, many: &'static str, count: usize) -> &'static str {
    if count == 1 { one } else { many }
}
