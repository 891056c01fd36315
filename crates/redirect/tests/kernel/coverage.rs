//! No option without a case that it makes a difference to.

use std::collections::BTreeSet;

use meshward_redirect::dialect::{Effect, Settings, flags_of};
use meshward_redirect::{Mesh, RuleSet, render};

use crate::case::{Case, cases};
use crate::evaluate::Seen;

/// Everything that a case can tell of a setting: the packets' fates and what it looks for in listings.
fn told(case: &Case, settings: &Settings) -> Result<(Vec<Seen>, [bool; 3]), String> {
    let rules = case.rules_of(settings)?;
    let shown =
        |text: &Option<String>, listing: String| text.as_ref().is_some_and(|text| listing.contains(text));
    let shows = [
        shown(&case.shows.nft, render::nft::render(&rules)),
        shown(&case.shows.iptables, render::iptables::render(&rules)),
        shown(&case.shows.routing, routing(&rules)),
    ];
    Ok((case.seen(&rules), shows))
}

/// As `ip rule` prints it.
fn routing(rules: &RuleSet) -> String {
    rules
        .routing
        .map_or(String::new(), |routing| format!("fwmark {:#x} lookup {}", routing.mark, routing.table))
}

fn every_option_has_a_case(mesh: Mesh) {
    let cases = cases(mesh);
    let mut covered = BTreeSet::new();
    for case in &cases {
        let with = told(case, &case.settings);
        if let Some(part) = &case.refused {
            assert!(with.as_ref().is_err_and(|error| error.contains(part)), "{}: {with:?}", case.name);
        }
        let differs = case.option.filter(|_| told(case, &case.without_option()) != with);
        let default = told(case, &Settings::new(flags_of(mesh)));
        assert!(differs.is_some() || with != default, "{}: as the mesh's defaults", case.name);
        covered.extend(differs);
    }
    let wanted = flags_of(mesh).iter().filter(|flag| flag.effect == Effect::Rules).map(|flag| flag.long);
    let missing: Vec<&str> = wanted.filter(|option| !covered.contains(option)).collect();
    assert!(
        missing.is_empty(),
        "{mesh}: no case (tests/cases/kernel/{mesh}/OPTION.yaml) tells these from their absence: {missing:?}"
    );
}

/// The evaluator says of every packet what the case says.
fn every_case_is_traced(mesh: Mesh) {
    let mut problems = Vec::new();
    for case in cases(mesh).iter().filter(|case| case.refused.is_none()) {
        for (sent, seen) in case.packets.iter().zip(case.seen(&case.rules())) {
            if let Some(objection) = seen.objection(&sent.expected) {
                problems.push(format!("{}\n  {}\n    {objection}", case.name, sent.text));
            }
        }
    }
    assert!(problems.is_empty(), "{} problems\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn every_option_makes_a_difference_in_a_case() {
    Mesh::ALL.into_iter().for_each(every_option_has_a_case);
}

#[test]
fn the_evaluator_agrees_with_every_case() {
    Mesh::ALL.into_iter().for_each(every_case_is_traced);
}
