//! The text itself, as people read it.

use meshward_redirect::render::nft::render;

use crate::sets;

#[test]
fn istio_reads_as_nft_writes_it() {
    let rules = sets::istio();
    insta::assert_snapshot!(render(&rules).replace(&rules.fingerprint(), "meshward v1 …"));
}

#[test]
fn every_match_and_action_reads_as_nft_writes_it() {
    let rules = sets::everything();
    insta::assert_snapshot!(render(&rules).replace(&rules.fingerprint(), "meshward v1 …"));
}
