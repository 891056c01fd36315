//! Prints what the sources tell on a real node, with the time of each, and answers as an engine would that is always done:
//!
//! ```text
//! cargo run -p meshward-node --example sightings -- [SECONDS] [--no-nri] [--cni FOLDER] [--hold MILLIS] [--fail-closed]
//!     [--cri SOCKET]
//! ```
//!
//! `--cni FOLDER` also listens at FOLDER/cni.sock, installs a plugin that asks there, and takes it away at the end;
//! the plugin is the agent's binary, which is expected beside the example's folder.

#![allow(clippy::print_stdout)]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use meshward_node::cni::{InstallSettings, Installer, Server, ServerSettings};
use meshward_node::locate::cri::Cri;
use meshward_node::locate::nri::Nri;
use meshward_node::locate::{CriSettings, NriSettings};
use meshward_node::located::{Located, Notice, Outcome, Sighting};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().with_env_filter("meshward_node=debug").with_ansi(false).init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let value = |name: &str| {
        arguments.iter().position(|argument| argument == name).and_then(|at| arguments.get(at + 1)).cloned()
    };
    let seconds = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(20);
    let hold = Duration::from_millis(value("--hold").and_then(|text| text.parse().ok()).unwrap_or(0));

    let (sender, mut notices) = mpsc::channel(1024);
    let stop = CancellationToken::new();
    let nri = NriSettings { fail_closed: flag("--fail-closed"), ..NriSettings::default() };
    let nri = Nri::new(nri, sender.clone());
    let cri = CriSettings { socket: value("--cri").map(PathBuf::from), ..CriSettings::default() };
    let (state, cri) = (nri.state(), Cri::new(cri));
    if !flag("--no-nri") {
        tokio::spawn(nri.run(stop.clone()));
    }
    let (first, _) = tokio::sync::oneshot::channel();
    tokio::spawn(cri.clone().watch(sender.clone(), first, state, stop.clone()));
    let mut installer = None;
    if let Some(folder) = value("--cni") {
        let socket = Path::new(&folder).join("cni.sock");
        let settings = ServerSettings { socket: socket.clone(), ..ServerSettings::default() };
        tokio::spawn(Server::bind(&settings, sender.clone())?.run(stop.clone()));
        let agent: PathBuf = std::env::current_exe()?.with_file_name("../meshward-node");
        let mut plugin = Installer::new(InstallSettings { socket, ..InstallSettings::default() }, agent);
        println!("install: {:?}", plugin.install()?);
        installer = Some(plugin);
    }
    let (began, end) = (Instant::now(), tokio::time::sleep(Duration::from_secs(seconds)));
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            Some(notice) = notices.recv() => tell(began, notice, &cri, hold),
        }
    }
    if let Some(mut plugin) = installer {
        println!("uninstall: {:?}", plugin.uninstall()?);
    }
    stop.cancel();
    Ok(())
}

fn tell(began: Instant, notice: Notice, cri: &Cri, hold: Duration) {
    let at = began.elapsed();
    match &notice.sighting {
        Sighting::All(source, pods) => {
            println!("{at:9.3?} all of {}: {} pods", source.name(), pods.len());
            for pod in pods {
                println!("          {}", line(pod));
            }
        }
        Sighting::Started(pod) => println!("{at:9.3?} started {}", line(pod)),
        Sighting::Stopped { sandbox } => println!("{at:9.3?} stopped {sandbox:.13}"),
    }
    let Some(done) = notice.done else { return };
    let Sighting::Started(pod) = notice.sighting else { return };
    let cri = cri.clone();
    tokio::spawn(async move {
        tokio::time::sleep(hold).await;
        if done.send(Outcome::Settled).is_err() {
            println!("{:9.3?} too late for {}", began.elapsed(), pod.name);
        }
        let asked = Instant::now();
        let found = cri.find(&pod.uid).await.map(|found| found.netns == pod.netns);
        println!("{:9.3?} find over CRI: {found:?} in {:?}", began.elapsed(), asked.elapsed());
    });
}

fn line(pod: &Located) -> String {
    let inside = std::fs::metadata(&pod.netns).is_ok();
    let seen = if inside { "there" } else { "NOT THERE" };
    format!(
        "{}/{} uid={:.8} sandbox={:.13} netns={} ({seen}) ips={:?} labels={} annotations={} by {}",
        pod.namespace,
        pod.name,
        pod.uid,
        pod.sandbox,
        pod.netns.display(),
        pod.ips,
        pod.labels.len(),
        pod.annotations.len(),
        pod.source.name(),
    )
}
