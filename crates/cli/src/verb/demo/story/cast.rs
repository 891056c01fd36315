//! The pod as its mesh injected it, and its containers as processes with just the privileges the manifest gives them.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::fs::MetadataExt;

use meshward_redirect::netns::NetNsId;

use super::super::pod;
use super::super::status::Status;
use super::{
    Actor, Container, Failure, HTTP, Network, Outcome, Paper, Part, Pod, ProxyPart, Stage, Standing, expect,
    standing,
};

/// The source address by which Istio's rules know what the proxy passes on to the application.
const INBOUND_SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 6));
/// How the server outside is called.
pub(super) const SERVER: &str = "server";

/// Tells what the manifest asks for.
pub(super) fn introduce(paper: &mut Paper, pod: &Pod) -> Outcome {
    paper.step("A pod as Istio's injector left it");
    let Pod { init, app, proxy, plan, .. } = pod;
    paper.fact("manifest", &format!("{}, pod {}", pod::FILE, pod.name));
    paper.fact("containers", &format!("{} (init), {}, {}", init.name, app.name, proxy.name));
    paper.fact(
        &init.name,
        &format!(
            "wants uid {} and {}, to write packet rules from inside the pod",
            init.user.0,
            init.adds.join(", ")
        ),
    );
    let setting = |option: &str| plan.settings.get(option).value;
    let (out, inbound, own) = (setting("envoy-port"), setting("inbound-capture-port"), setting("proxy-uid"));
    paper.fact(
        "asks for",
        &format!(
            "outbound connections to port {out}, inbound to port {inbound}, those of uid {own} left alone"
        ),
    );
    let excluded = plan.settings.get("istio-local-outbound-ports-exclude");
    paper.fact("leaves out", &format!("outbound port {} ({})", excluded.value, excluded.origin));
    Ok(())
}

/// Makes the networks and starts the processes.
pub(super) fn raise(mut paper: Paper, pod: Pod, standing: Standing) -> Result<Stage, Failure> {
    let ids = [&pod.app, &pod.proxy].map(|container| [container.user.0, container.user.1]).concat();
    let distinct = standing::has_ids(&ids);
    paper.step("Its containers as processes, with what the manifest gives them");
    let network = Network::build()?;
    let excluded = pod.port("istio-local-outbound-ports-exclude")?;
    let ports = (pod.port("envoy-port")?, pod.port("inbound-capture-port")?);
    paper.fact("pod", &format!("network namespace {}, address {}", network.pod.id(), network.pod_address()));
    let server = network.server_addresses();
    let addresses: Vec<String> = server.iter().map(ToString::to_string).collect();
    paper.fact(
        "peer",
        &format!("network namespace {}, address {}", network.peer.id(), addresses.join(" and ")),
    );

    let init = Actor::start(&as_part(&pod.init, distinct), Some(&network.pod))?;
    let status = Status::of(init.pid())?;
    paper.fact(init.name(), &format!("pid {:<6} {status}", init.pid()));
    expect(status.effective != 0, "the init container gets what its manifest asks for", || {
        status.to_string()
    })?;
    drop(init);
    paper.why(&format!(
        "That process has ended and {} never runs again: the rules come from outside. What is left in the pod has no \
         capability, and no way to one (empty bounding set, no new privileges):",
        pod.init.name
    ));
    let serves = with_port(&network.any(), pod.app_port);
    let app = Actor::start(&Part { serves, ..as_part(&pod.app, distinct) }, Some(&network.pod))?;
    let part = Part { proxy: Some(proxy_part(&network, ports, distinct)), ..as_part(&pod.proxy, distinct) };
    let proxy = Actor::start(&part, Some(&network.pod))?;
    for (actor, container) in [(&app, &pod.app), (&proxy, &pod.proxy)] {
        let status = Status::of(actor.pid())?;
        paper.seen(actor.name(), &format!("pid {:<6} {status}", actor.pid()));
        expect(status.is_bare(), "a container of the pod has no capability", || format!("{status:x?}"))?;
        let user = if distinct { container.user.0 } else { 0 };
        expect(status.user == user, &format!("{} runs as uid {user}", container.name), || {
            status.to_string()
        })?;
    }
    if !distinct {
        tell_of_one_id(&paper, standing, &pod);
    }
    let serves = [HTTP, excluded].map(|port| with_port(&network.any(), port)).concat();
    let world = Actor::start(&Part { name: SERVER.into(), serves, ..Part::default() }, Some(&network.peer))?;
    let rules = pod.rules(network.ipv6)?;
    Ok(Stage { paper, pod, distinct, rules, excluded, ports, app, proxy, world, network })
}

fn tell_of_one_id(paper: &Paper, standing: Standing, pod: &Pod) {
    let why = match standing {
        Standing::SingleId { .. } => {
            "This user may use one id only (no newuidmap, or no range in /etc/subuid and /etc/subgid)"
        }
        _ => "This namespace has no other ids",
    };
    paper.why(&format!(
        "{why}: {} and {} are the same user here, so rules cannot tell one from the other, and the proxy will answer \
         outbound requests itself instead of passing them on. All else is as for root.",
        pod.app.name, pod.proxy.name
    ));
}

fn as_part(container: &Container, distinct: bool) -> Part {
    Part {
        name: container.name.clone(),
        user: Some(container.user).filter(|(user, _)| distinct && *user != 0),
        capabilities: Some(container.adds.clone()),
        ..Part::default()
    }
}

fn proxy_part(network: &Network, (outbound, inbound): (u16, u16), forwards: bool) -> ProxyPart {
    let any = network.any();
    ProxyPart {
        outbound: with_port(&any, outbound),
        inbound: with_port(&any, inbound),
        inbound_source: INBOUND_SOURCE,
        forwards,
    }
}

fn with_port(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    addresses.iter().map(|address| SocketAddr::new(*address, port)).collect()
}

/// The processes in any of these network namespaces, as far as we may look.
pub(super) fn processes_in(namespaces: &[NetNsId]) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| {
            let id = fs::metadata(format!("/proc/{pid}/ns/net"));
            id.is_ok_and(|id| namespaces.iter().any(|one| (one.device, one.inode) == (id.dev(), id.ino())))
        })
        .collect()
}
