//! Real packets: what is sent, and what became of it. A batch of probes is sent at once and one poll loop serves the
//! senders and every listener, so hundreds of packets take milliseconds and only silence costs waiting.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_res_gid, set_thread_res_uid};
use socket2::{Domain, Socket, Type};

use crate::listener::set_transparent;
use crate::{Arrival, Bed, Error, Place, Protocol};

/// Source ports of probes start here, away from the ports that tests listen on (Consul's proxy has 20000): a probe's
/// socket is held for a moment longer by a program that another test starts at that time, and its port with it.
pub(crate) const FIRST_PORT: u16 = 24_000;
const LAST_PORT: u16 = 60_000;

/// How long a packet that should arrive may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to listen for packets that should not arrive, once all the others have.
const GRACE: Duration = Duration::from_millis(40);

/// One packet to send (the first of a connection, for TCP).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// Where it is sent.
    pub from: Place,
    /// How.
    pub protocol: Protocol,
    /// The source address; none lets the kernel choose. It may be an address that is not the sender's own.
    pub source: Option<IpAddr>,
    /// The source port; none gives it one that no other probe of the bed has had.
    pub source_port: Option<u16>,
    /// Where it should go.
    pub destination: SocketAddr,
    /// From the peer: the cable it is sent by, whatever its destination, by its number in the layout.
    pub cable: Option<usize>,
    /// User and group of the sending socket; none means our own.
    pub owner: Option<(u32, u32)>,
    /// The socket's mark (`SO_MARK`).
    pub mark: u32,
    /// That no answer is expected, so waiting for one is kept short.
    pub silent: bool,
}

impl Probe {
    /// A probe from the pod.
    pub fn out(protocol: Protocol, destination: impl Into<SocketAddr>) -> Self {
        let destination = destination.into();
        Self {
            from: Place::Pod,
            protocol,
            source: None,
            source_port: None,
            destination,
            cable: None,
            owner: None,
            mark: 0,
            silent: false,
        }
    }

    /// A probe from the peer.
    pub fn inbound(protocol: Protocol, destination: impl Into<SocketAddr>) -> Self {
        Self { from: Place::Peer, ..Self::out(protocol, destination) }
    }

    /// From this address.
    pub fn source(self, source: impl Into<IpAddr>) -> Self {
        Self { source: Some(source.into()), ..self }
    }

    /// From this port. Probes of one batch that share a source port are told apart by their order only.
    pub fn source_port(self, port: u16) -> Self {
        Self { source_port: Some(port), ..self }
    }

    /// By this cable of the layout, as a machine behind it would send: to any destination, the pod as its router.
    pub fn by_cable(self, cable: usize) -> Self {
        Self { cable: Some(cable), ..self }
    }

    /// By this user and group.
    pub fn owner(self, uid: u32, gid: u32) -> Self {
        Self { owner: Some((uid, gid)), ..self }
    }

    /// With this mark.
    pub fn mark(self, mark: u32) -> Self {
        Self { mark, ..self }
    }

    /// Expected to get nowhere.
    pub fn silent(self) -> Self {
        Self { silent: true, ..self }
    }
}

/// What became of a probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A listener has it.
    Reached(Arrival),
    /// Nobody listens where it went.
    Refused,
    /// The kernel would not send it: a rule of its own namespace dropped it (`EPERM`, UDP only).
    Blocked,
    /// Sending failed otherwise: no route, for example.
    Failed(io::ErrorKind),
    /// Nothing came of it in time.
    Silence,
}

impl Outcome {
    /// Namespace and listening port, when it reached one.
    pub fn reached(&self) -> Option<(Place, u16)> {
        match self {
            Outcome::Reached(arrival) => Some((arrival.place, arrival.port)),
            _ => None,
        }
    }

    /// Where it was meant to go, as the listener could find out.
    pub fn original(&self) -> Option<SocketAddr> {
        match self {
            Outcome::Reached(arrival) => arrival.original,
            _ => None,
        }
    }
}

struct Sender {
    socket: Socket,
    port: u16,
    outcome: Option<Outcome>,
}

impl Bed {
    /// Sends one probe.
    ///
    /// # Errors
    /// [`Error::Socket`] when the sending socket cannot be made as asked (another user's, for example).
    pub fn probe(&self, probe: &Probe) -> Result<Outcome, Error> {
        let mut outcomes = self.probe_all(std::slice::from_ref(probe))?;
        Ok(outcomes.pop().unwrap_or(Outcome::Silence))
    }

    /// Sends all probes at once and returns what became of each, in their order.
    ///
    /// # Errors
    /// As [`Bed::probe`]; nothing was sent then.
    pub fn probe_all(&self, probes: &[Probe]) -> Result<Vec<Outcome>, Error> {
        self.probe_within(probes, PATIENCE)
    }

