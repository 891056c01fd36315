//! Fenced blocks of Markdown, and running what stands in them.

use std::path::Path;
use std::process::{Command, Output};

use trycmd::TestCases;
use trycmd::schema::Bin;

const MESHWARD: &str = env!("CARGO_BIN_EXE_meshward");

/// One fenced block.
#[derive(Debug)]
pub(crate) struct Block {
    /// What stands behind the opening fence.
    pub(crate) info: String,
    /// The lines between the fences.
    pub(crate) text: String,
}

/// The fenced blocks of a page, in order.
pub(crate) fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let text = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .fold(String::new(), |text, line| text + line + "\n");
        blocks.push(Block { info: info.to_string(), text });
    }
    blocks
}

/// Paths on the pages are those of the repository.
pub(crate) fn enter_workspace() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    std::env::set_current_dir(root).expect("the workspace");
}

/// Transcripts of `meshward`, and of the programs that the pages use beside it.
pub(crate) fn cases() -> TestCases {
    let cases = TestCases::new();
    cases.register_bin("meshward", Path::new(MESHWARD));
    for (name, paths) in
        [("nsenter", ["/usr/bin/nsenter", "/bin/nsenter"]), ("cat", ["/usr/bin/cat", "/bin/cat"])]
    {
        if let Some(path) = paths.into_iter().map(Path::new).find(|path| path.exists()) {
            cases.register_bin(name, Bin::from(path.to_path_buf()));
        }
    }
    cases
}

/// Runs `meshward` and gives what came of it.
pub(crate) fn meshward(arguments: &[&str]) -> Output {
    Command::new(MESHWARD).args(arguments).output().expect("meshward runs")
}
