//! Every option of every dialect against the kernel. `tests/cases/kernel/MESH/OPTION.yaml` says in data what becomes
//! of packets under an option; here each case's rules are put in force with each backend in a throw-away pod, every
//! packet is really sent, and both the kernel and the evaluator have to agree with the case.
//!
//! A case (one YAML document; a file may hold several):
//!
//! ```yaml
//! about: what it shows
//! flags: --the-peers-own flags --as=written        # without spaces in values
//! config: {…}                    # Kuma: a configuration document, applied before the flags
//! pod: ipv4                      # the pod has no IPv6 (else it has both families)
//! links: [net1]                  # further interfaces: 10.77.1.2/24 and fd77:1::2/64, and so on
//! proxy-listens: false           # nobody listens where TPROXY hands packets to
//! idle: [in.exclude-port]        # rules of the option that change nothing here
//! refused: part of the message   # the options are not accepted; no packets then
//! shows: {nft: …, iptables: …, routing: …}    # text that each backend's listing has
//! packets:
//! - out: tcp 203.0.113.9:80      # or in:, there the pod's address 10.77.0.2 may be left out: in: tcp 8080
//!   from: 127.0.0.6              # source address, also with port; one that is not the pod's is borrowed as the
//!                                # proxy borrows it: the answer must come back too
//!   uid: 1337                    # of the sending socket (out only); 1000 if not given, as the gid
//!   gid: 1337
//!   mark: 1337                   # SO_MARK
//!   via: net1                    # in only: by this interface, from a machine behind it, to any destination
//!   stray: true                  # in only: a segment that belongs to no connection
//!   reaches: peer                # where it was sent, outside | peer 203.0.113.53:53 | pod: where it was sent, in
//!                                # the pod | pod 15001 | refused (the pod's TCP answers it) | nothing
//!   zone: 2                      # conntrack zone of its connection
//!   connmark: 1337               # mark of its connection
//!   logs: [OUTPUT]               # lines it leaves in the kernel's log
//! ```
//!
//! Whatever reaches the pod by TCP is also asked for its original destination.

// The attribute tells clippy that the modules' helpers are test code too.
#[cfg(test)]
mod bed;
#[cfg(test)]
mod case;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod evaluate;
#[cfg(test)]
mod mutation;
#[cfg(test)]
mod run;
