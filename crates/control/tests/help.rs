//! The page of the controller's settings is its own help: a setting that is not on it is one that nobody finds.
//! `MESHWARD_BLESS=1 cargo test -p meshward-control --test help` writes the page anew.

use std::path::Path;

use clap::CommandFactory;
use meshward_control::settings::Settings;

const BEGIN: &str = "```text\n";
const END: &str = "```\n";

#[test]
fn the_page_of_settings_is_the_help() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/controller.md");
    let kept = std::fs::read_to_string(&page).expect("docs/reference/controller.md");
    let (head, rest) = kept.split_once(BEGIN).expect("a block of text");
    let (shown, tail) = rest.split_once(END).expect("the block's end");
    let help = Settings::command().term_width(100).render_long_help().to_string();
    // Empty lines of the help hold blanks.
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = format!("{}\n", lines.join("\n").trim_end());
    if std::env::var_os("MESHWARD_BLESS").is_some() {
        std::fs::write(&page, format!("{head}{BEGIN}{help}{END}{tail}")).expect("the page is written");
        return;
    }
    assert_eq!(shown, help, "docs/reference/controller.md is out of date");
}
