//! `cargo bench-admission`: the webhook's throughput, latency and memory, beside Kyverno's admission controller on the
//! same cluster in the same run. Both run as processes of this machine, on the cores that the load generator and the
//! API server have, too; ratios hold where figures do not.
//!
//! ```text
//! for each set of policies: meshward ─ load at 1, 10, 50, 500 clients ─► stop ─► kyverno ─ load ─► stop ─► ratios
//! ```

mod cluster;
mod contender;
mod figures;
mod load;
mod review;
mod trust;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use hyper::body::Bytes;
use serde_json::Value;

use cluster::{Cluster, apply, clear_policies, kubectl, policies_ready};
use contender::{Contender, Kind};
use figures::Figures;
use load::{Protocol, Target};
use review::Set;

/// Measure the admission webhook on the cluster of KUBECONFIG, whose API server runs on this machine.
#[derive(Parser)]
#[command(name = "cargo bench-admission", max_term_width = 110)]
struct Arguments {
    /// Our controller
    #[arg(long, env = "MESHWARD_CONTROL", value_name = "PROGRAM")]
    control: PathBuf,
    /// Kyverno's admission controller (benches/peers/kyverno/build.sh); without it only our figures are printed
    #[arg(long, env = "MESHWARD_KYVERNO_ADMISSION", value_name = "PROGRAM")]
    kyverno: Option<PathBuf>,
    /// Seconds of each measure
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Half a second each: whether it works, not how fast it is
    #[arg(long)]
    quick: bool,
    /// Only throughput at 50 clients and memory
    #[arg(long)]
    short: bool,
    /// Send the reviews as dry runs, of which nobody writes anything
    #[arg(long)]
    dry_run: bool,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

/// Cheaper than the system's, as threads go: what the load takes, the measured do not have.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SETS: [Set; 3] = [Set::PodSecurity, Set::Eighteen, Set::Fifty];

/// After a start, and after a load.
const SETTLED: Duration = Duration::from_secs(15);

struct Bench {
    arguments: Arguments,
    cluster: Cluster,
    figures: Figures,
    pod: Value,
}

// The load has one thread: it shares the processors with those that are measured, and threads of its own would be in
// each other's way as well.
#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let cluster = Cluster::connect()?;
    contender_definitions()?;
    clear_policies()?;
    let mut bench = Bench { arguments, cluster, figures: Figures::default(), pod: review::pod() };
    eprintln!("a review of {} bytes; load average {}", bench.review(&bench.pod).len(), load_average());
    bench.create("no webhook", "nobody").await?;
    for set in SETS {
        bench.ours(set).await?;
        // Kyverno's own figures are known for the sets that are aimed at.
        if set != Set::Fifty {
            bench.kyverno(set).await?;
        }
    }
    bench.many_policies().await?;
    bench.many_pods().await?;
    bench.aims();
    eprintln!("load average {}", load_average());
    let mut out = std::io::stdout().lock();
    if bench.arguments.json {
        writeln!(out, "{:#}", bench.figures.to_json())?;
    } else {
        write!(out, "{}", bench.figures)?;
    }
    Ok(())
}

/// Kyverno's own and ours, so that both find what they find on a cluster.
fn contender_definitions() -> Result<()> {
    eprintln!("definitions of Kyverno's objects and of ours");
    let brought = Command::new(contender::recipe()).arg("--definitions").status()?;
    ensure!(brought.success(), "{} --definitions ended with {brought}", contender::recipe().display());
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/meshward/definitions/meshward");
    kubectl(&["apply", "--server-side", "-f", &ours.display().to_string()], "").map(|_| ())
}

fn load_average() -> String {
    std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim().to_owned()
}

impl Bench {
    fn time(&self) -> Duration {
        Duration::from_secs_f64(if self.arguments.quick { 0.5 } else { self.arguments.seconds })
    }

    fn review(&self, pod: &Value) -> Bytes {
        review::review(pod, self.arguments.dry_run)
    }

