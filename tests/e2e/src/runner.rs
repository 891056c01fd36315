//! Runs cases: those that can at once first, then the others one by one; nothing is hidden, and what one case leaves
//! cannot reach the next.

use std::cmp::Reverse;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures::{FutureExt, StreamExt, stream};
use meshward_e2e::{Agent, Bed, Case, Cluster, Controller, Namespace, Turn};

/// No case takes longer than this.
const LONGEST: Duration = Duration::from_secs(600);
/// How many are told again at the end.
const SLOWEST: usize = 8;
/// Beds of second attempts are numbered from here, so that their namespaces have other names.
const SECOND: usize = 1000;

/// How cases are run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    /// Cases at once, where they can.
    pub(crate) jobs: usize,
    /// What failed cases made is left.
    pub(crate) keep: bool,
    /// A case that fails is tried a second time.
    pub(crate) again: bool,
}

/// Cases whose name has one of the words in it; all of them when there are no words.
pub(crate) fn choose(cases: Vec<Case>, words: &[String]) -> Vec<Case> {
    let is_chosen =
        |case: &Case| words.is_empty() || words.iter().any(|word| case.name.contains(word.as_str()));
    cases.into_iter().filter(is_chosen).collect()
}

struct Outcome {
    name: &'static str,
    took: Duration,
    /// Why it failed, with what helps to understand it.
    failure: Option<String>,
    /// It passed, but only the second time.
    again: bool,
}

/// How the cases went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    passed: usize,
    /// Of those that passed.
    again: usize,
    failed: usize,
}

impl Totals {
    pub(crate) fn all_passed(self) -> bool {
        self.failed == 0
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, again, failed } = self;
        match again {
            0 => write!(f, "{passed} passed, {failed} failed"),
            _ => write!(f, "{passed} passed ({again} only the second time), {failed} failed"),
        }
    }
}

/// Waits for this run's turn, runs the cases, and tells how they went.
pub(crate) async fn run(cluster: &Cluster, cases: &[Case], way: Way) -> Result<Totals> {
    let waits = |holder: &str| println!("waiting for another run on this cluster to end: {holder}");
    let turn = Turn::take(cluster.client.clone(), &cluster.run, waits).await?;
    let totals = in_turn(cluster, cases, way).await;
    turn.end().await?;
    totals
}

async fn in_turn(cluster: &Cluster, cases: &[Case], way: Way) -> Result<Totals> {
    let begin = Instant::now();
    let left = Namespace::clear_left_over(cluster).await.context("what an earlier run left")?;
    if !left.is_empty() {
        println!("cleared up after an earlier run: {}", left.join(", "));
    }
    let agent = Bed::new(cluster.clone(), 0).agent();
    agent.clear_unfinished().await?;
    if cases.iter().any(|case| case.needs.agent()) {
        let took = agent.install(&[]).await.context("the agent cannot be installed")?;
        println!("run {}: agent installed and ready in {:.1} s", cluster.run, took.as_secs_f64());
    }
    let numbered: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    // The controller changes and refuses pods of the whole cluster: the agent's own cases come before it.
    let (with_controller, without): (Vec<_>, Vec<_>) =
        numbered.into_iter().partition(|(_, case)| case.needs.controller());
    let mut outcomes = all(cluster, without, way).await;
    if !with_controller.is_empty() {
        let took =
            Controller::of(cluster).install(&[]).await.context("the controller cannot be installed")?;
        println!("controller installed and ready in {:.1} s", took.as_secs_f64());
        outcomes.extend(all(cluster, with_controller, way).await);
    }
    if !way.keep {
        outcomes.push(at_the_end(&agent).await);
    }
    summary(&mut outcomes, begin.elapsed());
    let failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    let again = outcomes.iter().filter(|outcome| outcome.again).count();
    Ok(Totals { passed: outcomes.len() - failed, again, failed })
}

