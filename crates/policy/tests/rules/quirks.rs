//! Every quirk has cases that show both sides of its switch.

use crate::table::{Request, only, pod, policy, rows, text};
use meshward_policy::kyverno::matching::UserInfo;
use meshward_policy::kyverno::policy::{Policy, RuleResult};
use meshward_policy::kyverno::quirk::{Mode, Quirk, Quirks};
use serde_json::{Value, json};
use std::collections::HashSet;

fn check(name: &str, side: &str, expected: &Value, found: &[RuleResult]) {
    only(expected, &["result", "says"], name);
    let [found] = found else { panic!("{name}, {side}: {} results", found.len()) };
    assert_eq!(found.status.as_str(), text(expected, "result"), "{name}, {side}: {}", found.message);
    assert!(found.message.contains(text(expected, "says")), "{name}, {side}: {}", found.message);
}

#[test]
fn both_sides_of_every_switch() {
    let mut shown = HashSet::new();
    for (name, row) in rows("quirks") {
        only(
            &row,
            &["quirk", "level", "version", "also", "exclude", "pod", "kyverno", "strict", "refused"],
            &name,
        );
        let quirk: Quirk = text(&row, "quirk").parse().unwrap();
        let version = row.get("version").cloned().unwrap_or(json!("latest"));
        let rule = policy(&json!({"podSecurity": {
            "level": row["level"], "version": version, "exclude": row.get("exclude").unwrap_or(&Value::Null),
        }}));
        let (object, user) = (pod(&row["pod"]), UserInfo::default());
        let request = Request::create(&object, &user);
        let compiled = match Policy::compile(&rule) {
            Ok(compiled) => compiled,
            // What Kyverno refuses today it may have accepted before: the switch is shown all the same.
            Err(errors) => {
                assert_eq!(row.get("refused"), Some(&json!(true)), "{name}: {errors:?}");
                Policy::compile_with(&rule, Quirks::STRICT).unwrap()
            }
        };
        let kyverno = compiled.evaluate_with(&request.input(), Mode::Kyverno.quirks());
        check(&name, "kyverno", &row["kyverno"], &kyverno);
        let strict = Policy::compile_with(&rule, Quirks::STRICT).unwrap();
        check(&name, "strict", &row["strict"], &strict.evaluate(&request.input()));
        let mut without = Quirks::KYVERNO.without(quirk);
        for also in row.get("also").and_then(Value::as_array).into_iter().flatten() {
            without = without.without(also.as_str().unwrap().parse().unwrap());
        }
        if row["kyverno"] != row["strict"] {
            check(
                &name,
                "without the quirk",
                &row["strict"],
                &compiled.evaluate_with(&request.input(), without),
            );
            shown.insert(quirk);
            if row.get("also").is_none() && row.get("refused").is_none() {
                assert!(compiled.quirks_decisive(&request.input()).contains(&quirk), "{name}");
            }
        }
    }
    let missing: Vec<Quirk> = Quirk::all().filter(|quirk| !shown.contains(quirk)).collect();
    assert!(missing.is_empty(), "quirks without a case that shows both sides: {missing:?}");
}
