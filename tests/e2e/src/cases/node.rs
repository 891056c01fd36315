//! A node that is not as it should be: the agent says what is missing, is not ready, does not crash, and no pod starts
//! without its rules.

use anyhow::{Context, Result, bail, ensure};
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1;
use kube::Api;
use kube::api::{Patch, PatchParams};
use meshward_e2e::{Bed, Case, Manifest, Pod, case, until};
use serde_json::{Value, json};

use super::looks::{WAIT, captured, is_held, unrecorded};
use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!(
        "an agent with wrong settings ends with 2, one that can do nothing here with 3",
        Cluster,
        exit_codes
    ),
    case!(alone "without any source of pods the agent is not ready, and pods wait", Node, no_source),
    case!(alone "without its RBAC role the agent is not ready, until it has it again", Node, denied),
    case!(alone "on a kernel without nf_tables the agent is not ready, and says so", Node, no_nf_tables),
    case!(alone "a pod whose table of connections is full waits, says so, and starts when it has room", Node, full_table),
    case!(alone "with a read-only folder for its sockets the agent is not ready, and says so", Node, read_only),
];

async fn exit_codes(bed: &Bed) -> Result<()> {
    let open = bed.namespace("exit", &[]).await?;
    let image = bed.agent().image().await?;
    let ways: [(&str, &[&str], i32, &[&str]); 3] = [
        ("flag", &["--node-name=here", "--log-levl=debug"], 2, &["--log-levl", "--log-level"]),
        (
            "values",
            &["--node-name=here", "--recheck-interval=soon", "--backend=ebpf"],
            2,
            &["recheck-interval", "\"soon\"", "backend", "\"ebpf\"", "accepted"],
        ),
        ("account", &["--node-name=here"], 3, &["service account", "automountServiceAccountToken"]),
    ];
    for (name, arguments, ..) in ways {
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "automountServiceAccountToken": false,
                "restartPolicy": "Never",
                "containers": [{
                    "name": "agent", "image": image, "args": arguments,
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }],
            },
        });
        open.pod(&Manifest::parse(&pod.to_string())?).await?;
    }
    for (name, _, code, words) in ways {
        let pod = open.existing(name);
        pod.awaits("ended", SOON, |pod| ended(pod).is_some()).await?;
        let (found, message) = ended(&pod.object().await?).context("it has not ended")?;
        ensure!(found == code, "{name} ended with {found}, expected {code}: {message}");
        for word in words {
            ensure!(message.contains(word), "{name} does not say {word:?}: {message}");
        }
    }
    Ok(())
}

/// Exit code and last words of a pod's only container.
fn ended(pod: &v1::Pod) -> Option<(i32, String)> {
    let state = pod.status.as_ref()?.container_statuses.as_ref()?.first()?.state.as_ref()?;
    let ended = state.terminated.as_ref()?;
    Some((ended.exit_code, ended.message.clone().unwrap_or_default()))
}

/// Waits until the agent says that it is not ready because of `words`, and fails when it has crashed meanwhile.
async fn says(bed: &Bed, words: &[&str]) -> Result<()> {
    let agent = bed.agent();
    until("the agent to say what is missing", SOON, async || {
        let answer = agent.admin("/readyz").await?;
        let all = words.iter().all(|word| answer.body.contains(word));
        ensure!(answer.status == 503 && all, "it says {answer:?}, expected {words:?}");
        Ok(())
    })
    .await?;
    let pods = agent.pods().await?;
    let restarts: i32 = pods
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref())
        .flatten()
        .map(|container| container.restart_count)
        .sum();
    ensure!(restarts == 0, "the agent was started again {restarts} times");
    Ok(())
}

/// Sees what an agent says that is not as it should be, and that a pod waits for it; puts it right with `mend`, and sees
/// that both are well again.
async fn broken(bed: &Bed, words: &[&str], mend: impl Future<Output = Result<()>>) -> Result<()> {
    let shop = bed.restricted("broken").await?;
    let tried = async {
        says(bed, words).await?;
        // With its options recorded, a pod that NRI tells of would not need the API server.
        let pod = shop.pod(&unrecorded(bed.swapped(&pods::istio()?).await?)).await?;
        pod.awaits("held by its wait container", SOON, is_held).await?;
        Ok(pod)
    };
    let tried: Result<Pod> = tried.await;
    mend.await?;
    bed.agent().ready(SOON).await?;
    let pod = tried?;
    pod.ready(SOON).await?;
    captured(&pod).await
}

async fn no_source(bed: &Bed) -> Result<()> {
    let agent = bed.agent();
    let nowhere = format!("runtime.socket={}/nowhere/containerd.sock", bed.rig()?.state.display());
    agent.apply(&["nri.mode=off", &nowhere]).await?;
    let words =
        ["missing runtime", "NRI: switched off", "no container runtime answers over CRI", "no such file"];
    let mend = Box::pin(async { agent.install(&[]).await.map(|_| ()) });
    broken(bed, &words, mend).await
}

async fn denied(bed: &Bed) -> Result<()> {
    let agent = bed.agent();
    agent.apply(&["rbac.create=false"]).await?;
    // What is open already is not asked about again.
    agent.replace().await?;
    let words = ["missing pods", "denied", "cannot list", "is the RBAC role bound to it?"];
    // Nobody restarts it: the role comes back, and it goes on.
    let mend = Box::pin(async { agent.apply(&[]).await });
    broken(bed, &words, mend).await
}

