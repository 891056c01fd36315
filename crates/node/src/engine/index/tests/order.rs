//! Sources do not wait for each other: whatever order their events come in, the index ends the same.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::select;

use super::World;

/// What the index has come to, whatever way it took.
fn settled(world: &World) -> String {
    let mut text = String::new();
    for (unit, (goal, _)) in &world.index.units {
        let _ = writeln!(text, "{unit:?} {:?}", goal.aim);
    }
    for (key, pod) in &world.index.pods {
        let _ =
            writeln!(text, "{key} {:?}", pod.told.as_ref().map(|(record, _)| (record.phase, &record.reason)));
    }
    text
}

/// What each source tells, in its own order.
const STORIES: &[&[&[&str]]] = &[
    &[
        &["namespaces enabled", "pods", "pod u1 web mesh", "pod u1 web out", "pod u1 web bare"],
        &["start nri s1 u1 web", "stop s1", "start nri s2 u1 web"],
        &["all cri s1 u1 web", "start cri s2 u1 web", "stop s1"],
    ],
    &[
        &["pods u1 web plain u2 app mesh", "namespaces disabled", "namespace enabled", "gone u2 app"],
        &["all nri s1 u1 web s2 u2 app", "stop s2"],
        &["start cni s1 u1 web", "start cni s2 u2 app"],
    ],
    &[
        &["pods u1 web bad", "namespaces enabled", "pod u1 web mesh"],
        &["start nri s1 u1 web record"],
        &["start cri s1 u1 web", "all cri s1 u1 web"],
        &["all proc path1 u1 web"],
    ],
];

proptest! {
    #[test]
    fn any_order_of_events_ends_the_same(
        story in select(STORIES),
        choices in proptest::collection::vec(any::<proptest::sample::Index>(), 32),
    ) {
        let mut straight = World::default();
        for event in story.iter().copied().flatten() {
            straight.apply(event);
        }
        let mut mixed = World::default();
        let mut left: Vec<&[&str]> = story.to_vec();
        let mut choices = choices.iter();
        while !left.is_empty() {
            let next = choices.next().map_or(0, |choice| choice.index(left.len()));
            let [event, rest @ ..] = left[next] else { panic!("no story is empty") };
            mixed.apply(event);
            left[next] = rest;
            left.retain(|events| !events.is_empty());
        }
        prop_assert_eq!(settled(&mixed), settled(&straight));
    }
}
