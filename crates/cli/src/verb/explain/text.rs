//! The account for people: what is wrong first, with what to write; then what passed and why; then what did not run.

use std::fmt::Write;

use super::account::{Account, CheckAccount, State, ValueAccount, ValueVerdict};
use super::policies::RuleAccount;
use crate::results::{Screen, Status, paint, printable};
use crate::standards::advice;

pub(super) fn render(accounts: &[Account], screen: Screen) -> String {
    let texts: Vec<String> = accounts.iter().map(|account| object(account, screen)).collect();
    texts.join("\n")
}

fn object(account: &Account, screen: Screen) -> String {
    let mut page = Page { text: String::new(), screen };
    page.heading(account);
    let rank = |check: &&CheckAccount| match check.state {
        State::Fail(..) => 0,
        State::Exempted => 1,
        State::Pass(_) => 2,
        State::NotRun(_) => 3,
    };
    let mut checks: Vec<&CheckAccount> = account.checks.iter().collect();
    checks.sort_by_key(rank);
    for check in checks {
        page.check(check, &account.object.file);
    }
    page.not_run(&account.checks);
    for rule in &account.rules {
        page.rule(rule);
    }
    page.text
}

struct Page {
    text: String,
    screen: Screen,
}

/// An exemption that fails in more parts than these was not meant; JSON has those too.
const NEAR: usize = 2;
/// How far the text under a check's name is moved in.
const INDENT: usize = 10;

impl Page {
    fn heading(&mut self, account: &Account) {
        let verdict = match account.is_refused() {
            true => paint(Status::Fail, "refused", self.screen.colours),
            false => paint(Status::Pass, "allowed", self.screen.colours),
        };
        let policy = account.policy.map(|policy| format!("PodSecurity {policy}: ")).unwrap_or_default();
        let place = account.object.place();
        self.line(0, &format!("{} ({})", account.object.title(), printable(&place)));
        // Painted already, and short.
        let _ = writeln!(self.text, "{policy}{verdict}");
        if let Some(sentence) = &account.sentence {
            self.wrapped(0, &printable(sentence));
        }
        self.text.push('\n');
    }

    fn check(&mut self, account: &CheckAccount, file: &str) {
        let (status, note) = match &account.state {
            State::Fail(reason, detail) => (Status::Fail, format!("{reason} ({detail})")),
            State::Exempted => (Status::Skip, String::new()),
            State::Pass(note) => (Status::Pass, note.unwrap_or_default().to_owned()),
            State::NotRun(_) => return,
        };
        let word = format!("{:<INDENT$}", account.state.word());
        let word = paint(status, &word, self.screen.colours);
        let control = account.check.control;
        // The word holds colours, which have no width.
        let _ = writeln!(self.text, "{word}{} ({control})", account.check.id);
        if !note.is_empty() {
            self.wrapped(INDENT, &printable(&note));
        }
        if account.values.is_empty() && note.is_empty() {
            self.line(INDENT, "nothing of it is set");
        }
        for value in &account.values {
            self.value(value, file);
        }
        if matches!(account.state, State::Fail(..)) {
            self.line(INDENT, "to pass:");
            for line in advice::example(account.check.id).lines() {
                self.line(INDENT + 4, line);
            }
        }
        if !matches!(account.state, State::Pass(_)) {
            self.text.push('\n');
        }
    }

    /// The checks that did not run, by why they did not.
    fn not_run(&mut self, checks: &[CheckAccount]) {
        let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
        for account in checks {
            let State::NotRun(why) = &account.state else { continue };
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, checks)) => checks.push(account.check.id.as_str()),
                None => reasons.push((why, vec![account.check.id.as_str()])),
            }
        }
        for (why, checks) in reasons {
            let word = paint(Status::Skip, &format!("{:<INDENT$}", "not run"), self.screen.colours);
            let _ = writeln!(self.text, "{word}{why}");
            self.wrapped(INDENT, &checks.join(", "));
        }
    }

    fn value(&mut self, account: &ValueAccount, file: &str) {
        let field = &account.field;
        let place = match field.position {
            Some(position) => format!("{file}:{}: ", position.line),
            None => String::new(),
        };
        let value = match field.value.is_null() {
            true => "is missing".to_owned(),
            false => format!("is {}", advice::shortened(&field.value)),
        };
        let tail = match &account.verdict {
            ValueVerdict::Fine => String::new(),
            _ => format!(", accepted: {}", account.accepted),
        };
        self.wrapped(INDENT, &printable(&format!("{place}{} {value}{tail}", field.path)));
        match &account.verdict {
            ValueVerdict::Fine => {}
            ValueVerdict::Forbidden(near) => {
                for (_, near) in near.iter().filter(|(misses, _)| *misses <= NEAR) {
                    self.wrapped(INDENT + 2, &printable(&format!("not exempted by {near}")));
                }
            }
            ValueVerdict::Exempted { by, reason } => {
                self.wrapped(INDENT + 2, &printable(&format!("exempted by {by}: {reason}")));
            }
        }
    }

    fn rule(&mut self, rule: &RuleAccount) {
        let status = rule.status.unwrap_or(Status::Skip);
        let word = paint(status, &format!("{:<INDENT$}", rule.word()), self.screen.colours);
        let _ = writeln!(self.text, "{word}{} / {}", printable(&rule.policy), printable(&rule.rule));
        self.wrapped(INDENT, &printable(rule.message.trim()));
        rule.exceptions.iter().for_each(|exception| self.wrapped(INDENT, &printable(exception)));
    }

    fn line(&mut self, indent: usize, text: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{:indent$}{text}", "");
    }

    /// A text broken between words where the screen ends; words are never broken.
    fn wrapped(&mut self, indent: usize, text: &str) {
        let width = usize::from(self.screen.width).saturating_sub(indent).max(20);
        for paragraph in text.lines() {
            let mut line = String::new();
            let mut length = 0;
            for word in paragraph.split(' ') {
                let count = word.chars().count();
                if length > 0 && length + 1 + count > width {
                    self.line(indent, &line);
                    line.clear();
                    length = 0;
                    // What follows belongs to what stands above.
                    line.push_str("  ");
                    length += 2;
                } else if length > 0 {
                    line.push(' ');
                    length += 1;
                }
                line.push_str(word);
                length += count;
            }
            self.line(indent, &line);
        }
    }
}