    async fn ours(&mut self, set: Set) -> Result<()> {
        let contender = Contender::meshward(&self.arguments.control, self.cluster.host())?;
        if set == SETS[0] {
            // What its start took is given back a little later.
            tokio::time::sleep(SETTLED).await;
            let name = "memory at rest, no policy";
            self.figures.push(name, contender.kind().name(), &[("MiB", contender.memory()?)]);
        }
        let target = self.in_force(&contender, set).await?;
        let all: &[usize] = if self.arguments.short { &[50] } else { &[1, 10, 50, 500] };
        for protocol in [Protocol::Http2, Protocol::Http1] {
            for clients in all {
                self.load(&contender, &target, set, protocol, *clients).await?;
            }
        }
        self.after(&contender, set).await
    }

    async fn kyverno(&mut self, set: Set) -> Result<()> {
        let Some(program) = self.arguments.kyverno.clone() else { return Ok(()) };
        let contender = Contender::kyverno(&program, self.cluster.host())?;
        let target = self.in_force(&contender, set).await?;
        for clients in [1, 50] {
            self.load(&contender, &target, set, Protocol::Http2, clients).await?;
        }
        self.after(&contender, set).await
    }

    /// Puts the policies there, and waits until they count.
    async fn in_force(&self, contender: &Contender, set: Set) -> Result<Target> {
        let policies = set.policies();
        // Who has just started may not be able to judge policies yet.
        cluster::wait("the policies to be taken", Duration::from_secs(120), || apply(&policies))?;
        policies_ready(policies.len())?;
        // The path is there when the webhook configuration is.
        let mut target = Err(anyhow::anyhow!("not tried"));
        for _ in 0..100 {
            target = contender.target(self.review(&self.pod));
            if target.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let target = target?;
        // A webhook that lets everything through would look fast.
        let mut bad = self.pod.clone();
        bad["spec"]["hostNetwork"] = true.into();
        let refusal = Target { body: self.review(&bad), ..target.clone() }.once().await?;
        ensure!(refusal.contains("\"allowed\":false"), "a bad pod is not refused: {refusal}");
        let answer = target.once().await?;
        ensure!(answer.contains("\"allowed\":true"), "a good pod is refused: {answer}");
        Ok(target)
    }

    async fn load(
        &mut self,
        contender: &Contender,
        target: &Target,
        set: Set,
        protocol: Protocol,
        clients: usize,
    ) -> Result<()> {
        let found = target.load(protocol, clients, self.time()).await?;
        let what = row(set, protocol, clients);
        let values = [("requests/s", found.per_second), ("ms p50", found.p50), ("ms p99", found.p99)];
        self.figures.push(what, contender.kind().name(), &values);
        Ok(())
    }

    /// What is measured at the end of a set: memory, and the API server with the webhook in its way.
    async fn after(&mut self, contender: &Contender, set: Set) -> Result<()> {
        let what = format!("memory after load, {}", set.name());
        tokio::time::sleep(SETTLED).await;
        let values = [("MiB", contender.memory()?), ("MiB at the most", contender.most_memory()?)];
        self.figures.push(what, contender.kind().name(), &values);
        self.create(set.name(), contender.kind().name()).await?;
        clear_policies()
    }

    /// The API server, asked to create an object.
    fn creation(&self, path: &str, object: &Value, wanted: &'static str) -> Result<Target> {
        let tls = trust::tls(Some(self.cluster.identity()?))?;
        let body = Bytes::from(object.to_string());
        Ok(Target { address: self.cluster.server, path: path.into(), tls, body, wanted })
    }

    /// Latency of the API server: pods created one after the other, as dry runs.
    async fn create(&mut self, with: &str, who: &'static str) -> Result<()> {
        let path = "/api/v1/namespaces/default/pods?dryRun=All";
        let target = self.creation(path, &self.pod, "\"measured\"")?;
        let time = self.time().min(Duration::from_secs(3));
        let found = target.load(Protocol::Http2, 1, time).await.context("creating pods")?;
        let values = [("ms p50", found.p50), ("ms p99", found.p99)];
        self.figures.push(format!("API server, one client creates pods: {with}"), who, &values);
        Ok(())
    }

    /// What many policies cost in memory and how long they take to be in force.
    async fn many_policies(&mut self) -> Result<()> {
        let contender = Contender::meshward(&self.arguments.control, self.cluster.host())?;
        let count = if self.arguments.quick { 50 } else { 500 };
        let begin = Instant::now();
        apply(&review::many(count))?;
        policies_ready(count)?;
        let ready = begin.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLED).await;
        let values = [("MiB", contender.memory()?), ("s until ready", ready)];
        self.figures.push(format!("memory, {count} policies"), contender.kind().name(), &values);
        clear_policies()
    }

