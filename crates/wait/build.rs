//! Packs the relative relocations of the static program (`DT_RELR`, which musl applies since 1.2.4): a position-independent
//! program has a thousand of them, and every pod of a mesh pulls this one. Linkers that cannot do it say so and go on.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_ENV").as_deref() == Ok("musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
