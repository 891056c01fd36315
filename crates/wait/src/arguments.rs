//! The command line: two options, so no parser is worth its size.

use std::time::Duration;

pub(crate) const USAGE: &str = "\
Waits until the node agent has put this pod's mesh rules in force, and tries them. Ends with 0 then.

usage: meshward-wait [--timeout=SECONDS] [--exit-code=96|95|126]
  --timeout    give up after this long [default: 300]
  --exit-code  what to end with then: 96 ours, 95 as Linkerd's validator, 126 as Istio's [default: 96]
  --version    print the version
Until then it says on standard error what it waits for: at once, when that changes, and every 30 seconds.";

/// The longest wait: a day.
const LONGEST: u64 = 86_400;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) timeout: Duration,
    pub(crate) exit_code: u8,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    Run(Arguments),
    Help,
    Version,
}

/// Reads `--option=value` and `--option value`.
///
/// # Errors
/// What was found and what is accepted.
pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Parsed, String> {
    let mut arguments = Arguments { timeout: Duration::from_secs(300), exit_code: 96 };
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option.to_string(), Some(value.to_string())),
            None => (word, None),
        };
        match option.as_str() {
            "--help" | "-h" => return Ok(Parsed::Help),
            "--version" | "-V" => return Ok(Parsed::Version),
            "--timeout" | "--exit-code" => {}
            _ => return Err(format!("found {option:?}, accepted: --timeout, --exit-code")),
        }
        let value = value.or_else(|| words.next()).unwrap_or_default();
        let number: Option<u64> = value.parse().ok();
        match (option.as_str(), number) {
            ("--timeout", Some(seconds @ 1..=LONGEST)) => arguments.timeout = Duration::from_secs(seconds),
            ("--timeout", _) => {
                return Err(format!("--timeout: found {value:?}, accepted: seconds, 1 to {LONGEST}"));
            }
            (_, Some(96)) => arguments.exit_code = 96,
            (_, Some(95)) => arguments.exit_code = 95,
            (_, Some(126)) => arguments.exit_code = 126,
            _ => return Err(format!("--exit-code: found {value:?}, accepted: 96, 95 or 126")),
        }
    }
    Ok(Parsed::Run(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Parsed, String> {
        parse(line.split_whitespace().map(str::to_string))
    }

    #[test]
    fn command_lines() {
        let run = |seconds, exit_code| {
            Ok(Parsed::Run(Arguments { timeout: Duration::from_secs(seconds), exit_code }))
        };
        assert_eq!(parsed(""), run(300, 96));
        assert_eq!(parsed("--timeout=5 --exit-code=126"), run(5, 126));
        assert_eq!(parsed("--timeout 86400 --exit-code 95"), run(86_400, 95));
        assert_eq!(parsed("--version"), Ok(Parsed::Version));
        assert_eq!(parsed("--timeout=5 -h"), Ok(Parsed::Help));
        for line in [
            "--timeout",
            "--timeout=0",
            "--timeout=86401",
            "--timeout=1s",
            "--exit-code=0",
            "--exit-code=1",
            "x",
            "--x=1",
        ] {
            assert!(parsed(line).is_err_and(|problem| problem.contains("accepted: ")), "{line}");
        }
    }
}
