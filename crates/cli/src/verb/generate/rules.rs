//! One page a mesh: its options and its rules, from the same tables that the program itself reads and writes.

use std::fmt::Write as _;

use meshward_redirect::builder::IPV6_GUARD;
use meshward_redirect::dialect::{
    self, Effect, Flag, FlagKind, InvalidOption, Origin, Settings, Surroundings, explanations,
};
use meshward_redirect::render;
use meshward_redirect::{Mesh, Rule, RuleSet, TableKind};

use super::showcase;

/// A rule name with everything the page says about it.
struct Entry {
    name: &'static str,
    explanation: &'static str,
    /// Where rules of this name stand: `nat output`.
    places: Vec<String>,
    options: Vec<String>,
    nft: String,
    iptables: String,
}

/// The page.
///
/// # Errors
/// When a showcase is not accepted, or a rule has no example in any: both are mistakes of ours.
pub(super) fn page(mesh: Mesh) -> Result<String, String> {
    let sets = showcase::of(mesh)
        .iter()
        .map(|flags| build(mesh, flags))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("a showcase of {mesh} is not accepted: {error}"))?;
    let entries = explanations(mesh)
        .map(|(name, explanation)| {
            entry(name, explanation, &sets).ok_or(format!("no showcase of {mesh} brings rule {name}"))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = format!(
        "# {}: options and rules\n\nWritten by `cargo xtask docs`; do not edit. What the options are made from: \
         [{mesh}](../meshes/{mesh}.md).\n",
        title(mesh)
    );
    options(mesh, &mut text);
    rules(&entries, &mut text);
    Ok(text)
}

fn title(mesh: Mesh) -> &'static str {
    match mesh {
        Mesh::Istio => "Istio",
        Mesh::Linkerd => "Linkerd",
        Mesh::Kuma => "Kuma",
        Mesh::Consul => "Consul",
    }
}

fn build(mesh: Mesh, flags: showcase::Flags) -> Result<RuleSet, InvalidOption> {
    let mut settings = Settings::new(dialect::flags_of(mesh));
    for (option, value) in flags {
        settings.set(option, *value, Origin::Default);
    }
    Ok(dialect::build(mesh, &settings, Surroundings::default())?.rules)
}

fn entry(name: &'static str, explanation: &'static str, sets: &[RuleSet]) -> Option<Entry> {
    let of_name = |set| RuleSet::rules(set).filter(|(_, _, rule)| rule.name == name);
    let (set, (table, _, example)) =
        sets.iter().find_map(|set| of_name(set).next().map(|first| (set, first)))?;
    let (mut places, mut options) = (Vec::new(), Vec::new());
    for (table, chain, rule) in sets.iter().flat_map(of_name) {
        add(&mut places, format!("{} {}", table.kind.name(), chain.name));
        rule.option.iter().for_each(|option| add(&mut options, option.to_string()));
    }
    let (nft, iptables) = texts(set, table.kind, example);
    Some(Entry { name, explanation, places, options, nft, iptables })
}

/// The rule as nft writes it, and as iptables does where it writes it at all.
fn texts(set: &RuleSet, kind: TableKind, rule: &Rule) -> (String, String) {
    let iptables = render::iptables::rule_text(set.mesh, rule);
    let written = render::iptables::render(set).lines().any(|line| line.ends_with(&format!(" {iptables}")));
    let iptables =
        if written && rule.name != IPV6_GUARD { iptables } else { "(no rule of iptables is needed)".into() };
    (render::nft::rule_text(kind, rule), iptables)
}

fn add(list: &mut Vec<String>, one: String) {
    if !list.contains(&one) {
        list.push(one);
    }
}

/// Text in a cell of a Markdown table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('*', "\\*").replace('<', "&lt;")
}

fn code(text: &str) -> String {
    format!("`{}`", text.replace('|', "\\|"))
}

fn codes<T: AsRef<str>>(texts: &[T]) -> String {
    texts.iter().map(|text| code(text.as_ref())).collect::<Vec<_>>().join("<br>")
}

// Writing to a String cannot fail, here and below.
fn options(mesh: Mesh, text: &mut String) {
    let flags = dialect::flags_of(mesh);
    let (with, without): (Vec<&Flag>, Vec<&Flag>) =
        flags.iter().partition(|flag| flag.effect == Effect::Rules);
    let _ = write!(
        text,
        "\n## Options\n\nA flag is stronger than its environment variable; of several variables the first is the \
         strongest. On meshward's own command line `-o`, `-h`, `--netns` and `--dry-run` are meshward's; in the arguments \
         of an init container they are the mesh's.\n\n| flag | default | environment | meaning |\n|---|---|---|---|\n"
    );
    for flag in with {
        let default = if flag.default.is_empty() { String::new() } else { code(flag.default) };
        let _ = writeln!(
            text,
            "| {} | {default} | {} | {} |",
            forms(flag),
            codes(flag.environment),
            cell(flag.help)
        );
    }
    let _ = write!(
        text,
        "\n## Options without effect\n\nAccepted, so that the mesh's own command lines keep working.\n\n\
         | flag | environment | why it has no effect |\n|---|---|---|\n"
    );
    for flag in without {
        let Effect::None(why) = flag.effect else { continue };
        let _ = writeln!(text, "| {} | {} | {} |", forms(flag), codes(flag.environment), cell(why));
    }
}

/// Every way to write a flag.
fn forms(flag: &Flag) -> String {
    let value = match flag.kind {
        // What is on by default can only be switched off.
        FlagKind::Switch if flag.default == "true" => "=BOOL".into(),
        FlagKind::Switch => String::new(),
        FlagKind::Value(name) | FlagKind::List(name) | FlagKind::Items(name) => format!(" {name}"),
    };
    let mut forms = vec![format!("--{}{value}", flag.long)];
    forms.extend(flag.short.map(|letter| format!("-{letter}{value}")));
    forms.extend(flag.aliases.iter().map(|alias| format!("--{alias}{value}")));
    codes(&forms)
}

fn rules(entries: &[Entry], text: &mut String) {
    text.push_str("\n## Rules\n\n| rule | where | comes from | what it does and why |\n|---|---|---|---|\n");
    for entry in entries {
        let options: Vec<String> = entry.options.iter().map(|option| format!("--{option}")).collect();
        let anchor = entry.name.replace('.', "");
        let _ = writeln!(
            text,
            "| [{}](#{anchor}) | {} | {} | {} |",
            code(entry.name),
            entry.places.join("<br>"),
            codes(&options),
            cell(entry.explanation)
        );
    }
    text.push_str("\n## Examples\n\nEach rule as nft writes it, and below it as iptables does.\n");
    for entry in entries {
        let _ = write!(text, "\n### {}\n\n```text\n{}\n{}\n```\n", entry.name, entry.nft, entry.iptables);
    }
}
