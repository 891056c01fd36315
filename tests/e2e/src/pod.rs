//! A pod: what its author, the kubelet and the kernel say about it, and what it answers.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::core::v1;
use kube::Api;
use kube::api::{DeleteParams, ListParams, LogParams, Patch, PatchParams};
use kube::runtime::wait::{await_condition, conditions};
use meshward_mesh::{CONDITION, PodRecord, Wanted, plan, pods};
use meshward_redirect::dialect::{Surroundings, build};
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{self, NfSocket};
use meshward_redirect::program::{Options, check};
use meshward_redirect::rtnl::RouteSocket;
use meshward_redirect::{Mesh, RuleSet};
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::agent::Agent;
use crate::cluster::Cluster;
use crate::diagnosis;
use crate::http::{self, Answer};
use crate::until::until;

/// A pod of a case.
#[derive(Clone)]
pub struct Pod {
    cluster: Cluster,
    namespace: String,
    name: String,
}

impl Pod {
    pub(crate) fn new(cluster: Cluster, namespace: &str, name: &str) -> Self {
        Self { cluster, namespace: namespace.to_string(), name: name.to_string() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    fn api(&self) -> Api<v1::Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// As the API server has it.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn object(&self) -> Result<v1::Pod> {
        Ok(self.api().get(&self.name).await?)
    }

    /// Waits until it is Ready.
    ///
    /// # Errors
    /// It is not in time; how it stands.
    pub async fn ready(&self, deadline: Duration) -> Result<()> {
        self.awaits("Ready", deadline, |pod: &v1::Pod| is_true(pod, "Ready")).await
    }

    /// Waits until something holds for it, by watching it.
    ///
    /// # Errors
    /// It does not in time; how it stands.
    pub async fn awaits(
        &self,
        what: &str,
        deadline: Duration,
        holds: impl Fn(&v1::Pod) -> bool,
    ) -> Result<()> {
        let condition = |pod: Option<&v1::Pod>| pod.is_some_and(&holds);
        match timeout(deadline, await_condition(self.api(), &self.name, condition)).await {
            Ok(found) => Ok(found.map(|_| ())?),
            Err(_) => {
                let state = diagnosis::state(&self.object().await?);
                bail!("pod {} is not {what} after {:.1} s: {state}", self.name, deadline.as_secs_f64())
            }
        }
    }

    /// Deletes it and waits until it is gone.
    ///
    /// # Errors
    /// It is not in time.
    pub async fn delete(&self, deadline: Duration) -> Result<()> {
        let uid = self.uid().await?;
        self.api().delete(&self.name, &DeleteParams::default()).await?;
        let gone = await_condition(self.api(), &self.name, conditions::is_deleted(&uid));
        timeout(deadline, gone).await.map_err(|_| anyhow!("pod {} does not go", self.name))??;
        Ok(())
    }

    /// Its uid.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn uid(&self) -> Result<String> {
        self.object().await?.metadata.uid.context("a pod without a uid")
    }

    /// Its addresses, once it has some.
    ///
    /// # Errors
    /// It has none within half a minute.
    pub async fn ip(&self) -> Result<IpAddr> {
        self.awaits("given an address", Duration::from_secs(30), |pod| ip_of(pod).is_some()).await?;
        ip_of(&self.object().await?).context("its address is gone")
    }

