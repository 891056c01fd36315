//! Every flag of `kyverno apply` and `kyverno test` (1.19), and what becomes of it here: one table, which the command
//! line obeys and the page `docs/reference/kyverno-cli-flags.md` is written from.

use std::ffi::OsString;
use std::fmt::Write as _;

use crate::exit::{Failure, Outcome};
use crate::terminal;

/// A flag of Kyverno's.
#[derive(Debug)]
pub(crate) struct Flag {
    /// Its long name.
    pub(crate) long: &'static str,
    /// Its letter; a space if it has none.
    pub(crate) short: char,
    /// What becomes of it.
    pub(crate) fate: Fate,
}

/// What becomes of a flag.
#[derive(Debug)]
pub(crate) enum Fate {
    /// It does what it does in Kyverno; the remark says where not.
    Supported(&'static str),
    /// It is accepted, and a warning says that it does nothing, and why.
    Ignored(&'static str),
    /// It ends the command with 2, and says why.
    Refused(&'static str),
}

use Fate::{Ignored, Refused, Supported};

const fn flag(long: &'static str, short: char, fate: Fate) -> Flag {
    Flag { long, short, fate }
}

const NO_GIT: Fate = Refused("Git repositories are not fetched; clone it, and name its folder");
const NO_REGISTRY: Fate =
    Ignored("image registries are not asked; give what a policy wants of them in a values file");
const NO_DEPRECATIONS: Fate = Ignored("nothing is deprecated here, so that there is no warning to fail on");
const NO_PAYLOADS: Fate = Refused("only CEL policies are about payloads, and those are not supported");
const NO_LOG: Fate = Ignored("there is no log");

/// The flags of `kyverno test`.
pub(crate) const TEST: [Flag; 11] = [
    flag("detailed-results", ' ', Supported("")),
    flag("fail-only", ' ', Supported("")),
    flag("file-name", 'f', Supported("")),
    flag("git-branch", 'b', NO_GIT),
    flag(
        "output-format",
        'o',
        Supported("one document for all tests; what is not the document goes to standard error"),
    ),
    flag("registry", ' ', NO_REGISTRY),
    flag("remove-color", ' ', Supported("colours are only for terminals anyway")),
    flag("require-tests", ' ', Supported("")),
    flag("test-case-selector", 't', Supported("")),
    flag("v", 'v', NO_LOG),
    flag("warnings-as-errors", ' ', NO_DEPRECATIONS),
];

/// The flags of `kyverno apply`.
pub(crate) const APPLY: [Flag; 47] = [
    flag("audit-warn", ' ', Supported("")),
    flag("batch-size", ' ', Ignored("lists come in pages of 500")),
    flag(
        "cluster",
        'c',
        Supported(
            "not together with --resource; without a policy, those of the cluster and its PolicyExceptions",
        ),
    ),
    flag("cluster-wide-resources", ' ', Supported("without --namespace they are always read")),
    flag("concurrent", ' ', Ignored("files are always read by as many threads as there are cores")),
    flag("context", ' ', Supported("")),
    flag("context-file", ' ', Ignored("only CEL policies read it, and those are not supported")),
    flag("continue-on-error", ' ', Ignored("what can be read is always worked on")),
    flag("continue-on-fail", ' ', Ignored("the next object is always worked on")),
    flag("crd-path", ' ', Supported("says which kinds have no namespace")),
    flag("crd-paths", ' ', Supported("says which kinds have no namespace")),
    flag("detailed-results", ' ', Supported("")),
    flag("envoy-payload", ' ', NO_PAYLOADS),
    flag("exception", 'e', Supported("")),
    flag("exceptions", ' ', Supported("")),
    flag("exceptions-with-resources", ' ', Supported("")),
    flag("exceptions-within-policies", ' ', Supported("")),
    flag("exceptions-within-resources", ' ', Supported("")),
    flag("generate-exceptions", ' ', Supported("")),
    flag("generated-exception-ttl", ' ', Supported("")),
    flag("git-branch", 'b', NO_GIT),
    flag("http-payload", ' ', NO_PAYLOADS),
    flag("json", ' ', NO_PAYLOADS),
    flag("kubeconfig", ' ', Supported("")),
    flag("namespace", 'n', Supported("")),
    flag(
        "output",
        'o',
        Supported(
            "table, json, yaml, sarif, junit or markdown is a form of the results; a path is where Kyverno \
                   writes mutated objects, and ignored with a warning, because nothing is mutated",
        ),
    ),
    flag("output-format", ' ', Supported("of policy reports and exceptions: yaml or json")),
    flag(
        "parameter-resource",
        ' ',
        Ignored("only admission policies of Kubernetes read them, and those are not supported"),
    ),
    flag("password", ' ', NO_GIT),
    flag("policy-report", 'p', Supported("")),
    flag("registry", ' ', NO_REGISTRY),
    flag("remove-color", ' ', Supported("colours are only for terminals anyway")),
    flag("resource", 'r', Supported("")),
    flag("resources", ' ', Supported("")),
    flag("set", 's', Supported("a setting that cannot be used is told, not dropped")),
    flag("show-performance", ' ', Ignored("`cargo bench-peers` measures it")),
    flag("stdin", 'i', Supported("leaves out the heading, as in Kyverno; nothing is mutated")),
    flag("table", 't', Supported("")),
    flag("target-resource", ' ', Ignored("only mutation has targets, and nothing is mutated")),
    flag("target-resources", ' ', Ignored("only mutation has targets, and nothing is mutated")),
    flag("userinfo", 'u', Supported("")),
    flag("username", ' ', NO_GIT),
    flag("v", 'v', NO_LOG),
    flag("values-file", 'f', Supported("")),
    flag("warn-exit-code", ' ', Supported("")),
    flag("warn-no-pass", ' ', Supported("")),
    flag("warnings-as-errors", ' ', NO_DEPRECATIONS),
];

/// Flags that are on or off. Kyverno's parser also takes `--flag=true` and `--flag=false` for them.
const SWITCHES: [&str; 21] = [
    "audit-warn",
    "cluster",
    "cluster-wide-resources",
    "continue-on-error",
    "continue-on-fail",
    "detailed-results",
    "exceptions-with-resources",
    "exceptions-within-policies",
    "exceptions-within-resources",
    "fail-only",
    "generate-exceptions",
    "kyverno-lenient",
    "policy-report",
    "registry",
    "remove-color",
    "require-tests",
    "show-performance",
    "stdin",
    "table",
    "warn-no-pass",
    "warnings-as-errors",
];

/// `--table=true` as `--table`, and nothing for `--table=false`; `None` for any other word.
pub(crate) fn switch(word: &str) -> Option<Option<OsString>> {
    let (name, value) = word.strip_prefix("--")?.split_once('=')?;
    if !SWITCHES.contains(&name) {
        return None;
    }
    match value {
        "true" => Some(Some(format!("--{name}").into())),
        "false" => Some(None),
        _ => None,
    }
}

/// Does to the flags that were given what the table says. `given` lists those that are not simply supported.
pub(crate) fn refuse_or_warn(table: &[Flag], given: &[(&str, bool)]) -> Outcome {
    for flag in table.iter().filter(|flag| given.contains(&(flag.long, true))) {
        match flag.fate {
            Supported(_) => {}
            Ignored(why) => terminal::warning(&format!("--{} does nothing: {why}", flag.long)),
            Refused(why) => return Err(Failure::input(format!("--{} is not supported: {why}", flag.long))),
        }
    }
    Ok(())
}

/// `kyverno-cli-flags.md`
pub(crate) fn page() -> String {
    let mut text = String::from(
        "# Kyverno's flags\n\nWritten by `cargo xtask docs`; do not edit.\n\n`meshward apply` and `meshward test` take \
         every flag of `kyverno apply` and `kyverno test` 1.19.\nWhat is ignored is told on standard error; what is \
         refused ends the command with 2.\n",
    );
    for (verb, table) in [("apply", APPLY.as_slice()), ("test", &TEST)] {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n## {verb}\n\n| flag | | remark |\n|---|---|---|\n");
        for Flag { long, short, fate } in table {
            let (word, remark) = match fate {
                Supported(remark) => ("supported", remark),
                Ignored(why) => ("ignored", why),
                Refused(why) => ("refused", why),
            };
            let letter = if *short == ' ' { String::new() } else { format!("`-{short}`, ") };
            let _ = writeln!(text, "| {letter}`--{long}` | {word} | {} |", remark.replace('|', "\\|"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_may_have_a_value() {
        assert_eq!(switch("--table=true"), Some(Some("--table".into())));
        assert_eq!(switch("--table=false"), Some(None));
        assert_eq!(switch("--table=maybe"), None);
        assert_eq!(switch("--set=true"), None);
        assert_eq!(switch("--table"), None);
    }

    #[test]
    fn the_command_line_has_every_flag_of_the_table() {
        let command = crate::command();
        for (verb, table) in [("apply", APPLY.as_slice()), ("test", &TEST)] {
            let verb = command.find_subcommand(verb).unwrap();
            for Flag { long, short, .. } in table {
                let known = |argument: &&clap::Arg| {
                    let others = argument.get_all_aliases().unwrap_or_default();
                    argument.get_long() == Some(long) || others.contains(long)
                };
                let argument = verb.get_arguments().find(known).unwrap_or_else(|| panic!("--{long}"));
                if *short != ' ' {
                    assert_eq!(argument.get_short(), Some(*short), "--{long}");
                }
            }
        }
    }
}
