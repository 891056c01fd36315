//! Runs cases: those that can at once first, then the others one by one; nothing is hidden, and what one case leaves
//! cannot reach the next.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use futures::{FutureExt, StreamExt, stream};
use meshward_e2e::{Bed, Case, Cluster, Controller};

/// No case takes longer than this.
const LONGEST: Duration = Duration::from_secs(300);

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
}

/// Installs the agent, runs the cases, and tells how they went. Whether all passed.
pub(crate) async fn run(cluster: &Cluster, cases: &[Case], jobs: usize, keep: bool) -> bool {
    let begin = Instant::now();
    let agent = Bed::new(cluster.clone(), 0).agent();
    if cases.iter().any(|case| case.needs.agent()) {
        match agent.install(&[]).await {
            Ok(took) => println!("agent installed and ready in {:.1} s", took.as_secs_f64()),
            Err(error) => {
                println!("the agent cannot be installed: {error:#}");
                return false;
            }
        }
    }
    let numbered: Vec<(usize, &Case)> = cases.iter().enumerate().collect();
    // The controller changes and refuses pods of the whole cluster: the agent's own cases come before it.
    let (with_controller, without): (Vec<_>, Vec<_>) =
        numbered.into_iter().partition(|(_, case)| case.needs.controller());
    let mut outcomes = all(cluster, without, jobs, keep).await;
    if !with_controller.is_empty() {
        match Controller::of(cluster).install(&[]).await {
            Ok(took) => println!("controller installed and ready in {:.1} s", took.as_secs_f64()),
            Err(error) => {
                println!("the controller cannot be installed: {error:#}");
                return false;
            }
        }
        outcomes.extend(all(cluster, with_controller, jobs, keep).await);
    }
    let mut failed = outcomes.iter().filter(|outcome| outcome.failure.is_some()).count();
    if !keep && let Err(error) = agent.uninstall().await {
        println!("FAIL  the agent can be uninstalled\n{error:#}");
        failed += 1;
    }
    summary(&outcomes, failed, begin.elapsed());
    failed == 0
}

/// Those that can at once, then the others one by one.
async fn all(cluster: &Cluster, cases: Vec<(usize, &Case)>, jobs: usize, keep: bool) -> Vec<Outcome> {
    let (alone, together): (Vec<_>, Vec<_>) = cases.into_iter().partition(|(_, case)| case.alone);
    let mut outcomes = batch(cluster, together, jobs, keep).await;
    outcomes.extend(batch(cluster, alone, 1, keep).await);
    outcomes
}

async fn batch(cluster: &Cluster, cases: Vec<(usize, &Case)>, jobs: usize, keep: bool) -> Vec<Outcome> {
    let tried = cases.into_iter().map(|(number, case)| one(cluster, number, case, keep));
    stream::iter(tried).buffer_unordered(jobs.max(1)).collect().await
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
    Outcome { name: case.name, took, failure }
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

fn summary(outcomes: &[Outcome], failed: usize, took: Duration) {
    let passed = outcomes.iter().filter(|outcome| outcome.failure.is_none()).count();
    println!("{passed} passed, {failed} failed, {:.0} s", took.as_secs_f64());
    for outcome in outcomes.iter().filter(|outcome| outcome.failure.is_some()) {
        println!("  failed: {} ({:.1} s)", outcome.name, outcome.took.as_secs_f64());
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("      {line}")).collect::<Vec<_>>().join("\n")
}