/// What every run ends with is a case as well.
async fn at_the_end(agent: &Agent) -> Outcome {
    let (name, begin) = ("the agent is uninstalled", Instant::now());
    let failure = agent.uninstall().await.err().map(|error| format!("{error:#}"));
    if let Some(failure) = &failure {
        println!("FAIL  {name}\n{}", indented(failure));
    }
    Outcome { name, took: begin.elapsed(), failure, again: false }
}

/// Those that can at once, then the others one by one; then those that failed, if they are to be tried again.
async fn all(cluster: &Cluster, cases: Vec<(usize, &Case)>, way: Way) -> Vec<Outcome> {
    let (alone, together): (Vec<_>, Vec<_>) = cases.iter().copied().partition(|(_, case)| case.alone);
    let mut outcomes = batch(cluster, together, way).await;
    outcomes.extend(batch(cluster, alone, Way { jobs: 1, ..way }).await);
    for outcome in outcomes.iter_mut().filter(|outcome| way.again && outcome.failure.is_some()) {
        let Some((number, case)) = cases.iter().find(|(_, case)| case.name == outcome.name) else { continue };
        println!("again: {}", case.name);
        let second = one(cluster, number + SECOND, case, way.keep).await;
        if second.failure.is_none() {
            *outcome = Outcome { again: true, ..second };
        }
    }
    outcomes
}

async fn batch(cluster: &Cluster, cases: Vec<(usize, &Case)>, way: Way) -> Vec<Outcome> {
    let tried = cases.into_iter().map(|(number, case)| one(cluster, number, case, way.keep));
    stream::iter(tried).buffer_unordered(way.jobs.max(1)).collect().await
}

async fn one(cluster: &Cluster, number: usize, case: &Case, keep: bool) -> Outcome {
    let begin = Instant::now();
    let bed = Bed::new(cluster.clone(), number + 1);
    let result = attempt(case, &bed).await;
    let took = begin.elapsed();
    let failure = match result {
        Ok(()) => None,
        Err(error) => Some(format!("{error:#}\n{}", bed.diagnosis().await)),
    };
    let verdict = if failure.is_some() { "FAIL" } else { "ok  " };
    println!("{verdict}  {} ({:.1} s)", case.name, took.as_secs_f64());
    if let Some(failure) = &failure {
        println!("{}", indented(failure));
    }
    if !(keep && failure.is_some())
        && let Err(error) = bed.clear().await
    {
        println!("      its namespaces do not go: {error:#}");
    }
    Outcome { name: case.name, took, failure, again: false }
}

/// A case that panics has failed, like one that returns an error or does not end.
async fn attempt(case: &Case, bed: &Bed) -> Result<()> {
    let tried = AssertUnwindSafe((case.run)(bed)).catch_unwind();
    match tokio::time::timeout(LONGEST, tried).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(anyhow!("{}", text.unwrap_or_else(|| "panicked".into())))
        }
        Err(_) => Err(anyhow!("it has not ended after {} s", LONGEST.as_secs())),
    }
}

/// The slowest, and those that failed, once more: where they ran they are far apart.
fn summary(outcomes: &mut [Outcome], took: Duration) {
    outcomes.sort_by_key(|outcome| Reverse(outcome.took));
    println!("{} cases in {:.0} s; the slowest:", outcomes.len(), took.as_secs_f64());
    let line = |outcome: &Outcome| format!("{:6.1} s  {}", outcome.took.as_secs_f64(), outcome.name);
    outcomes.iter().take(SLOWEST).for_each(|outcome| println!("  {}", line(outcome)));
    let list = |told: &str, which: fn(&Outcome) -> bool| {
        let found: Vec<&Outcome> = outcomes.iter().filter(|outcome| which(outcome)).collect();
        if !found.is_empty() {
            println!("{told}:");
            found.iter().for_each(|outcome| println!("  {}", line(outcome)));
        }
    };
    list("passed only the second time", |outcome| outcome.again);
    list("failed", |outcome| outcome.failure.is_some());
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}
