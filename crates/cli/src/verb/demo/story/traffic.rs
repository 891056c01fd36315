//! Requests through the pod, each followed from its author to whoever answered it.

use std::net::SocketAddr;

use super::super::actor::{Capture, Fetched};
use super::cast::SERVER;
use super::{Failure, HTTP, Outcome, Stage, expect};

/// Without rules a request goes where it is sent.
pub(super) fn before(stage: &mut Stage) -> Outcome {
    stage.paper.step("Without rules: the mesh is bypassed");
    let to = stage.server(HTTP)?;
    let fetched = stage.straight(to)?;
    stage.paper.seen("request", &straight_way(stage, &fetched));
    Ok(())
}

/// Outbound requests, one in each family.
pub(super) fn outbound(stage: &mut Stage) -> Outcome {
    stage.paper.step("Outbound: the application calls a server, the proxy gets the connection");
    for address in stage.network.server_addresses() {
        let (fetched, capture) = stage.through_proxy(SocketAddr::new(address, HTTP))?;
        let app = stage.called(&stage.pod.app);
        stage.paper.fact("request", &format!("{app}, {}, calls {}", fetched.local, fetched.served.at));
        stage.paper.seen("captured", &told(&capture));
        match capture.onward {
            Some(onward) => {
                let proxy = stage.called(&stage.pod.proxy);
                let text =
                    format!("by {proxy} from {onward} to {}, and not captured again", fetched.served.at);
                stage.paper.seen("passed on", &text);
                let text = format!("by {}, which saw {}", fetched.served.by, fetched.served.client);
                stage.paper.seen("answered", &text);
            }
            None => stage.paper.seen("answered", "by the proxy itself"),
        }
    }
    Ok(())
}

/// A request from outside to the application.
pub(super) fn inbound(stage: &mut Stage) -> Outcome {
    stage.paper.step("Inbound: somebody calls the pod, the proxy gets that too");
    let to = SocketAddr::new(stage.network.pod_address(), stage.pod.app_port);
    let fetched = stage.world.fetch(to)?;
    let capture = stage.one_capture(&fetched, stage.ports.1, to)?;
    let app = &stage.pod.app.name;
    let seen = || format!("{fetched:?} {capture:?}");
    expect(fetched.served.by == *app, "the application answers", seen)?;
    expect(
        capture.onward == Some(fetched.served.client),
        "the application saw the proxy's connection",
        seen,
    )?;
    stage.paper.fact("request", &format!("the peer, {}, calls {to}", fetched.local));
    stage.paper.seen("captured", &told(&capture));
    let text = format!("by {} to {app}, which saw {}", stage.called(&stage.pod.proxy), fetched.served.client);
    stage.paper.seen("passed on", &text);
    Ok(())
}

/// A request to the port that the manifest leaves out.
pub(super) fn excluded(stage: &mut Stage) -> Outcome {
    stage.paper.step("The excluded port passes by the proxy");
    let to = stage.server(stage.excluded)?;
    let fetched = stage.straight(to)?;
    stage.paper.seen("request", &straight_way(stage, &fetched));
    Ok(())
}

fn straight_way(stage: &Stage, fetched: &Fetched) -> String {
    let app = stage.called(&stage.pod.app);
    let Fetched { local, served, .. } = fetched;
    format!(
        "{app}, {local}, calls {}; {} answers and saw {}: no proxy on the way",
        served.at, served.by, served.client
    )
}

fn told(capture: &Capture) -> String {
    format!("on port {}, original destination {}", capture.port, capture.original)
}

impl Stage {
    /// The server outside, by IPv4.
    pub(super) fn server(&self, port: u16) -> Result<SocketAddr, Failure> {
        let first = self.network.server_addresses().first().copied();
        first
            .map(|address| SocketAddr::new(address, port))
            .ok_or_else(|| Failure::impossible("there is no server"))
    }

    /// The application's request, which must meet nobody on its way.
    pub(super) fn straight(&mut self, to: SocketAddr) -> Result<Fetched, Failure> {
        let fetched = self.app.fetch(to)?;
        let captures = self.proxy.captures()?;
        let seen = || format!("{fetched:?} {captures:?}");
        expect(fetched.via.is_none() && captures.is_empty(), "the proxy is not on the way", seen)?;
        expect(fetched.served.by == SERVER && fetched.served.at == to, "the server answers", seen)?;
        expect(fetched.served.client == fetched.local, "the server sees the application's connection", seen)?;
        Ok(fetched)
    }

    /// The application's request, which the proxy must take and pass on.
    pub(super) fn through_proxy(&mut self, to: SocketAddr) -> Result<(Fetched, Capture), Failure> {
        let fetched = self.app.fetch(to)?;
        let capture = self.one_capture(&fetched, self.ports.0, to)?;
        let seen = || format!("{fetched:?} {capture:?}");
        expect(fetched.served.at == to, "the answer is from where the request was sent", seen)?;
        if self.distinct {
            expect(fetched.served.by == SERVER, "the server answers", seen)?;
            expect(
                capture.onward == Some(fetched.served.client),
                "the server saw the proxy's connection",
                seen,
            )?;
        }
        Ok((fetched, capture))
    }

    /// The one connection the proxy must have captured, on this port and with this original destination.
    fn one_capture(&mut self, fetched: &Fetched, port: u16, to: SocketAddr) -> Result<Capture, Failure> {
        let captures = self.proxy.captures()?;
        let seen = || format!("{fetched:?} {captures:?}");
        expect(fetched.via == Some(port), &format!("the answer came by the proxy's port {port}"), seen)?;
        match &captures[..] {
            [capture] => {
                expect(capture.port == port, "the connection arrived on that port", seen)?;
                expect(capture.original == to, "its original destination is known", seen)?;
                expect(capture.client == fetched.local, "its source is the author's", seen)?;
                Ok(capture.clone())
            }
            _ => Err(Failure::impossible(format!(
                "not as it should be: one connection was captured; seen: {}",
                seen()
            ))),
        }
    }
}
