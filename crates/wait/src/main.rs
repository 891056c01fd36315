//! The init container that takes the place of a mesh's privileged one: it holds up the pod until the node agent says
//! that its rules are in force, and believes that only when its own packets obey them. It runs without any privilege,
//! writes nothing, and knows nothing of Kubernetes.
//!
//! ```text
//! gate (@meshward-ready) ─► who holds it? ─► "meshward 1 ready out=…" ─► connect, and see where it arrives ─► exit 0
//!        │ not there            │ not the agent        │ "wait …"                │ not where it should
//!        └──────────────────────┴──── say why, once and every 30 s; after --timeout end with the exit code
//! ```

mod arguments;
mod gate;
mod greeting;
mod proof;
mod report;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use arguments::{Arguments, Parsed};
use greeting::Greeting;
use report::Report;

/// The first pause between two looks at the gate, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(100));

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(Parsed::Run(arguments)) => arguments,
        Ok(Parsed::Help) => {
            report::say(arguments::USAGE);
            return ExitCode::SUCCESS;
        }
        Ok(Parsed::Version) => {
            report::say(concat!("meshward-wait ", env!("CARGO_PKG_VERSION")));
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            report::complain(&format!("{problem}\n{}", arguments::USAGE));
            return ExitCode::from(2);
        }
    };
    match wait(&arguments) {
        Ok(proved) => {
            report::say(&proved);
            ExitCode::SUCCESS
        }
        Err(reason) => {
            let seconds = arguments.timeout.as_secs();
            report::complain(&format!("gave up after {seconds} s: {reason}"));
            ExitCode::from(arguments.exit_code)
        }
    }
}

/// What was proved, or the last reason why it was not in time.
fn wait(arguments: &Arguments) -> Result<String, String> {
    let deadline = Instant::now() + arguments.timeout;
    let mut report = Report::default();
    let mut pause = PAUSES.0;
    loop {
        let reason = match attempt(deadline, &mut report) {
            Ok(proved) => return Ok(proved),
            Err(reason) => reason,
        };
        report.tell(&reason);
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(reason);
        }
        // Nothing tells when an abstract socket comes into being.
        std::thread::sleep(pause.min(left));
        pause = (pause * 2).min(PAUSES.1);
    }
}

fn attempt(deadline: Instant, report: &mut Report) -> Result<String, String> {
    let mut gate = gate::Gate::open()?;
    let mut said = "the node agent has not decided yet".to_string();
    loop {
        match gate.next(deadline)? {
            Some(Greeting::Wait { reason }) => said = format!("the node agent says: {reason}"),
            Some(Greeting::Nothing { reason }) => return Ok(format!("nothing is redirected: {reason}")),
            Some(Greeting::Ready { proofs }) => return proof::all(&proofs, deadline),
            None if Instant::now() >= deadline => return Err(said),
            None => {}
        }
        report.tell(&said);
    }
}
