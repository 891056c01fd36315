//! The predicates of the table: each walks one aspect of a pod and gives a finding for every offending value. A value
//! of the wrong type counts as offending wherever one is looked for: the API server would not admit such an object, so
//! letting it pass could only hide a mistake.

mod container;
mod pod;
mod volume;

use serde_json::Value;

use super::{Field, Finding, Holder, Pod, Predicate, Relaxation, Revision, container::Container, pod::text};

/// What a revision finds in a pod, in upstream's order: pod, containers, annotations.
pub(super) fn run<'a>(revision: &Revision, pod: &Pod<'a>) -> Vec<Finding<'a>> {
    if revision.relaxation.is_some_and(|relaxation| relaxes(relaxation, pod)) {
        return Vec::new();
    }
    let mut found = Found { base: pod.base, findings: Vec::new() };
    match revision.predicate {
        Predicate::AppArmor => pod::apparmor(pod, &mut found),
        Predicate::Capabilities { addable, drop_all } => {
            container::capabilities(pod, addable, drop_all, &mut found);
        }
        Predicate::HostNamespaces => pod::host_namespaces(pod, &mut found),
        Predicate::HostPath => volume::host_paths(pod, &mut found),
        Predicate::HostPorts => container::host_ports(pod, &mut found),
        Predicate::HandlerHosts => container::handler_hosts(pod, &mut found),
        Predicate::Privileged => container::privileged(pod, &mut found),
        Predicate::ProcMount => container::proc_mount(pod, &mut found),
        Predicate::SeLinux { types } => pod::selinux(pod, types, &mut found),
        Predicate::SeccompAnnotations => pod::seccomp_annotations(pod, &mut found),
        Predicate::Seccomp { required } => pod::seccomp(pod, required, &mut found),
        Predicate::Sysctls { allowed } => pod::sysctls(pod, allowed, &mut found),
        Predicate::WindowsHostProcess => pod::windows_host_process(pod, &mut found),
        Predicate::PrivilegeEscalation => container::escalation(pod, &mut found),
        Predicate::VolumeTypes => volume::volume_types(pod, &mut found),
        Predicate::NonRoot => pod::non_root(pod, &mut found),
        Predicate::RootUser => pod::root_user(pod, &mut found),
    }
    found.findings
}

fn relaxes(relaxation: Relaxation, pod: &Pod<'_>) -> bool {
    let spec = pod.spec;
    match relaxation {
        Relaxation::Windows => text(super::pod::object(spec, "os"), "name") == "windows",
        Relaxation::UserNamespace => super::pod::member(spec, "hostUsers") == Some(&Value::Bool(false)),
    }
}

struct Found<'a> {
    base: &'static str,
    findings: Vec<Finding<'a>>,
}

impl<'a> Found<'a> {
    fn pod(&mut self, field: &'static Field, value: Option<&'a Value>) {
        self.push(field, Holder::Pod, None, value);
    }

    fn container(&mut self, field: &'static Field, container: Container<'a>, value: Option<&'a Value>) {
        self.push(field, Holder::Container(container), None, value);
    }

    fn push(
        &mut self,
        field: &'static Field,
        holder: Holder<'a>,
        index: Option<usize>,
        value: Option<&'a Value>,
    ) {
        self.findings.push(Finding { field, holder, index, value, base: self.base });
    }
}

/// Whether a set value is anything but the one boolean that is fine.
fn is_not(value: &Value, fine: bool) -> bool {
    value != &Value::Bool(fine)
}
