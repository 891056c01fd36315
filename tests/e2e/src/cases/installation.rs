//! The agent comes and goes as its chart says.

use std::path::Path;

use anyhow::{Result, ensure};
use meshward_e2e::{Bed, Case, case};

use super::{SOON, pods};

pub(super) const CASES: &[Case] = &[
    case!("the agent is ready, and runs with two capabilities and seccomp", Node, privileges),
    case!(alone "uninstalling leaves rules in force and nothing on the node", Node, uninstall),
];

async fn privileges(bed: &Bed) -> Result<()> {
    let agent = bed.agent();
    ensure!(agent.admin("/readyz").await?.status == 200, "the agent is not ready");
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.pid().await?))?;
    let value =
        |key: &str| status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim).unwrap_or_default();
    // CAP_NET_ADMIN is 12, CAP_SYS_ADMIN 21 (include/uapi/linux/capability.h).
    let two = (1_u64 << 12) | (1 << 21);
    for set in ["CapEff:", "CapPrm:", "CapBnd:"] {
        ensure!(u64::from_str_radix(value(set), 16)? == two, "{set} is {}", value(set));
    }
    ensure!(value("Seccomp:") == "2", "no seccomp filter is on");
    ensure!(value("NoNewPrivs:") == "1", "new privileges can be had");
    Ok(())
}

async fn uninstall(bed: &Bed) -> Result<()> {
    let shop = bed.restricted("leave").await?;
    let pod = shop.pod(&bed.swapped(&pods::istio()?).await?).await?;
    pod.ready(SOON).await?;
    bed.agent().uninstall().await?;
    let left = left_behind();
    let in_force = pod.in_force().await;
    bed.agent().install(&[]).await?;
    ensure!(left.is_empty(), "uninstalling left {left:?}");
    in_force
}

/// Sockets on the node.
fn left_behind() -> Vec<String> {
    let files = std::fs::read_dir(Path::new("/run/meshward")).into_iter().flatten().flatten();
    files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
}
