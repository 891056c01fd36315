//! Every way to let the mesh's init container pass (docs/cookbook.md): each takes exactly that container, and what each
//! takes besides is written down here.

use anyhow::{Context, Result, ensure};
use hyper::Method;
use meshward_e2e::ask::send;
use meshward_e2e::controller::EXCEPTIONS;
use meshward_e2e::{Bed, Case, Namespace, case, until};
use serde_json::{Value, json};

use super::{LEARNED, UNSWAPPED, example, plain, refuses, takes, unique};

pub(super) const CASES: &[Case] = &[
    case!("exempted by a foreach policy: the mesh's init container, and no near miss", Controller, foreach),
    case!(
        "exempted by podSecurity and image: the mesh's init container, and what that is known to take",
        Controller,
        image
    ),
    case!(
        "exempted by podSecurity, field and values: the mesh's init container, and what that is known to take",
        Controller,
        values
    ),
    case!(
        "exempted by a PolicyException: the mesh's init container, and what that is known to take",
        Controller,
        exception
    ),
    case!(
        "exempted by a ClusterExemption: the mesh's init container, and no near miss",
        Controller,
        exemption
    ),
    case!("exempted by a MeshPreset: the mesh's init container, and no near miss", Controller, preset),
    case!("an exemption that is over exempts nothing", Controller, expired),
    case!("two exemptions do not combine into a third", Controller, combined),
    case!("a PolicyException from a namespace that may grant none is refused", Controller, ungranted),
];

/// What the wide styles let through besides, as the cookbook says.
const BY_IMAGE: &[&str] =
    &["in-containers", "one-capability-more", "native-sidecar", "other-name", "other-command", "ephemeral"];
const BY_VALUES: &[&str] = &["native-sidecar", "other-name", "other-command"];
const ENFORCED: (&str, &str) = ("meshward.dev/enforce", "baseline");

async fn foreach(bed: &Bed) -> Result<()> {
    kyverno(bed, "foreach", &["foreach.yaml"], &[], false).await
}

async fn image(bed: &Bed) -> Result<()> {
    kyverno(bed, "image", &["exclude-image.yaml"], BY_IMAGE, true).await
}

async fn values(bed: &Bed) -> Result<()> {
    kyverno(bed, "values", &["exclude-values.yaml"], BY_VALUES, true).await
}

async fn exception(bed: &Bed) -> Result<()> {
    kyverno(bed, "exception", &["baseline.yaml", "exception.yaml"], BY_VALUES, true).await
}

async fn exemption(bed: &Bed) -> Result<()> {
    ours(bed, "exemption", "exemption.yaml").await
}

async fn preset(bed: &Bed) -> Result<()> {
    ours(bed, "preset", "preset.yaml").await
}

/// `whole`: level baseline as a whole is in force, not the control Capabilities alone.
async fn kyverno(bed: &Bed, name: &str, files: &[&str], also: &[&str], whole: bool) -> Result<()> {
    let shop = bed.namespace(name, &[UNSWAPPED]).await?;
    for file in files {
        for object in example(file)? {
            grant(bed, &for_namespace(object, &shop), "").await?;
        }
    }
    judged(bed, &shop, also, whole).await
}

async fn ours(bed: &Bed, name: &str, file: &str) -> Result<()> {
    let shop = bed.namespace(name, &[UNSWAPPED, ENFORCED]).await?;
    for object in example(file)? {
        grant(bed, &for_namespace(object, &shop), "").await?;
    }
    judged(bed, &shop, &[], true).await
}

/// Creates it where it may be.
async fn grant(bed: &Bed, object: &Value, namespace: &str) -> Result<()> {
    let is_exception = object["kind"] == "PolicyException";
    if is_exception {
        let namespaces = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {
            "name": EXCEPTIONS,
            "labels": {meshward_e2e::namespace::OF_RUN: &*bed.cluster().run},
        }});
        // It is there already when another case was first, and goes when the next run begins.
        bed.controller().create(&namespaces, "").await?;
    }
    bed.put(object, if is_exception { EXCEPTIONS } else { namespace })
        .await
        .with_context(|| object.to_string())
}

