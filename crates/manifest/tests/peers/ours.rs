//! Reads documents separated by NUL bytes from standard input and prints each as one line of JSON, or `error: …`: what
//! `peer.go` beside it does with `sigs.k8s.io/yaml`, so that `diff` shows where the two part.

use std::io::{Read, Write};

use meshward_manifest::{Documents, Options};

fn main() -> std::io::Result<()> {
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let mut output = std::io::BufWriter::new(std::io::stdout().lock());
    for text in input.split(|byte| *byte == 0) {
        match Documents::new(text, Options::default()).next() {
            None => writeln!(output, "null")?,
            Some(Ok(document)) => writeln!(output, "{}", document.value)?,
            Some(Err(error)) => writeln!(output, "error: {error}")?,
        }
    }
    output.flush()
}
