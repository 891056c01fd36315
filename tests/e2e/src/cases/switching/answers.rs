//! What the API server answers to a set of objects that are asked for and never stored.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail, ensure};
use meshward_e2e::{Bed, Manifest, Reply, until};
use serde_json::Value;

use super::super::SOON;

const TRIED: &str = include_str!("tried.yaml");
/// What stands before a refusal's own text.
const DENIED: &str = " denied the request: ";

/// The ends of the names of webhooks.
pub(super) const KYVERNO: &str = ".kyverno.svc-fail";
pub(super) const MESHWARD: &str = ".policies.meshward.dev";

/// An answer.
#[derive(Debug, PartialEq)]
enum Answer {
    Allowed { warnings: Vec<String> },
    Denied { text: String, warnings: Vec<String> },
}

/// The answers by what was asked for.
pub(super) struct Answers(BTreeMap<String, Answer>);

impl Answers {
    /// Fails unless they are the same as `others`; the order of controls in a text, which Kyverno leaves to chance, aside.
    pub(super) fn same_as(&self, others: &Self, when: &str) -> Result<()> {
        for (what, answer) in &self.0 {
            let other = others.0.get(what).context("not asked before")?;
            ensure!(answer == other, "{what}, {when}: {answer:#?}\nand it was\n{other:#?}");
        }
        ensure!(self.0.len() == others.0.len(), "something was not asked {when}");
        Ok(())
    }
}

/// Waits until everything is answered as the file says, and refused by one of these webhooks. Where several refuse, the API
/// server names the one that was first.
pub(super) async fn settled(bed: &Bed, by: &[&str]) -> Result<Answers> {
    until(&format!("every answer, by {by:?}"), SOON, async || answers(bed, by).await).await
}

async fn answers(bed: &Bed, by: &[&str]) -> Result<Answers> {
    let mut all = BTreeMap::new();
    for object in Manifest::parse(TRIED)?.objects() {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let what = format!("{} {}", object["kind"].as_str().unwrap_or_default(), text("name"));
        let reply = bed.controller().try_create(object, text("namespace")).await?;
        let answer = answer(&reply, by).with_context(|| what.clone())?;
        let wanted = &object["metadata"]["annotations"]["verdict"];
        let is = if matches!(answer, Answer::Allowed { .. }) { "allowed" } else { "denied" };
        ensure!(wanted == &Value::from(is), "{what} is {is}: {answer:?}");
        all.insert(what, answer);
    }
    Ok(Answers(all))
}

fn answer(reply: &Reply, by: &[&str]) -> Result<Answer> {
    let warnings = reply.warnings.clone();
    if reply.is_taken() {
        return Ok(Answer::Allowed { warnings });
    }
    let message = reply.message();
    let Some((webhook, text)) = message.split_once(DENIED) else { bail!("not by a webhook: {message}") };
    let webhook = webhook.trim_end_matches('"');
    ensure!(by.iter().any(|end| webhook.ends_with(end)), "by {webhook}");
    // Kyverno gives no reason, and the API server then has its own.
    let status = if webhook.ends_with(KYVERNO) { 400 } else { 403 };
    ensure!(reply.status == status, "refused with {}", reply.status);
    Ok(Answer::Denied { text: ordered(text), warnings })
}

/// The controls of a message in the order of the alphabet.
pub(super) fn ordered(message: &str) -> String {
    const CONTROL: &str = "(Forbidden reason: ";
    let Some((before, controls)) = message.split_once(CONTROL) else { return message.to_owned() };
    let (controls, after) = controls.rsplit_once(')').unwrap_or((controls, ""));
    let controls: BTreeSet<&str> = controls.split(&format!("){CONTROL}")).collect();
    let controls: String = controls.iter().map(|control| format!("{CONTROL}{control})")).collect();
    format!("{before}{controls}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_order_of_controls_is_nothing() {
        let text = |controls: &str| format!("it fails: {controls}'\n");
        let one = text("(Forbidden reason: b, x (y))(Forbidden reason: a)");
        assert_eq!(ordered(&one), text("(Forbidden reason: a)(Forbidden reason: b, x (y))"));
        assert_ne!(ordered(&one), ordered(&text("(Forbidden reason: a)(Forbidden reason: b, x (z))")));
        assert_eq!(ordered("nothing of the kind"), "nothing of the kind");
    }
}
