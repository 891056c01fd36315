//! From the moment a privileged attacker has deleted a rule to the moment the agent's transaction has put it back, seen by
//! a listener in the pod's network.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use meshward_benches::progress::progress;
use meshward_benches::report::Section;
use meshward_benches::series::Series;
use meshward_redirect::netns::NetNs;
use meshward_redirect::nft::{self, Event, NfSocket, Watch};
use meshward_redirect::ruleset::Action;
use meshward_redirect::{Mesh, RuleSet};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::bench::{Bench, injected};

/// How long a repair is waited for.
const PATIENCE: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };
/// Between two attacks: the agent puts 20 changes a second right at once, and then waits.
const CALM: Duration = Duration::from_millis(100);

pub(super) async fn measure(bench: &Bench) -> Result<Vec<Section>> {
    // A locked table nobody else can change.
    bench.agent.install(&["config.lock=off"]).await?;
    let repaired = attacked(bench).await;
    bench.agent.install(&[]).await?;
    let rows = [("meshward".to_string(), repaired?)];
    let note = "from the attacker's acknowledgement to the agent's transaction that puts the rule back, as a listener in \
                the pod's network sees it; the table is not locked, and the pod is read back after the last attack";
    let section = Section::new("Repair of a deleted rule in a running pod", note, "ms", &rows);
    Ok(vec![section.at_most(10.0, "within 10 ms")])
}

async fn attacked(bench: &Bench) -> Result<Series> {
    let shop = bench.bed.restricted("repair").await?;
    let (pod, uid) = bench.start(&shop, &bench.bed.swapped(&injected()?).await?).await?;
    pod.in_force().await?;
    let (rules, netns) = (pod.wanted().await?, bench.sentinel.passage(&uid)?.netns);
    let attacks = bench.scale.attacks;
    let times = tokio::task::spawn_blocking(move || attack(netns, &rules, attacks)).await??;
    pod.in_force().await?;
    Ok(times)
}

fn attack(netns: PathBuf, rules: &RuleSet, attacks: usize) -> Result<Series> {
    let namespace = NetNs::open(netns)?;
    let (socket, watch) = namespace.run(|| (NfSocket::open(), Watch::open(rules.mesh)))?;
    let (socket, mut watch) = (socket?, watch?);
    let rule = redirecting(rules)?;
    let mut times = Series::default();
    for number in 0..=attacks {
        progress("attacks", number, attacks);
        std::thread::sleep(CALM);
        let time = once(&socket, &mut watch, rules.mesh, &rule)?;
        if number > 0 {
            times.push(time);
        }
    }
    Ok(times)
}

/// Name of the first rule that sends connections to the proxy.
fn redirecting(rules: &RuleSet) -> Result<String> {
    let all = rules.tables.iter().flat_map(|table| &table.chains).flat_map(|chain| &chain.rules);
    let found = all.into_iter().find(|rule| matches!(rule.action, Action::Redirect(_)));
    Ok(found.context("no rule redirects anything")?.name.to_string())
}

fn once(socket: &NfSocket, watch: &mut Watch, mesh: Mesh, rule: &str) -> Result<Duration> {
    while watch.next_event()?.is_some() {}
    if !nft::delete_rule(socket, mesh, rule)? {
        bail!("there is no rule {rule}: the last attack was not repaired");
    }
    let deleted = Instant::now();
    let own = socket.port()?;
    loop {
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&*watch, PollFlags::IN)], Some(&PATIENCE)))?;
        let heard = Instant::now();
        match watch.next_event()? {
            None if heard.duration_since(deleted) > Duration::from_secs(4) => bail!("nobody repaired it"),
            None => {}
            Some(Event::Change { ours: true, port, .. }) if port != own => {
                return Ok(heard.duration_since(deleted));
            }
            Some(_) => {}
        }
    }
}
