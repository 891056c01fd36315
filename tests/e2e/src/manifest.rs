//! What a case puts into the cluster: objects as JSON, read from YAML as kubectl reads it, and edited by what a test
//! wants to say rather than by path.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use meshward_manifest::{Documents, Options, to_yaml};
use serde_json::{Value, json};

/// The workload's image: `tests/e2e/app`.
pub const APP: &str = "meshward.test/app:1";
/// A real Envoy, where the run has one.
pub const ENVOY: &str = "meshward.test/envoy:1";

/// One or more objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    objects: Vec<Value>,
}

impl Manifest {
    /// Reads YAML or JSON of one or more documents.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn parse(text: &str) -> Result<Self> {
        let objects = Documents::new(text.as_bytes(), Options::default())
            .map(|document| Ok(document.context("cannot read a manifest")?.value))
            .filter(|value| !matches!(value, Ok(Value::Null)))
            .collect::<Result<_>>()?;
        Ok(Self { objects })
    }

    /// Reads a file of `examples/pods`.
    ///
    /// # Errors
    /// It is not there or cannot be read.
    pub fn example(name: &str) -> Result<Self> {
        let path = workspace().join("examples/pods").join(name);
        let text =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text)
    }

    /// Its objects.
    pub fn objects(&self) -> &[Value] {
        &self.objects
    }

    /// As text again.
    pub fn to_yaml(&self) -> String {
        self.objects.iter().map(to_yaml).collect::<Vec<_>>().join("---\n")
    }

    /// The same with other names, for several of a kind in one namespace.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        for object in &mut self.objects {
            object["metadata"]["name"] = name.into();
        }
        self
    }

    /// With an annotation on the pod, or on the pods of a workload's template.
    #[must_use]
    pub fn annotated(mut self, key: &str, value: &str) -> Self {
        for template in self.templates() {
            template["metadata"]["annotations"][key] = value.into();
        }
        self
    }

    /// With the tests' own image for the containers called `container`, under *restricted*, and gone without delay when
    /// the pod is deleted.
    ///
    /// # Errors
    /// No such container.
    pub fn workload(self, container: &str, arguments: &[&str]) -> Result<Self> {
        self.container(container, APP, |one| one["args"] = json!(arguments))
    }

    /// With another program as the mesh's proxy. Its arguments stay as the injector wrote them, since they say what the
    /// container is; the program gets them behind `--`.
    ///
    /// # Errors
    /// No such container.
    pub fn proxy(self, container: &str, image: &str, command: &[&str]) -> Result<Self> {
        let command: Vec<&str> = command.iter().copied().chain(["--"]).collect();
        self.container(container, image, |one| one["command"] = json!(command))
    }

    fn container(mut self, container: &str, image: &str, edit: impl Fn(&mut Value)) -> Result<Self> {
        let mut found = false;
        for template in self.templates() {
            template["spec"]["terminationGracePeriodSeconds"] = 0.into();
            for one in containers(template).filter(|one| one["name"] == container) {
                found = true;
                one["image"] = image.into();
                one["imagePullPolicy"] = "IfNotPresent".into();
                edit(one);
                harden(one);
            }
        }
        if !found {
            bail!("no container {container} to set the image of");
        }
        Ok(self)
    }

    /// Ready when the workload answers at `port`, as a pod's author would ask.
    ///
    /// # Errors
    /// No such container.
    pub fn probed(mut self, container: &str, port: u16) -> Result<Self> {
        let mut found = false;
        for template in self.templates() {
            for one in containers(template).filter(|one| one["name"] == container) {
                found = true;
                one["readinessProbe"] = json!({"httpGet": {"path": "/", "port": port}, "periodSeconds": 1});
            }
        }
        if found { Ok(self) } else { bail!("no container {container} to probe") }
    }

    /// Changes each object by hand.
    #[must_use]
    pub fn with(mut self, edit: impl Fn(&mut Value)) -> Self {
        self.objects.iter_mut().for_each(edit);
        self
    }

    /// The pods and pod templates.
    fn templates(&mut self) -> impl Iterator<Item = &mut Value> {
        self.objects.iter_mut().filter_map(|object| match object["kind"].as_str() {
            Some("Pod") => Some(object),
            Some("Deployment" | "DaemonSet" | "StatefulSet" | "Job" | "ReplicaSet") => {
                object.pointer_mut("/spec/template")
            }
            _ => None,
        })
    }
}

/// The workspace.
pub fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn containers(template: &mut Value) -> impl Iterator<Item = &mut Value> {
    let spec = template.get_mut("spec").and_then(Value::as_object_mut);
    spec.into_iter()
        .flat_map(|spec| spec.iter_mut())
        .filter(|(field, _)| *field == "containers" || *field == "initContainers")
        .filter_map(|(_, list)| list.as_array_mut())
        .flatten()
}

/// What *restricted* asks of a container, where its author has said nothing.
fn harden(container: &mut Value) {
    let context = &mut container["securityContext"];
    let wanted = [
        ("allowPrivilegeEscalation", json!(false)),
        ("capabilities", json!({"drop": ["ALL"]})),
        ("runAsNonRoot", json!(true)),
        ("seccompProfile", json!({"type": "RuntimeDefault"})),
    ];
    for (field, value) in wanted {
        if context[field].is_null() {
            context[field] = value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_can_be_given_images_of_ours() {
        let pod = Manifest::example("istio.yaml").unwrap();
        let pod = pod.workload("web", &["serve"]).unwrap().annotated("a", "b").named("x");
        let object = &pod.objects()[0];
        assert_eq!(object["spec"]["containers"][0]["image"], APP);
        assert_eq!(object["metadata"]["annotations"]["a"], "b");
        assert_eq!(object["metadata"]["name"], "x");
        assert_eq!(Manifest::parse(&pod.to_yaml()).unwrap(), pod);
        assert!(pod.workload("nobody", &[]).is_err());
    }
}
