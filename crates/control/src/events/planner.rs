//! Which Events are written. A flood of violating pods is one policy's flood and everybody's: of one object a few, of one
//! policy some more, of all together so many a second, and of each the same thing once in a while.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use meshward_kit::bucket::Bucket;
use meshward_kit::events::{EventAction, Teller};

use super::told::Told;

/// Events of one object, policies included: at once, and seconds until one more.
const OF_OBJECT: (u32, f64) = (20, 10.0);
/// Events of all together.
const OF_ALL: (u32, f64) = (100, 0.2);
/// Objects that are remembered: beyond it those that nothing was told of lately are forgotten.
const OBJECTS: usize = 4096;
/// How often that is looked for.
const SWEEP: SignedDuration = SignedDuration::from_secs(60);

/// What was told of which object.
#[derive(Debug)]
pub struct Planner {
    objects: HashMap<String, Teller>,
    all: Bucket,
    swept: Timestamp,
}

impl Planner {
    /// Nothing told yet.
    pub fn new(now: Timestamp) -> Self {
        Self { objects: HashMap::new(), all: Bucket::new(OF_ALL.0, OF_ALL.1, now), swept: now }
    }

    /// What to do about an Event.
    pub fn plan(&mut self, told: &Told, now: Timestamp) -> EventAction {
        if now.duration_since(self.swept) >= SWEEP {
            self.swept = now;
            self.objects.retain(|_, teller| !teller.is_idle(now));
        }
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let of = &told.regarding;
        let key = format!("{} {}/{} {}", text(&of.kind), text(&of.namespace), text(&of.name), text(&of.uid));
        if self.objects.len() >= OBJECTS && !self.objects.contains_key(&key) {
            return EventAction::Dropped(told.event.reason);
        }
        let teller = self
            .objects
            .entry(key)
            .or_insert_with(|| Teller::new(Bucket::new(OF_OBJECT.0, OF_OBJECT.1, now)));
        teller.tell(told.event.clone(), &text(&of.name), now, Some(&mut self.all))
    }

    /// How many objects are remembered.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }
}
