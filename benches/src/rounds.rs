//! Contenders taking turns. The one that begins changes from round to round, so that nobody always runs in the caches
//! that another has warmed or emptied.

use std::time::Duration;

use anyhow::{Context, Result};
use meshward_benches::progress::progress;
use meshward_benches::series::Series;

/// One way of doing the thing that is measured: prepares outside of the time that it returns.
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    run: Box<dyn FnMut() -> Result<Duration> + 'a>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: impl Into<String>, run: impl FnMut() -> Result<Duration> + 'a) -> Self {
        Self { name: name.into(), run: Box::new(run) }
    }
}

/// Lets the contenders take turns for some rounds, after one that does not count, and calls `rest` after each round.
pub(crate) fn take_turns(
    label: &str,
    rounds: usize,
    mut contenders: Vec<Contender<'_>>,
    mut rest: impl FnMut() -> Result<()>,
) -> Result<Vec<(String, Series)>> {
    let mut series = vec![Series::default(); contenders.len()];
    let count = contenders.len();
    for round in 0..=rounds {
        progress(label, round, rounds);
        for turn in 0..count {
            let at = (round + turn) % count;
            let contender = &mut contenders[at];
            let time = (contender.run)().with_context(|| contender.name.clone())?;
            if round > 0 {
                series[at].push(time);
            }
        }
        rest()?;
    }
    Ok(contenders.into_iter().map(|contender| contender.name).zip(series).collect())
}
