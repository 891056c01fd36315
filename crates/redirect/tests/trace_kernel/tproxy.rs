//! Connections that a TPROXY rule takes and a nat rule rewrites all the same: the first packet alone does not tell what
//! becomes of them.

use std::time::Duration;

use meshward_netlab::Error;
use meshward_redirect::builder::{Builder, rule};
use meshward_redirect::net::{Family, Protocol};
use meshward_redirect::nft::{self, Lock};
use meshward_redirect::trace::{Direction, Environment, PacketSpec};
use meshward_redirect::{Action, CtState, Hook, Match, Mesh, RuleSet, TableKind};

use crate::generate::{ROUTING, TPROXY_PORT};
use crate::{end, furnished, objection, probe_of, route};

fn rules(first_only: bool, nat: Action) -> RuleSet {
    let tcp = || Match::Protocol(Protocol::Tcp);
    let mut builder = Builder::new(Mesh::Istio, false);
    builder.routing(ROUTING);
    let mut take = rule("take").matching(tcp());
    if first_only {
        take = take.matching(Match::CtState(vec![CtState::New]));
    }
    let take = take.then(Action::Tproxy { port: TPROXY_PORT, mark: ROUTING.mark });
    builder.base(TableKind::Mangle, Hook::Prerouting, take);
    let rewrite = rule("rewrite").matching(Match::Family(Family::Ipv4)).matching(tcp());
    builder.base(TableKind::Nat, Hook::Prerouting, rewrite.then(nat));
    builder.finish()
}

#[test]
fn a_rewritten_connection_is_lost_unless_it_stays_in_the_pod() -> Result<(), Error> {
    let Some((bed, socket)) = furnished(Protocol::Tcp)? else { return Ok(()) };
    route(&bed, &[Family::Ipv4], true)?;
    let here = Action::Redirect(15006);
    let elsewhere = Action::Dnat { address: "203.0.113.5".parse().unwrap(), port: Some(8600) };
    let environment = Environment { addresses: bed.pod_addresses(), ..Environment::default() };
    for (first_only, nat, arrives) in
        [(true, &here, true), (true, &elsewhere, false), (false, &here, false), (false, &elsewhere, false)]
    {
        let rules = rules(first_only, nat.clone());
        nft::replace(&socket, &rules, Lock::Off).unwrap();
        let packet = PacketSpec::new(Direction::In, "tcp", "10.77.0.2:80").unwrap();
        let trace = packet.from("198.51.100.3").unwrap().trace(&rules, &environment).unwrap();
        let probe = probe_of(&trace.packet, false, !arrives);
        let outcome = bed.probe_within(&[probe], Duration::from_secs(if arrives { 5 } else { 1 }))?.remove(0);
        let told = trace.explain(true);
        assert_eq!(end(&trace).is_some(), arrives, "{first_only} {nat:?}\n{told}");
        assert_eq!(objection(&trace, &outcome), None, "{first_only} {nat:?}\n{told}");
    }
    Ok(())
}
