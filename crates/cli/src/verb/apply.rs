//! `meshward apply`: policies on the objects of files or of a cluster, with Kyverno's flags, words and exit codes. Objects are read,
//! judged and let go of one batch after the other, so that a file of any size costs the memory of a few batches.
//!
//! ```text
//! policies, values … ─► Session ─┐
//! resources ─► stream (threads) ─┴─► Judged ─► text | table | reports | exceptions | other forms
//! ```

mod arguments;
mod asked;
mod exceptions;
mod form;
mod paper;
mod prepare;
mod stream;

pub(crate) use self::arguments::Arguments;

use self::form::Shape;
use self::paper::Paper;
use self::prepare::Prepared;
use crate::exit::{Failure, Outcome};
use crate::kyverno::flags;
use crate::kyverno::problem::Problems;
use crate::results::Totals;
use crate::terminal;

pub(crate) fn run(arguments: Arguments) -> Outcome {
    flags::refuse_or_warn(&flags::APPLY, &arguments.unsupported())?;
    arguments.check()?;
    let shape = Shape::of(&arguments)?;
    let mut problems = Problems::default();
    let (prepared, inputs) = Prepared::read(&arguments, shape, &mut problems)?;
    let mut paper = Paper::new(shape, &arguments, &prepared);
    if shape.has_heading() && !arguments.stdin {
        terminal::print(&prepared.heading(&inputs));
    }
    stream::run(&prepared, inputs, &mut problems, |judged| paper.add(judged));
    prepared.tell_out_of_scope(&mut problems);
    let totals = paper.finish(&problems);
    outcome(&arguments, totals, &problems)
}

/// Kyverno's exit codes, and 2 for what it does not tell.
fn outcome(arguments: &Arguments, totals: Totals, problems: &Problems) -> Outcome {
    if !problems.is_empty() {
        return Err(Failure::Told);
    }
    if totals.fail > 0 || totals.error > 0 {
        return Err(Failure::Found);
    }
    if totals.warn > 0 && arguments.warn_exit_code != 0 {
        terminal::note(&format!("exit as warnExitCode is {}", arguments.warn_exit_code));
        return Err(Failure::Code(arguments.warn_exit_code));
    }
    if totals.pass == 0 && arguments.warn_no_pass {
        terminal::note("exit as no objects satisfied policy");
        return match arguments.warn_exit_code {
            0 => Ok(()),
            code => Err(Failure::Code(code)),
        };
    }
    Ok(())
}