/// An example, about this namespace alone and under a name of its own.
fn for_namespace(mut object: Value, shop: &Namespace) -> Value {
    let renamed = |name: &Value| unique(shop, name.as_str().unwrap_or_default());
    object["metadata"]["name"] = renamed(&object["metadata"]["name"]).into();
    if object["kind"] == "PolicyException" {
        object["metadata"]["namespace"] = EXCEPTIONS.into();
    }
    let namespaces = json!([shop.name()]);
    if object["spec"]["subjects"].is_object() {
        object["spec"]["subjects"]["namespaces"] = namespaces.clone();
    }
    if object["kind"] == "PolicyException" {
        object["spec"]["match"]["any"][0]["resources"]["namespaces"] = namespaces.clone();
    }
    for rule in object.pointer_mut("/spec/rules").and_then(Value::as_array_mut).into_iter().flatten() {
        rule["match"]["any"][0]["resources"]["namespaces"] = namespaces.clone();
    }
    for one in object.pointer_mut("/spec/exceptions").and_then(Value::as_array_mut).into_iter().flatten() {
        one["policyName"] = renamed(&one["policyName"]).into();
    }
    object
}

/// Sends every pod of the mesh, and every pod that is nearly one.
async fn judged(bed: &Bed, shop: &Namespace, also: &[&str], whole: bool) -> Result<()> {
    let control = bed.controller();
    let near: Vec<Value> = ["near-istio.yaml", "near-linkerd.yaml"]
        .iter()
        .map(|file| example(&format!("pods/{file}")))
        .collect::<Result<Vec<_>>>()?
        .concat();
    let first = near.iter().find(|pod| pod["metadata"]["name"] == "other-image").context("no such pod")?;
    refuses(bed, shop, &at(first, shop), "").await.context("nothing is in force")?;
    let mesh = example("pods/mesh.yaml")?;
    for pod in &mesh {
        takes(bed, shop, &at(pod, shop)).await?;
    }
    for pod in &near {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default();
        let reply = control.try_create(&at(pod, shop), shop.name()).await?;
        let wanted = also.contains(&name);
        ensure!(reply.is_taken() == wanted, "near miss {name}: {}", verdict(&reply));
    }
    if whole {
        // The mesh's own container with another field that is forbidden as well.
        let mut privileged = at(&mesh[0], shop);
        privileged["spec"]["initContainers"][0]["securityContext"]["privileged"] = json!(true);
        control.try_create(&privileged, shop.name()).await?.refused(&["privileged"])?;
    }
    ephemeral(bed, shop, &mesh[0], also.contains(&"ephemeral")).await?;
    elsewhere(bed, shop, &mesh[0], whole).await
}

fn at(pod: &Value, shop: &Namespace) -> Value {
    let mut pod = pod.clone();
    pod["metadata"]["namespace"] = shop.name().into();
    pod
}

fn verdict(reply: &meshward_e2e::Reply) -> String {
    if reply.is_taken() { "taken".into() } else { format!("refused: {}", reply.message()) }
}

/// The mesh's container, as somebody would add it to a pod that runs.
async fn ephemeral(bed: &Bed, shop: &Namespace, mesh: &Value, wanted: bool) -> Result<()> {
    let control = bed.controller();
    control.create(&plain("runs"), shop.name()).await?.taken()?;
    let mut container = mesh["spec"]["initContainers"][0].clone();
    container["targetContainerName"] = "web".into();
    let path = format!("/api/v1/namespaces/{}/pods/runs/ephemeralcontainers?dryRun=All", shop.name());
    // The scheduler writes into the pod as well.
    let reply = until("an answer that is about the container", LEARNED, async || {
        let mut pod = control.get(&plain("runs"), shop.name()).await?;
        pod["spec"]["ephemeralContainers"] = json!([container]);
        let reply = send(bed.cluster(), Method::PUT, &path, &pod).await?;
        ensure!(!reply.message().contains("the object has been modified"), "{}", reply.message());
        Ok(reply)
    })
    .await?;
    ensure!(reply.is_taken() == wanted, "as an ephemeral container: {}", verdict(&reply));
    Ok(())
}

