//! The sources that locate pods, as the settings ask for them, and what readiness says of each.

use std::time::Duration;

use anyhow::Context;
use meshward_kit::admin::{Condition, Readiness};
use meshward_kit::shutdown::Shutdown;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::cni::{self, InstallSettings, Server, ServerSettings};
use crate::locate::cri::{Cri, CriState};
use crate::locate::nri::{Nri, NriState};
use crate::locate::{CriSettings, NriSettings, PluginIndex, ProcSettings, proc};
use crate::located::{Notice, Outcome};
use crate::settings::{Settings, Switch};

/// For the pods of the first list, before NRI is greeted.
const TAKING_OVER: Duration = Duration::from_secs(1);

/// Starts them.
///
/// # Errors
/// When the CNI plugin is asked for and its socket cannot be made.
pub(super) fn start(
    settings: &Settings,
    shutdown: &Shutdown,
    readiness: &Readiness,
    notices: mpsc::Sender<Notice>,
) -> anyhow::Result<()> {
    let (locate, token) = (&settings.locate, shutdown.token());
    let off = "switched off".to_string();
    let mut connected = watch::channel(NriState::Disconnected { reason: off.clone() }).1;
    let mut listing = watch::channel(CriState::Disconnected { reason: off }).1;
    let (first, taken_over) = oneshot::channel();
    let nri = (locate.nri.mode != Switch::Off).then(|| nri(settings, notices.clone())).transpose()?;
    if let Some(nri) = nri {
        connected = nri.state();
        let condition = condition(readiness, "nri", locate.nri.mode);
        let told = tell(nri.state(), condition, token.clone(), |state| match state {
            NriState::Connected { .. } => Ok(()),
            NriState::Disconnected { reason } => Err(reason.clone()),
        });
        shutdown.spawn("nri state", told);
        shutdown.spawn("nri", greet(nri, taken_over, token.clone()));
    }
    if locate.cri.mode != Switch::Off {
        let cri = cri(settings);
        listing = cri.state();
        let condition = condition(readiness, "cri", locate.cri.mode);
        let told = tell(cri.state(), condition, token.clone(), |state| match state {
            CriState::Connected { .. } => Ok(()),
            CriState::Disconnected { reason } => Err(reason.clone()),
        });
        shutdown.spawn("cri state", told);
        shutdown.spawn("cri", cri.watch(notices.clone(), first, connected.clone(), token.clone()));
    }
    if !locate.cni.on && !locate.proc.on {
        let runtime = readiness.require("runtime", "no source has told of this node's pods yet");
        shutdown.spawn("runtime state", any(connected, listing, runtime, token.clone()));
    }
    if locate.cni.on {
        let server = ServerSettings { socket: locate.cni.socket.clone(), ..ServerSettings::default() };
        let server = Server::bind(&server, notices.clone())?;
        shutdown.spawn("cni", server.run(token.clone()));
        install(settings, shutdown, readiness)?;
    }
    if locate.proc.on {
        let (root, interval) = (locate.proc.root.clone(), locate.proc.interval);
        shutdown.spawn("proc", proc::watch(ProcSettings { root, interval }, notices, token));
    }
    Ok(())
}

fn cri(settings: &Settings) -> Cri {
    let cri = &settings.locate.cri;
    let (socket, poll, events) = (cri.socket.clone(), cri.poll, cri.events);
    Cri::new(CriSettings { socket, poll, events, ..CriSettings::default() })
}

fn nri(settings: &Settings, notices: mpsc::Sender<Notice>) -> anyhow::Result<Nri> {
    let nri = &settings.locate.nri;
    let asked = NriSettings {
        socket: nri.socket.clone(),
        index: format!("{:02}", nri.index).parse::<PluginIndex>()?,
        deadline: nri.deadline,
        fail_closed: nri.fail_closed,
    };
    Ok(Nri::new(asked, notices))
}

/// Greets the runtime once the pods that it has listed over CRI are taken over, or at once when it lists none: the
/// greeting takes containerd a third of a second of a processor on a full node, which those pods need first.
async fn greet(nri: Nri, taken_over: oneshot::Receiver<Outcome>, token: CancellationToken) {
    // New pods are waited for meanwhile by their wait containers, but no longer than for a slow agent.
    let _ = timeout(TAKING_OVER, taken_over).await;
    nri.run(token).await;
}

fn install(settings: &Settings, shutdown: &Shutdown, readiness: &Readiness) -> anyhow::Result<()> {
    let (cni, token) = (&settings.locate.cni, shutdown.token());
    let binary = std::env::current_exe().context("cannot tell the agent's own executable")?;
    let asked = InstallSettings {
        conf_dir: cni.conf_dir.clone(),
        bin_dir: cni.bin_dir.clone(),
        socket: cni.socket.clone(),
        timeout: cni.timeout,
        fail_closed: cni.fail_closed,
        ..InstallSettings::default()
    };
    let (state, seen) = watch::channel(Err("not installed yet".to_string()));
    let condition = readiness.require("cni", "the CNI plugin is not installed yet");
    shutdown.spawn("cni state", tell(seen, condition, token.clone(), |state| state.clone().map(|_| ())));
    shutdown.spawn("cni installer", cni::keep(asked, binary, state, token));
    Ok(())
}

/// What was asked for by name has to work; what may be there may also not be.
fn condition(readiness: &Readiness, name: &'static str, mode: Switch) -> Condition {
    match mode {
        Switch::On => readiness.require(name, "not connected yet"),
        Switch::Auto | Switch::Off => readiness.advise(name),
    }
}

/// An agent that no source tells of pods can do nothing for them, whichever of the sources may be missing.
async fn any(
    mut nri: watch::Receiver<NriState>,
    mut cri: watch::Receiver<CriState>,
    condition: Condition,
    token: CancellationToken,
) {
    loop {
        match (&*nri.borrow_and_update(), &*cri.borrow_and_update()) {
            (NriState::Disconnected { reason: nri }, CriState::Disconnected { reason: cri }) => {
                condition.fail(format!("no source tells of this node's pods: NRI: {nri}; CRI: {cri}"))
            }
            _ => condition.hold(),
        };
        // A source that is switched off never changes again.
        tokio::select! {
            () = token.cancelled() => return,
            Ok(()) = nri.changed() => {}
            Ok(()) = cri.changed() => {}
            else => return,
        }
    }
}

async fn tell<T: Clone + Send + Sync>(
    mut state: watch::Receiver<T>,
    condition: Condition,
    token: CancellationToken,
    read: fn(&T) -> Result<(), String>,
) {
    loop {
        let now = read(&state.borrow_and_update());
        match now {
            Ok(()) => condition.hold(),
            Err(reason) => condition.fail(reason),
        };
        tokio::select! {
            () = token.cancelled() => return,
            changed = state.changed() => if changed.is_err() { return },
        }
    }
}
