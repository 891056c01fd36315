//! What the command prints: on the pages under `docs/`, and for wrong input. To write what it prints now into the
//! transcripts, run with `TRYCMD=overwrite` and read the difference.

mod block;
mod commands;
mod docs;
