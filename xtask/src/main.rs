//! The project's own verbs, behind the cargo aliases of `.cargo/config.toml`.

fn main() {}