/// A seccomp filter can be stricter than a kernel can be poor: no socket to nf_tables at all.
async fn no_nf_tables(bed: &Bed) -> Result<()> {
    const PROFILE: &str = "meshward-e2e-no-nf-tables.json";
    // AF_NETLINK and NETLINK_NETFILTER, answered with EPROTONOSUPPORT as by a kernel that lacks it.
    let profile = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{
            "names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 93,
            "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 12, "op": "SCMP_CMP_EQ"}],
        }],
    });
    let folder = bed.rig()?.state.join("kubelet/seccomp");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(PROFILE), profile.to_string())?;
    let agent = bed.agent();
    seccomp(bed, json!({"type": "Localhost", "localhostProfile": PROFILE})).await?;
    let words = ["missing kernel", "no rules can be put in force on this node", "nft", "iptables"];
    let mend = Box::pin(async {
        seccomp(bed, json!({"type": "RuntimeDefault", "localhostProfile": null})).await?;
        agent.ready(SOON).await
    });
    broken(bed, &words, mend).await
}

/// Gives the agent another seccomp profile than its chart does.
async fn seccomp(bed: &Bed, profile: Value) -> Result<()> {
    let sets: Api<DaemonSet> = Api::namespaced(bed.cluster().client.clone(), meshward_e2e::agent::NAMESPACE);
    let patch = json!({"spec": {"template": {"spec": {"securityContext": {"seccompProfile": profile}}}}});
    sets.patch(meshward_e2e::agent::DAEMONSET, &PatchParams::default(), &Patch::Merge(patch)).await?;
    Ok(())
}

async fn read_only(bed: &Bed) -> Result<()> {
    let rig = bed.rig()?;
    let folder = rig.state.join("read-only");
    std::fs::create_dir_all(&folder)?;
    let path = folder.to_str().context("a path that is no text")?;
    rig.here(&["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", path]).await?;
    let agent = bed.agent();
    let applied = agent.apply(&[&format!("runFolder={path}")]).await;
    let words = ["missing run-folder", "cannot listen on", "Read-only file system"];
    let mend = Box::pin(async {
        agent.install(&[]).await?;
        rig.here(&["umount", path]).await.map(|_| ())
    });
    match applied {
        // Pods are programmed all the same: only the list of them cannot be had.
        Ok(()) => {
            let said = says(bed, &words).await;
            mend.await?;
            said
        }
        Err(error) => {
            mend.await?;
            bail!("{error:#}")
        }
    }
}

/// The limit is the node's and each network namespace is counted by itself, so one pod can fill its own table.
async fn full_table(bed: &Bed) -> Result<()> {
    const ROOM: usize = 4096;
    let (shop, agent, rig) = (bed.restricted("full").await?, bed.agent(), bed.rig()?);
    let frozen = agent.freeze().await?;
    let pod = shop.pod(&bed.swapped(&pods::istio()?).await?).await?;
    pod.awaits("held by its wait container", SOON, is_held).await?;
    let netns = rig.sandbox(shop.name(), pod.name()).await?.netns;
    let limit = Limit::set(ROOM)?;
    // Connections are tracked once a rule asks about them.
    let rule = "add table ip e2e; add chain ip e2e c { type filter hook output priority 0; }; \
                add rule ip e2e c ct state invalid drop";
    rig.in_netns(&netns, &["nft", rule]).await?;
    let list = rig.state.join("full-table");
    let entry = |port: usize| {
        format!(
            "-I -p tcp -s 198.51.100.1 -d 198.51.100.2 --sport {port} --dport 80 --state ESTABLISHED -u ASSURED -t 600\n"
        )
    };
    // A few of the pod's own may be there already.
    let entries: String = (1..=ROOM - 64).map(entry).collect();
    std::fs::write(&list, entries)?;
    rig.in_netns(&netns, &["conntrack", "-R", list.to_str().context("a path that is no text")?]).await?;
    let more = (ROOM..ROOM + 64).map(entry);
    for entry in more {
        let words: Vec<&str> = ["conntrack"].into_iter().chain(entry.split_whitespace()).collect();
        // Until there is no room left.
        if rig.in_netns(&netns, &words).await.is_err() {
            break;
        }
    }
    drop(frozen);
    until("the wait container to say why", SOON, async || {
        let said = pod.logs(WAIT, false).await?;
        ensure!(said.contains("the table of tracked connections is full"), "it says {said:?}");
        Ok(())
    })
    .await?;
    ensure!(is_held(&pod.object().await?), "the pod has started without a proof");
    rig.in_netns(&netns, &["conntrack", "-F"]).await?;
    drop(limit);
    pod.ready(SOON).await?;
    captured(&pod).await
}

/// The node's limit of tracked connections in one network namespace.
struct Limit(String);

impl Limit {
    const PATH: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

    fn set(limit: usize) -> Result<Self> {
        let before = std::fs::read_to_string(Self::PATH)?;
        std::fs::write(Self::PATH, limit.to_string())?;
        Ok(Self(before))
    }
}

impl Drop for Limit {
    fn drop(&mut self) {
        // What could be written once can be written again.
        let _ = std::fs::write(Self::PATH, &self.0);
    }
}