    /// What it answers at `port`, called from the node's network.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn get(&self, port: u16, path: &str) -> Result<Answer> {
        http::get(SocketAddr::new(self.ip().await?, port), path).await
    }

    /// What `target` (`HOST:PORT/PATH`) answers when the workload at `port` calls it.
    ///
    /// # Errors
    /// The workload does not answer, or it gets no answer.
    pub async fn call(&self, port: u16, target: &str) -> Result<Answer> {
        let answer = self.get(port, &format!("/call?{target}")).await?;
        if answer.status != 200 {
            bail!("the workload of {} cannot call {target}: {}", self.name, answer.body);
        }
        Answer::parse(&answer.body)
    }

    /// What a container has said; of its former run when `previous`.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn logs(&self, container: &str, previous: bool) -> Result<String> {
        let asked = LogParams { container: Some(container.into()), previous, ..LogParams::default() };
        Ok(self.api().logs(&self.name, &asked).await?)
    }

    /// Its Events as `Reason: message`, the oldest first.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn events(&self) -> Result<Vec<String>> {
        let api: Api<v1::Event> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let about = ListParams::default().fields(&format!("involvedObject.name={}", self.name));
        let mut events = api.list(&about).await?.items;
        events.sort_by_key(|event| event.metadata.creation_timestamp.clone().map(|time| time.0));
        let text = |event: v1::Event| {
            format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default())
        };
        Ok(events.into_iter().map(text).collect())
    }

    /// Waits for an Event that has `part` in it.
    ///
    /// # Errors
    /// None in time; those there are.
    pub async fn event(&self, part: &str, deadline: Duration) -> Result<String> {
        until(&format!("an Event with {part:?}"), deadline, async || {
            let events = self.events().await?;
            let found = events.iter().find(|event| event.contains(part));
            found.cloned().with_context(|| format!("there are only {events:#?}"))
        })
        .await
    }

    /// Sets an annotation; `None` takes it away.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn annotate(&self, key: &str, value: Option<&str>) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": {key: value}}}));
        self.api().patch(&self.name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// An annotation.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn annotation(&self, key: &str) -> Result<Option<String>> {
        Ok(self.object().await?.metadata.annotations.and_then(|mut all| all.remove(key)))
    }

    /// Whether the condition `meshward.dev/Redirected` is true.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn is_redirected(&self) -> Result<bool> {
        Ok(is_true(&self.object().await?, CONDITION))
    }

    /// What the agent says about it.
    ///
    /// # Errors
    /// The agent does not know it.
    pub async fn record(&self) -> Result<PodRecord> {
        let records = Agent::of(&self.cluster).records().await?;
        let found = records.into_iter().find(|one| one.namespace == self.namespace && one.name == self.name);
        found.with_context(|| format!("the agent does not know pod {}/{}", self.namespace, self.name))
    }

    /// Its network namespace, as the container runtime says.
    ///
    /// # Errors
    /// The runtime does not know it, or the node is not ours.
    pub async fn netns(&self) -> Result<NetNs> {
        let rig = self.cluster.rig.as_ref().context("this cluster's node cannot be reached from here")?;
        let sandbox = rig.sandbox(&self.namespace, &self.name).await?;
        Ok(NetNs::open(sandbox.netns)?)
    }

    /// Fails unless the rules that the pod wants are in force in its network namespace, every one of them as meant. Read
    /// from the kernel; the agent is not asked.
    ///
    /// # Errors
    /// What differs.
    pub async fn in_force(&self) -> Result<()> {
        let (rules, namespace) = (self.wanted().await?, self.netns().await?);
        let drift =
            tokio::task::spawn_blocking(move || check(&namespace, &rules, &Options::default())).await??;
        match drift {
            None => Ok(()),
            Some(drift) => bail!("the rules of pod {} are not in force: {drift}", self.name),
        }
    }

    /// Fails when there is a table of ours in its network namespace.
    ///
    /// # Errors
    /// What is there.
    pub async fn untouched(&self) -> Result<()> {
        let namespace = self.netns().await?;
        let found = tokio::task::spawn_blocking(move || tables_of_ours(&namespace)).await??;
        if found.is_empty() {
            Ok(())
        } else {
            bail!("pod {} has rules of ours for {}", self.name, found.join(", "))
        }
    }

    /// The rules it wants, as anybody reads them from its manifest.
    ///
    /// # Errors
    /// It wants none.
    pub async fn wanted(&self) -> Result<RuleSet> {
        let mut object = serde_json::to_value(self.object().await?)?;
        object["kind"] = "Pod".into();
        let namespaces: Api<v1::Namespace> = Api::all(self.cluster.client.clone());
        let namespace: Value = serde_json::to_value(namespaces.get(&self.namespace).await?)?;
        let netns = self.netns().await?;
        let found = pods(&object);
        let pod = found.first().context("no pod in a pod")?;
        let Wanted::Redirect(plan) = plan(pod, Some(&namespace))? else {
            bail!("pod {} wants no rules", self.name);
        };
        let addresses =
            netns.run(|| RouteSocket::open().and_then(|mut socket| socket.global_addresses()))??;
        Ok(build(plan.mesh, &plan.settings, Surroundings::of(&addresses))?.rules)
    }
}

fn tables_of_ours(namespace: &NetNs) -> Result<Vec<&'static str>> {
    let socket = namespace.run(NfSocket::open)??;
    let mut found = Vec::new();
    for mesh in Mesh::ALL {
        if nft::state(&socket, mesh)?.is_some() {
            found.push(mesh.name());
        }
    }
    Ok(found)
}

fn is_true(pod: &v1::Pod, condition: &str) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.into_iter().flatten().any(|one| one.type_ == condition && one.status == "True")
}

fn ip_of(pod: &v1::Pod) -> Option<IpAddr> {
    pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()
}
