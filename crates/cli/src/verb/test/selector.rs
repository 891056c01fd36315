//! `--test-case-selector`: which expectations of a test are judged.

use meshward_policy::wildcard;

use super::expectation::Expectation;

/// Patterns for policies, rules and objects; all of them have to fit.
#[derive(Debug, Clone, Default)]
pub(super) struct Selector {
    policies: Vec<String>,
    rules: Vec<String>,
    resources: Vec<String>,
}

impl Selector {
    /// Reads `policy=P,rule=R,resource=O`.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut selector = Selector::default();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let accepted = "accepted: policy=P, rule=R or resource=O, separated by commas";
            let (key, value) = part
                .split_once('=')
                .ok_or_else(|| format!("--test-case-selector: found {part:?}, {accepted}"))?;
            let patterns = match key.trim() {
                "policy" => &mut selector.policies,
                "rule" => &mut selector.rules,
                "resource" => &mut selector.resources,
                other => return Err(format!("--test-case-selector: found {other:?}, {accepted}")),
            };
            patterns.push(value.trim().to_owned());
        }
        Ok(selector)
    }

    /// The expectation, with only the objects that are selected; `None` if it is not selected at all.
    pub(super) fn select(&self, expectation: &Expectation) -> Option<Expectation> {
        let all = |patterns: &[String], name: &str| {
            name.is_empty() || patterns.iter().all(|pattern| wildcard::matches(pattern, name))
        };
        if !all(&self.policies, &expectation.policy) || !all(&self.rules, &expectation.rule) {
            return None;
        }
        let mut selected = expectation.clone();
        selected.resources.retain(|name| all(&self.resources, name));
        let none_left = selected.resources.is_empty() && !expectation.resources.is_empty();
        (!none_left).then_some(selected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_patterns_have_to_fit_and_only_selected_objects_stay() {
        let expectation = Expectation {
            policy: "disallow-latest".into(),
            rule: "require-tag".into(),
            resources: vec!["good".into(), "bad".into()],
            ..Expectation::default()
        };
        let left = |text: &str| Selector::parse(text).unwrap().select(&expectation).map(|e| e.resources);
        assert_eq!(left("policy=*,rule=*,resource=*"), Some(vec!["good".to_owned(), "bad".to_owned()]));
        assert_eq!(left("policy=dis*, resource=b*"), Some(vec!["bad".to_owned()]));
        assert_eq!(left("resource=ugly"), None);
        assert_eq!(left("policy=dis*,rule=other"), None);
        assert!(Selector::parse("policy").unwrap_err().contains("accepted: policy=P"));
        assert!(Selector::parse("kind=Pod").unwrap_err().contains("found \"kind\""));
    }
}