/// A namespace that the exemption is not about, and whatever else is in force is.
async fn elsewhere(bed: &Bed, shop: &Namespace, mesh: &Value, whole: bool) -> Result<()> {
    if !whole {
        return Ok(());
    }
    let other = bed.namespace("elsewhere", &[UNSWAPPED, ENFORCED]).await?;
    refuses(bed, &other, &at(mesh, &other), "NET_ADMIN")
        .await
        .with_context(|| format!("beside {}", shop.name()))
}

async fn expired(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("expired", &[UNSWAPPED, ENFORCED]).await?;
    let mut object = example("expired.yaml")?.remove(0);
    object["metadata"]["namespace"] = shop.name().into();
    let mesh = at(&example("pods/mesh.yaml")?[0], &shop);
    let reply = bed.controller().create(&object, shop.name()).await?;
    ensure!(reply.is_taken(), "an exemption of the past is refused: {}", reply.message());
    refuses(bed, &shop, &mesh, "NET_ADMIN").await?;
    // The same without an end is what would let it pass: it is the end that keeps it from doing so.
    object["metadata"]["name"] = "without-end".into();
    object["spec"].as_object_mut().context("a spec")?.remove("expires");
    bed.controller().create(&object, shop.name()).await?.taken()?;
    takes(bed, &shop, &mesh).await
}

/// One is about a name, the other about an image; a container with the name of the one and the image of the other is
/// neither's. The same for two that allow one capability each.
async fn combined(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("combined", &[UNSWAPPED, ENFORCED]).await?;
    let allow = |values: Value| {
        json!([{
            "control": "Capabilities",
            "field": "spec.initContainers[*].securityContext.capabilities.add",
            "values": values,
        }])
    };
    let one = |name: &str, container: &str, image: &str, values: Value| {
        json!({
            "apiVersion": "meshward.dev/v1alpha1",
            "kind": "Exemption",
            "metadata": {"name": name},
            "spec": {
                "reason": "one half",
                "entries": [{
                    "containers": {"names": [container], "kinds": ["init"], "images": [image]},
                    "allow": allow(values),
                }],
            },
        })
    };
    let both = json!(["NET_ADMIN", "NET_RAW"]);
    for object in [
        one("first", "istio-init", "docker.io/istio/proxyv2:*", both.clone()),
        one("second", "tool", "docker.io/library/busybox:*", both.clone()),
    ] {
        bed.controller().create(&object, shop.name()).await?.taken()?;
    }
    let pod = |container: &str, image: &str, add: &Value| {
        let mut pod = plain(container);
        pod["spec"]["initContainers"] = json!([{
            "name": container, "image": image,
            "securityContext": {"capabilities": {"add": add}},
        }]);
        pod
    };
    takes(bed, &shop, &pod("istio-init", "docker.io/istio/proxyv2:1.28.0", &both)).await?;
    takes(bed, &shop, &pod("tool", "docker.io/library/busybox:1.37", &both)).await?;
    let control = bed.controller();
    for (container, image) in
        [("istio-init", "docker.io/library/busybox:1.37"), ("tool", "docker.io/istio/proxyv2:1.28.0")]
    {
        let crossed = control.try_create(&pod(container, image, &both), shop.name()).await?;
        crossed.refused(&["NET_ADMIN"]).with_context(|| format!("{container} of {image}"))?;
    }
    Ok(())
}

/// Whoever may write PolicyExceptions in a namespace of their own must not get rid of the cluster's policies.
async fn ungranted(bed: &Bed) -> Result<()> {
    let shop = bed.namespace("ungranted", &[UNSWAPPED]).await?;
    let policy = for_namespace(example("baseline.yaml")?.remove(0), &shop);
    grant(bed, &policy, "").await?;
    let mesh = at(&example("pods/mesh.yaml")?[0], &shop);
    refuses(bed, &shop, &mesh, "").await?;
    let mut exception = for_namespace(example("exception.yaml")?.remove(0), &shop);
    exception["metadata"]["namespace"] = shop.name().into();
    let refused = meshward_e2e::until("a refusal", LEARNED, async || {
        bed.controller().try_create(&exception, shop.name()).await?.refused(&[EXCEPTIONS])
    });
    refused.await.context("the exception itself")?;
    bed.controller().try_create(&mesh, shop.name()).await?.refused(&[]).map(|_| ())
}
