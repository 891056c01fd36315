//! Somebody with NET_ADMIN in the pod's network changes the rules: first they come back, then nobody can.

use std::time::{Duration, Instant};

use meshward_redirect::keep::{Keeper, Repair};
use meshward_redirect::nft::{Lock, NftError};
use meshward_redirect::program::{LockState, ProgramError, RulesDrift};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::super::actor::{Order, Report, monotonic};
use super::super::status::Status;
use super::force::ms;
use super::{Actor, Failure, HTTP, Outcome, Part, Stage, expect, impossible};

/// The rule that leads to the proxy.
const RULE: &str = "out.redirect";
/// Far more than a change takes to be told.
const PATIENCE: Duration = Duration::from_secs(2);

/// Changes to an unlocked table come back.
pub(super) fn repaired(stage: &mut Stage, mut keeper: Keeper) -> Outcome {
    stage.paper.step("Tampering: the rules come back");
    let mut debugger = debugger(stage)?;
    let status = Status::of(debugger.pid())?;
    stage.paper.fact(debugger.name(), &format!("pid {:<6} {status}", debugger.pid()));
    for (what, order) in deeds() {
        debugger.tell(&order)?;
        let repair = wait_for_repair(&mut keeper)?;
        let done = monotonic();
        let began = match debugger.report()? {
            Report::Tampered { at } => at,
            other => return Err(debugger.unexpected(&other)),
        };
        stage.as_meant()?;
        stage.paper.fact("tampering", &format!("{} {what}", debugger.name()));
        tell(stage, &repair, debugger.name())?;
        let took = Duration::from_nanos(done.saturating_sub(began));
        stage.paper.seen("repaired", &format!("{} after the tampering began", ms(took)));
    }
    let to = stage.server(HTTP)?;
    let (_, capture) = stage.through_proxy(to)?;
    stage.paper.seen("request", &format!("to {to} is captured on port {} as before", capture.port));
    Ok(())
}

fn tell(stage: &Stage, repair: &Repair, culprit: &str) -> Outcome {
    let by = repair.by.clone().unwrap_or_default();
    expect(by.name == culprit, "the kernel names the process that did it", || format!("{by:?}"))?;
    stage.paper.seen("noticed", &format!("the kernel names the culprit: pid {}, {}", by.pid, by.name));
    let differences: Vec<String> = match &repair.drift.rules {
        Some(RulesDrift::Nft(drift)) => drift.differences.iter().map(ToString::to_string).collect(),
        _ => vec![repair.drift.to_string()],
    };
    let trimmed: Vec<&str> = differences.iter().map(|one| one.trim()).collect();
    stage.paper.seen("missing", &trimmed.join("\n"));
    Ok(())
}

/// Changes to a locked table are refused, where the kernel can.
pub(super) fn locked(stage: &mut Stage) -> Outcome {
    stage.paper.step("With the lock on: nobody else can");
    let kept = Keeper::start(stage.network.pod.clone(), stage.rules.clone(), stage.options(Lock::Required));
    let (_keeper, programmed) = match kept {
        Ok(kept) => kept,
        Err(ProgramError::Nft(error @ NftError::LockUnavailable { .. })) => {
            stage.paper.fact("left out", &error.to_string());
            return Ok(());
        }
        Err(error) => return Err(impossible(error)),
    };
    expect(programmed.lock == LockState::Held, "the table is locked", || programmed.lock)?;
    let table = stage.rules.mesh.table_name();
    stage.paper.seen("locked", &format!("table inet {table} belongs to one socket of this process"));
    let mut debugger = debugger(stage)?;
    for (what, order) in deeds() {
        stage.paper.fact("tampering", &format!("{} (pid {}) {what}", debugger.name(), debugger.pid()));
        match debugger.ask(&order)? {
            Report::Refused { why } => stage.paper.seen("refused", &why),
            Report::Tampered { .. } => {
                expect(false, "a locked table cannot be changed", || "it was changed")?
            }
            other => return Err(debugger.unexpected(&other)),
        }
    }
    stage.as_meant()?;
    stage.paper.seen("unchanged", "every rule is as meant");
    Ok(())
}

/// What is tried, in words and as an order.
fn deeds() -> [(String, Order); 2] {
    [
        (format!("deletes the rule {RULE}"), Order::DeleteRule { name: RULE.into() }),
        ("deletes the whole table".into(), Order::DeleteTable),
    ]
}

fn debugger(stage: &Stage) -> Result<Actor, Failure> {
    let capabilities = Some(vec!["NET_ADMIN".to_string()]);
    Actor::start(&Part { name: "debugger".into(), capabilities, ..Part::default() }, Some(&stage.network.pod))
}

/// Waits as an agent does: for the kernel to tell of changes, not for a time to pass.
fn wait_for_repair(keeper: &mut Keeper) -> Result<Repair, Failure> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(repair) = keeper.react().map_err(impossible)? {
            return Ok(repair);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        expect(!left.is_zero(), "the kernel tells of the change", || format!("nothing for {PATIENCE:?}"))?;
        let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        let told = keeper.descriptor().ok_or_else(|| Failure::impossible("changes are not told here"))?;
        match poll(&mut [PollFd::from_borrowed_fd(told, PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::impossible(format!("cannot wait for a change: {error}"))),
        }
    }
}
