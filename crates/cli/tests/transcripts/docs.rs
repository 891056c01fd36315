//! Every command that the documentation shows is run, and has to print what the documentation says it prints. Blocks
//! marked `console` need no privilege; those marked `console,ignore` are run in a network namespace of their own, which
//! stands for `/run/netns/web`, and are skipped where no namespace may be made. `console,ignore,recorded` is a recording,
//! of what prints something else each time and is tested elsewhere.

use std::path::{Path, PathBuf};

use meshward_netlab::{Bed, Layout, can_switch_users};

use crate::block::{Block, blocks, cases, enter_workspace, meshward};

/// The namespace that the pages speak of.
const NAMESPACE: &str = "/run/netns/web";

fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![PathBuf::from("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of docs") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

fn read(page: &Path) -> Vec<Block> {
    blocks(&std::fs::read_to_string(page).expect("a page"))
}

#[test]
fn commands_print_what_the_pages_say() {
    enter_workspace();
    let cases = cases();
    for page in pages().iter().filter(|page| read(page).iter().any(|block| block.info == "console")) {
        cases.case(page);
    }
    cases.run();
}

#[test]
fn commands_in_a_namespace_print_what_the_pages_say() {
    enter_workspace();
    let folder = tempfile::tempdir().expect("a folder");
    let mut beds = Vec::new();
    for page in pages() {
        let found: Vec<Block> = read(&page).into_iter().filter(in_a_namespace).collect();
        if found.is_empty() {
            continue;
        }
        let Some(bed) = Bed::or_skip(Layout::ipv4()).expect("a bed") else { return };
        let name = page.with_extension("trycmd").to_string_lossy().replace('/', "-");
        let own = bed.pod.path().display().to_string();
        let block =
            |block: &Block| format!("```console\n{}```\n", any_inode(&block.text.replace(NAMESPACE, &own)));
        let text: String = found.iter().map(block).collect();
        std::fs::write(folder.path().join(name), text).expect("a case");
        beds.push(bed);
    }
    assert!(!beds.is_empty(), "no page shows a namespace");
    cases().case(folder.path().join("*.trycmd")).run();
}

/// Rules of iptables about a user need that user to be mapped, which it may not be in a user namespace.
#[allow(clippy::print_stdout)]
fn in_a_namespace(block: &Block) -> bool {
    let fits = !block.text.contains("--backend iptables") || can_switch_users();
    if !fits {
        meshward_netlab::skipped("iptables about users that are not mapped here");
    }
    fits && block.info == "console,ignore"
}

/// The number of a namespace is another one each time: `net:[4026532317]`.
fn any_inode(text: &str) -> String {
    let mut parts = text.split("net:[");
    let mut out = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out.push_str("net:[[..]");
        out.push_str(rest);
    }
    out
}

/// The pages under docs/ are tested by what they print; the front page only by that its commands work.
#[test]
fn the_readme_shows_commands_that_work() {
    enter_workspace();
    let bed = Bed::or_skip(Layout::ipv4()).expect("a bed");
    let mut run = 0;
    let blocks = read(Path::new("README.md"));
    // What is only text is a recording.
    for line in blocks.iter().filter(|block| block.info != "text").flat_map(|block| block.text.lines()) {
        let line = line.strip_prefix("$ ").unwrap_or(line);
        let command = line.split(" #").next().unwrap_or(line).trim();
        // Those that stay until they are interrupted have tests of their own.
        let stays = command.contains("--watch") || command.starts_with("meshward demo");
        if !command.starts_with("meshward ") || stays {
            continue;
        }
        let command = match &bed {
            Some(bed) => command.replace(NAMESPACE, &bed.pod.path().display().to_string()),
            None if command.contains(NAMESPACE) => continue,
            None => command.to_string(),
        };
        let words: Vec<&str> = command
            .split_whitespace()
            .skip(1)
            .map(|word| if word == "web.yaml" { "examples/pods/istio.yaml" } else { word })
            .collect();
        let output = meshward(&words);
        assert!(output.status.success(), "{command}: {output:?}");
        run += 1;
    }
    assert!(run > 0, "the front page shows no command");
}

/// The page of the agent's settings shows its help, which the agent's own tests keep beside its table of settings.
#[test]
fn the_agents_settings_are_those_of_its_help() {
    enter_workspace();
    let kept =
        std::fs::read_to_string("crates/node/tests/snapshots/settings__help.snap").expect("a snapshot");
    // Before the second line of dashes stands where it comes from.
    let help = kept.splitn(3, "---\n").nth(2).expect("its text");
    let page = read(Path::new("docs/reference/node.md"));
    let shown = page.iter().find(|block| block.info == "text").map(|block| block.text.as_str());
    assert_eq!(shown, Some(help), "docs/reference/node.md");
}

/// A link into the repository leads somewhere.
#[test]
fn links_lead_somewhere() {
    enter_workspace();
    for page in pages().into_iter().chain(["CONTRIBUTING.md".into(), "README.md".into()]) {
        let text = std::fs::read_to_string(&page).expect("a page");
        let folder = page.parent().expect("a folder");
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let path = target.split('#').next().unwrap_or_default();
            if path.is_empty() || path.contains("://") || path.contains(' ') {
                continue;
            }
            assert!(folder.join(path).exists(), "{}: {target} is not there", page.display());
        }
    }
}
