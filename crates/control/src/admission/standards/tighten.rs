//! The pods of a namespace whose enforced level is tightened, so that whoever does it is told which of them would no
//! longer be admitted. Bounded in number, size and time: it is advice, and must not keep the request waiting.

use std::time::{Duration, Instant};

use meshward_policy::psa::{Admission, DryRun, Response};
use serde_json::Value;

use super::exempting::Exempting;
use crate::lookup::Asker;

/// What upstream takes at most; half of what is left where that is less.
const TIME: Duration = Duration::from_secs(1);

/// Lists and checks.
pub(super) fn answer(run: &DryRun, admission: &Admission<Exempting<'_>>, asker: &Asker<'_>) -> Response {
    let until = Instant::now() + TIME.min(asker.deadline().left() / 2);
    let Ok(listed) = asker.pods(&run.namespace, DryRun::MAX_PODS, until) else { return run.unlisted() };
    let pods: Vec<&Value> = listed.pods.iter().collect();
    run.answer(admission, &pods, listed.unlisted, || Instant::now() >= until)
}
