//! Deleting one rule by name, which tests, benches and the demonstration tamper with.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use meshward_redirect::Mesh;
use meshward_redirect::dialect::{self, Origin, Settings, Surroundings};
use meshward_redirect::netns::{NetNs, OpenNetNs};
use meshward_redirect::nft::{self, Difference, Lock, NfSocket, NftError};

const RULE: &str = "out.redirect";

fn rules() -> meshward_redirect::RuleSet {
    let mut settings = Settings::new(dialect::flags_of(Mesh::Istio));
    settings.set("istio-service-cidr", "*", Origin::Default);
    dialect::build(Mesh::Istio, &settings, Surroundings::default()).unwrap().rules
}

fn namespace() -> Option<NetNs> {
    match NetNs::create() {
        Ok(namespace) => Some(namespace),
        Err(OpenNetNs::Create(error)) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            meshward_netlab::skipped("needs CAP_NET_ADMIN");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn one_rule_goes_and_the_rest_stays() {
    let Some(namespace) = namespace() else { return };
    let socket = namespace.run(NfSocket::open).unwrap().unwrap();
    let delete = || nft::delete_rule(&socket, Mesh::Istio, RULE);
    assert!(!delete().unwrap(), "there is no table yet");
    let rules = rules();
    nft::replace(&socket, &rules, Lock::Off).unwrap();
    assert!(!nft::delete_rule(&socket, Mesh::Istio, "no.such.rule").unwrap());
    assert_eq!(nft::compare(&socket, &rules).unwrap(), None);
    assert!(delete().unwrap());
    let drift = nft::compare(&socket, &rules).unwrap().unwrap();
    assert!(
        matches!(&drift.differences[..], [Difference::RuleMissing { rule, .. }] if rule == RULE),
        "{drift}"
    );
    assert!(!delete().unwrap(), "it is gone already");
}

#[test]
fn a_locked_table_keeps_its_rules() {
    let Some(namespace) = namespace() else { return };
    let [owner, other] = [(); 2].map(|()| namespace.run(NfSocket::open).unwrap().unwrap());
    let rules = rules();
    match nft::replace(&owner, &rules, Lock::Required) {
        Err(NftError::LockUnavailable { .. }) => {
            meshward_netlab::skipped("needs Linux 6.9");
            return;
        }
        replaced => assert!(replaced.unwrap().locked),
    }
    let refused = nft::delete_rule(&other, Mesh::Istio, RULE).unwrap_err();
    assert!(matches!(refused, NftError::Locked { .. }), "{refused}");
    assert_eq!(nft::compare(&owner, &rules).unwrap(), None);
}