    /// What many pods cost: all of them judged by 18 policies, and a report of each.
    async fn many_pods(&mut self) -> Result<()> {
        let count = if self.arguments.quick { 500 } else { 10_000 };
        let path = "/api/v1/namespaces/meshward-bench-pods/pods";
        kubectl(&["create", "namespace", "meshward-bench-pods"], "")?;
        kubectl(&["-n", "meshward-bench-pods", "create", "serviceaccount", "default"], "").ok();
        let pod = review::one_of_many(&self.pod);
        self.creation(path, &pod, "\"many-")?.times(count, 20).await.context("creating pods")?;
        apply(&review::scanned(Set::Eighteen))?;
        let begin = Instant::now();
        let contender = Contender::meshward(&self.arguments.control, self.cluster.host())?;
        let what = format!("scan of {count} pods, 18 policies, with their reports");
        cluster::wait(&what, Duration::from_secs(900), || {
            let reports = contender.metric("meshward_reports ")?;
            let waiting = contender.metric("meshward_reports_waiting ")?;
            ensure!(reports >= count as f64 && waiting == 0.0, "{reports} reports, {waiting} wait");
            Ok(())
        })?;
        let took = begin.elapsed().as_secs_f64();
        tokio::time::sleep(SETTLED).await;
        let values =
            [("s", took), ("MiB", contender.memory()?), ("MiB at the most", contender.most_memory()?)];
        self.figures.push(what, contender.kind().name(), &values);
        Ok(())
    }

    fn aims(&mut self) {
        let (ours, theirs) = (Kind::Meshward.name(), Kind::Kyverno.name());
        for (set, factor) in [(Set::Eighteen, 50.0), (Set::PodSecurity, 10.0)] {
            let what = row(set, Protocol::Http2, 50);
            let of = |who: &str| self.figures.get(&what, who, "requests/s");
            let found = of(ours).zip(of(theirs)).map(|(ours, theirs)| ours / theirs);
            let text = format!("{}, 50 clients: at least {factor} times Kyverno's throughput", set.name());
            self.figures.aim(&text, found, |found| found >= factor);
            let p99 = self.figures.get(&what, ours, "ms p99");
            self.figures
                .aim(&format!("{}, 50 clients: p99 at most 10 ms", set.name()), p99, |found| found <= 10.0);
            let what = format!("memory after load, {}", set.name());
            let of = |who: &str| self.figures.get(&what, who, "MiB");
            let found = of(ours).zip(of(theirs)).map(|(ours, theirs)| theirs / ours);
            self.figures
                .aim(&format!("{}: a tenth of Kyverno's memory", set.name()), found, |found| found >= 10.0);
        }
        let rest = self.figures.get("memory at rest, no policy", ours, "MiB");
        self.figures.aim("memory at rest at most 25 MiB", rest, |found| found <= 25.0);
    }
}

fn row(set: Set, protocol: Protocol, clients: usize) -> String {
    let protocol = if protocol == Protocol::Http2 { "HTTP/2" } else { "HTTP/1.1" };
    format!("{}, {protocol}, {clients} clients", set.name())
}
