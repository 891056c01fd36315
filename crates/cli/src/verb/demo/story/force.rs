//! Rules in force from outside, and away again.

use std::time::{Duration, Instant};

use meshward_redirect::keep::Keeper;
use meshward_redirect::nft::Lock;
use meshward_redirect::program::{self, Backend, Options};

use super::{Failure, HTTP, Outcome, Stage, expect, impossible};

/// Puts the rules in force and keeps them.
pub(super) fn put_in_force(stage: &mut Stage) -> Result<Keeper, Failure> {
    stage.paper.step("The rules go in, from outside and without any program");
    let started = Instant::now();
    let kept = Keeper::start(stage.network.pod.clone(), stage.rules.clone(), stage.options(Lock::Off));
    let took = started.elapsed();
    let (keeper, programmed) = kept.map_err(impossible)?;
    let (count, table) = (stage.rules.rules().count(), stage.rules.mesh.table_name());
    expect(programmed.changed, "rules were written", || format!("{programmed:?}"))?;
    let text = format!("{count} rules in table inet {table}, {} by {}", ms(took), programmed.backend);
    stage.paper.seen("in force", &text);
    let started = Instant::now();
    stage.as_meant()?;
    let text = format!("every rule is as meant, {}", ms(started.elapsed()));
    stage.paper.seen("read back", &text);
    stage.paper.fact("fingerprint", &stage.rules.fingerprint());
    Ok(keeper)
}

/// Takes the rules away.
pub(super) fn take_away(stage: &mut Stage) -> Outcome {
    stage.paper.step("And away again");
    let mesh = stage.rules.mesh;
    let removed = program::cleanup(&stage.network.pod, Some(mesh), &stage.options(Lock::Off));
    let removed = removed.map_err(impossible)?;
    let mut all = removed.rules;
    all.extend(removed.routing.iter().map(ToString::to_string));
    expect(!all.is_empty(), "there was something to remove", || "nothing")?;
    stage.paper.seen("removed", &all.join(", "));
    let to = stage.server(HTTP)?;
    let fetched = stage.straight(to)?;
    stage.paper.seen("request", &format!("to {to} goes straight again, from {}", fetched.local));
    Ok(())
}

impl Stage {
    /// How the rules are put in force: nf_tables, because changes of others are watched there.
    pub(super) fn options(&self, lock: Lock) -> Options {
        let expect_ips = vec![self.network.pod_address()];
        Options { backend: Backend::Nft, lock, expect_ips, ..Options::default() }
    }

    /// The kernel must hold what was meant.
    pub(super) fn as_meant(&self) -> Outcome {
        let drift =
            program::check(&self.network.pod, &self.rules, &self.options(Lock::Off)).map_err(impossible)?;
        drift.map_or(Ok(()), |drift| expect(false, "the kernel holds the rules that were meant", || drift))
    }
}

/// A time as it is told.
pub(super) fn ms(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1e3)
}
