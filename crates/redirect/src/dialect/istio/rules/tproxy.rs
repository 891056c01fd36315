//! TPROXY interception: inbound connections move from nat to mangle, and marks keep the proxy's connections with a
//! borrowed source address apart from those it must capture.

use super::{
    INBOUND, Owner, inbound_captures, inbound_exclusions, loopbacks, passthroughs, tcp, to_loopback,
};
use crate::builder::{Builder, rule};
use crate::dialect::istio::options::{Options, SELF_CALL_MARK};
use crate::net::{InterfaceName, MaskedMark};
use crate::ruleset::{Action, ChainName, CtState, Hook, Match, PolicyRouting, TableKind};

const DIVERT: ChainName = ChainName::new("divert");
const TPROXY: ChainName = ChainName::new("tproxy");
const MODE: &str = "istio-inbound-interception-mode";

fn mark(value: u32, negate: bool) -> Match {
    Match::Mark { mark: MaskedMark::exact(value), negate }
}

fn from_loopback() -> Match {
    Match::InInterface(InterfaceName::loopback())
}

pub(super) fn inbound(rules: &mut Builder, options: &Options) {
    rules.routing(PolicyRouting { mark: options.tproxy_mark, table: options.tproxy_route_table });
    let jump = rule("in.tcp").option("istio-inbound-ports").matching(tcp()).then(Action::Jump(INBOUND));
    rules.base(TableKind::Mangle, Hook::Prerouting, jump);
    unintercepted(rules, options);
    inbound_exclusions(rules, TableKind::Mangle, options);
    let established = Match::CtState(vec![CtState::Related, CtState::Established]);
    for (_, one) in inbound_captures(options) {
        let start = |name| rule(name).option("istio-inbound-ports").matching(one.clone());
        let known = start("in.established").matching(established.clone()).then(Action::Jump(DIVERT));
        rules.chain(TableKind::Mangle, INBOUND, known);
        rules.chain(TableKind::Mangle, INBOUND, start("in.new").then(Action::Jump(TPROXY)));
    }
    let divert = |name, action| rule(name).option(MODE).then(action);
    rules.chain(TableKind::Mangle, DIVERT, divert("in.divert-mark", Action::SetMark(options.tproxy_mark)));
    rules.chain(TableKind::Mangle, DIVERT, divert("in.divert", Action::Accept));
    for loopback in loopbacks(options) {
        let start =
            |name| rule(name).option(MODE).matching(Match::destination(loopback, true)).matching(tcp());
        let intercept = Action::Tproxy { port: options.inbound_capture_port, mark: options.tproxy_mark };
        rules.chain(TableKind::Mangle, TPROXY, start("in.tproxy").then(intercept));
        // iptables' TPROXY drops when nothing listens, nftables' lets the packet through uncaptured.
        rules.chain(TableKind::Mangle, TPROXY, start("in.tproxy-no-listener").then(Action::Drop));
    }
}

/// Istio inserts these on top: packets already marked, the proxy's way to the application, and what applications of
/// the pod send each other.
fn unintercepted(rules: &mut Builder, options: &Options) {
    let start = |name| rule(name).option(MODE).matching(tcp());
    let marked = start("in.marked").matching(mark(options.tproxy_mark, false)).then(Action::Return);
    rules.chain(TableKind::Mangle, INBOUND, marked);
    for source in passthroughs() {
        let passthrough = start("in.passthrough").matching(Match::source(source, false));
        rules.chain(TableKind::Mangle, INBOUND, passthrough.matching(from_loopback()).then(Action::Return));
    }
    let local = start("in.app-loopback").matching(from_loopback()).matching(mark(SELF_CALL_MARK, true));
    rules.chain(TableKind::Mangle, INBOUND, local.then(Action::Return));
}

/// Marks that travel between a packet and its connection.
pub(super) fn marks(rules: &mut Builder, options: &Options) {
    let start = |name| rule(name).option(MODE).matching(tcp());
    let save = start("in.save-mark").matching(mark(options.tproxy_mark, false)).then(Action::SaveMark);
    rules.base(TableKind::Mangle, Hook::Prerouting, save);
    let marked = start("out.marked").matching(to_loopback()).matching(mark(options.tproxy_mark, false));
    rules.base(TableKind::Mangle, Hook::Output, marked.then(Action::Return));
    let users = options.proxy_uid.iter().map(|id| Owner::User(*id));
    for owner in users.chain(options.proxy_gid.iter().map(|id| Owner::Group(*id))) {
        for loopback in loopbacks(options) {
            let call = owner
                .rule("out.mark-self-call-uid", "out.mark-self-call-gid")
                .matching(Match::destination(loopback, true))
                .matching(tcp())
                .matching(to_loopback())
                .matching(owner.is());
            rules.base(TableKind::Mangle, Hook::Output, call.then(Action::SetMark(SELF_CALL_MARK)));
        }
    }
    let restore = start("out.restore-mark").matching(Match::ConnMark(MaskedMark::exact(options.tproxy_mark)));
    rules.base(TableKind::Mangle, Hook::Output, restore.then(Action::RestoreMark));
}