    /// The same, with a limit of your own on how long to wait for those that are not [`Probe::silent`].
    ///
    /// # Errors
    /// As [`Bed::probe_all`].
    pub fn probe_within(&self, probes: &[Probe], patience: Duration) -> Result<Vec<Outcome>, Error> {
        let mut senders = self.senders(probes)?;
        for (probe, sender) in probes.iter().zip(&mut senders) {
            sender.send(probe);
        }
        let deadline = Instant::now() + patience;
        let mut grace: Option<Instant> = None;
        loop {
            let open = |(probe, sender): (&Probe, &Sender)| sender.outcome.is_none().then_some(probe.silent);
            let waiting: Vec<bool> = probes.iter().zip(&senders).filter_map(open).collect();
            let until = match waiting.iter().all(|silent| *silent) {
                true if waiting.is_empty() => break,
                true => *grace.get_or_insert_with(|| Instant::now() + GRACE),
                false => deadline,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            self.serve(&mut senders, left)?;
        }
        Ok(senders.into_iter().map(|sender| sender.outcome.unwrap_or(Outcome::Silence)).collect())
    }

    fn senders(&self, probes: &[Probe]) -> Result<Vec<Sender>, Error> {
        let mut senders: Vec<Option<Sender>> = probes.iter().map(|_| None).collect();
        for place in [Place::Pod, Place::Peer] {
            if probes.iter().all(|probe| probe.from != place) {
                continue;
            }
            self.namespace(place).run(|| {
                for (probe, sender) in probes.iter().zip(&mut senders).filter(|(p, _)| p.from == place) {
                    let socket = socket_of(probe).map_err(failed("open a socket", probe))?;
                    let port = self.bind(&socket, probe).map_err(failed("bind", probe))?;
                    *sender = Some(Sender { socket, port, outcome: None });
                }
                Ok(())
            })??;
        }
        Ok(senders.into_iter().flatten().collect())
    }

    fn bind(&self, socket: &Socket, probe: &Probe) -> io::Result<u16> {
        let any: IpAddr = match probe.destination {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let address = probe.source.unwrap_or(any);
        if let Some(port) = probe.source_port {
            socket.set_reuse_address(true)?;
            return socket.bind(&SocketAddr::new(address, port).into()).map(|()| port);
        }
        loop {
            let next = |port: u16| Some(if port >= LAST_PORT { FIRST_PORT } else { port + 1 });
            let port =
                self.next_port.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).unwrap_or(FIRST_PORT);
            match socket.bind(&SocketAddr::new(address, port).into()) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other.map(|()| port),
            }
        }
    }

    /// One turn of the loop: waits for something to happen, takes arrivals and failures.
    fn serve(&self, senders: &mut [Sender], wait: Duration) -> Result<(), Error> {
        let mut fds: Vec<PollFd<'_>> = self
            .listeners
            .iter()
            .map(|l| PollFd::from_borrowed_fd(l.socket.as_fd(), PollFlags::IN))
            .collect();
        // POLLERR and POLLHUP are reported unasked; senders have nothing else to say.
        let waiting = senders.iter().filter(|sender| sender.outcome.is_none());
        let errors = waiting.map(|s| -> BorrowedFd<'_> { s.socket.as_fd() });
        fds.extend(errors.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::empty())));
        let timeout = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) };
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => {
                let what = "the bed's sockets".to_string();
                return Err(Error::Socket { action: "poll", what, source: errno.into() });
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.revents().contains(PollFlags::IN)).collect();
        for (listener, _) in self.listeners.iter().zip(ready).filter(|(_, ready)| *ready) {
            // An error of accept() or recv() belongs to one packet that is gone; its sender hears of it.
            while let Ok(Some(arrival)) = listener.next() {
                let port = arrival.source.port();
                if let Some(sender) = senders.iter_mut().find(|sender| sender.port == port) {
                    sender.outcome.get_or_insert(Outcome::Reached(arrival));
                }
            }
        }
        senders.iter_mut().filter(|sender| sender.outcome.is_none()).for_each(Sender::check);
        Ok(())
    }
}

impl Sender {
    fn send(&mut self, probe: &Probe) {
        let sent = self.socket.connect(&probe.destination.into());
        let sent = match (sent, probe.protocol) {
            (Ok(()), Protocol::Udp) => self.socket.send(b"probe").map(|_| ()),
            (other, _) => other,
        };
        self.outcome = sent.err().and_then(|error| outcome_of(&error));
    }

    fn check(&mut self) {
        self.outcome = match self.socket.take_error() {
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => outcome_of(&error),
        };
    }
}

/// Nothing yet, for errors that only mean "later".
fn outcome_of(error: &io::Error) -> Option<Outcome> {
    const EINPROGRESS: i32 = rustix::io::Errno::INPROGRESS.raw_os_error();
    if error.raw_os_error() == Some(EINPROGRESS) {
        return None;
    }
    match error.kind() {
        io::ErrorKind::WouldBlock => None,
        io::ErrorKind::ConnectionRefused => Some(Outcome::Refused),
        io::ErrorKind::PermissionDenied => Some(Outcome::Blocked),
        // The listener took the connection and reset it; the arrival is in its hands.
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => None,
        kind => Some(Outcome::Failed(kind)),
    }
}

/// The kernel takes a packet's owner from the credentials under which its socket was made
/// (`sk->sk_socket->file->f_cred`, net/netfilter/nft_meta.c), so only that one step runs as somebody else.
fn socket_of(probe: &Probe) -> io::Result<Socket> {
    let kind = if probe.protocol == Protocol::Tcp { Type::STREAM } else { Type::DGRAM };
    let make = || Socket::new(Domain::for_address(probe.destination), kind.nonblocking(), None);
    let socket = match probe.owner {
        Some((uid, gid)) => {
            set_thread_res_gid(None, Gid::from_raw(gid), None)?;
            set_thread_res_uid(None, Uid::from_raw(uid), None)?;
            let socket = make();
            set_thread_res_uid(None, Uid::ROOT, None)?;
            set_thread_res_gid(None, Gid::ROOT, None)?;
            socket?
        }
        None => make()?,
    };
    if probe.mark != 0 {
        socket.set_mark(probe.mark)?;
    }
    if let Some(cable) = probe.cable {
        socket.bind_device(Some(format!("pod{cable}").as_bytes()))?;
    }
    if probe.source.is_some() {
        set_transparent(&socket, probe.destination)?;
    }
    if probe.protocol == Protocol::Tcp {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    Ok(socket)
}

fn failed<'a>(action: &'static str, probe: &'a Probe) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Socket { action, what: format!("{probe:?}"), source }
}
