//! What can go wrong between us and the kernel. A refused message is named by the rule it carries, because a number
//! and an errno are all the kernel says.

use std::fmt;

use rustix::io::Errno;

/// Why rules could not be put in force, read or removed.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// No netfilter netlink socket to be had in this namespace.
    #[error("cannot open a netfilter netlink socket: {source}{}", open_cause(source))]
    Open {
        /// What the kernel said.
        source: Errno,
    },
    /// The socket took no message of this size.
    #[error("cannot send {bytes} bytes to nf_tables: {source}{}", send_cause(source))]
    Send {
        /// Size of the message.
        bytes: usize,
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel's answer could not be read.
    #[error("cannot read the answer of nf_tables: {source}")]
    Receive {
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel answers while it takes the message; that it did not is a kernel we do not understand.
    #[error("nf_tables gave no answer to {asked}")]
    NoAnswer {
        /// What was asked.
        asked: &'static str,
    },
    /// A read was refused.
    #[error("cannot read {asked} of nf_tables: {source}{}", read_cause(source))]
    Read {
        /// What was asked.
        asked: &'static str,
        /// What the kernel said.
        source: Errno,
    },
    /// The kernel refused the change; nothing of it is in force.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The rule cannot be said in nf_tables.
    #[error("rule {rule} of chain {chain} cannot be put in nf_tables: {problem}")]
    Inexpressible {
        /// The chain, as nft names it.
        chain: String,
        /// The rule's name.
        rule: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Another socket owns the table.
    #[error("table inet {table} is locked {}: end that process to unlock it", holder(*owner))]
    Locked {
        /// The table.
        table: String,
        /// Netlink port id of the owner's socket, where the kernel told.
        owner: Option<u32>,
    },
    /// A lock was required and the kernel has none.
    #[error(
        "cannot lock table inet {table}: this kernel has no table owner with persistence (needs Linux 6.9 or later)"
    )]
    LockUnavailable {
        /// The table.
        table: String,
    },
    /// Somebody changes the tables faster than they can be read.
    #[error("table inet {table} changed each of {attempts} times it was read")]
    Unstable {
        /// The table.
        table: String,
        /// How often it was tried.
        attempts: u32,
    },
}

/// A message of a batch that the kernel refused, and with it the whole batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// What the message was about.
    pub step: Step,
    /// What the kernel said.
    pub errno: Errno,
    /// How many later messages were refused too.
    pub others: usize,
}

/// One message of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The change as a whole.
    Batch,
    /// The table.
    Table {
        /// Its name.
        table: String,
    },
    /// A chain.
    Chain {
        /// Its table.
        table: String,
        /// Its name.
        chain: String,
    },
    /// A rule, or the anonymous set it uses.
    Rule {
        /// Its chain.
        chain: String,
        /// Its name.
        rule: String,
        /// The rule as nft writes it.
        text: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Batch => f.write_str("change its rules"),
            Step::Table { table } => write!(f, "take table inet {table}"),
            Step::Chain { table, chain } => write!(f, "take chain {chain} of table inet {table}"),
            Step::Rule { chain, rule, text } => write!(f, "take rule {rule} of chain {chain} ({text})"),
        }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "nf_tables did not {}: {}", self.step, self.errno)?;
        if let Some(cause) = self.likely_cause() {
            write!(f, " ({cause})")?;
        }
        if self.others > 0 {
            write!(f, ", and {} more refused", self.others)?;
        }
        f.write_str("; nothing was changed")
    }
}

impl Refused {
    /// What usually is behind this errno at this step.
    pub fn likely_cause(&self) -> Option<&'static str> {
        match (self.errno, &self.step) {
            (Errno::PERM, Step::Batch) => Some("is CAP_NET_ADMIN granted in this namespace?"),
            (Errno::OPNOTSUPP, Step::Batch) => Some(
                "the kernel has no nf_tables, or a rule stands in a chain where its action is not allowed",
            ),
            (Errno::PERM, _) => Some("another process owns the table"),
            (Errno::NOENT, Step::Rule { .. }) => {
                Some("the kernel lacks the expression, or the rule names a chain that is not there")
            }
            (Errno::OPNOTSUPP, Step::Rule { .. }) => {
                Some("the kernel, or this kind of chain, lacks the expression or its mode")
            }
            (Errno::NOENT | Errno::OPNOTSUPP, Step::Chain { .. }) => {
                Some("the kernel lacks this type of base chain for family inet (nat: Linux 5.2 or later)")
            }
            (Errno::MLINK, _) => Some("chains jump to each other in a loop"),
            (Errno::NOMEM, _) => Some("out of memory, or the memory cgroup's limit is reached"),
            _ => None,
        }
    }
}

impl NftError {
    /// Whether the kernel lacks what was asked of it, as opposed to forbidding or failing it: with other means (the
    /// iptables backend) the same rules may work. Because a batch changes nothing unless it is taken whole, trying
    /// it is the cheapest check there is.
    pub fn is_unsupported(&self) -> bool {
        const LACKING: [Errno; 2] = [Errno::NOENT, Errno::OPNOTSUPP];
        match self {
            NftError::Open { source } => {
                matches!(*source, Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::NOPROTOOPT)
            }
            // nfnetlink's answer when there is no nf_tables behind it (nfnetlink_rcv_msg).
            NftError::Read { source, .. } => matches!(*source, Errno::INVAL | Errno::OPNOTSUPP),
            NftError::Refused(refused) => match refused.step {
                Step::Batch => refused.errno == Errno::OPNOTSUPP,
                Step::Table { .. } => false,
                Step::Chain { .. } | Step::Rule { .. } => LACKING.contains(&refused.errno),
            },
            NftError::LockUnavailable { .. }
            | NftError::Send { .. }
            | NftError::Receive { .. }
            | NftError::NoAnswer { .. }
            | NftError::Inexpressible { .. }
            | NftError::Locked { .. }
            | NftError::Unstable { .. } => false,
        }
    }
}

fn holder(owner: Option<u32>) -> String {
    // The kernel gives the first netlink socket of a process its process id as port id (netlink_autobind), and
    // later ones a number above 2^31.
    match owner {
        Some(port) if port <= i32::MAX as u32 => format!("by another socket, probably of process {port}"),
        Some(port) => format!("by another socket (netlink port {port})"),
        None => "by another socket".into(),
    }
}

fn open_cause(errno: &Errno) -> &'static str {
    match *errno {
        Errno::PERM => " (is CAP_NET_ADMIN granted in this namespace?)",
        Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT => " (is nfnetlink in the kernel?)",
        _ => "",
    }
}

fn send_cause(errno: &Errno) -> &'static str {
    match *errno {
        Errno::MSGSIZE | Errno::NOBUFS => " (larger than the socket's send buffer; see net.core.wmem_max)",
        _ => "",
    }
}

fn read_cause(errno: &Errno) -> &'static str {
    match *errno {
        Errno::PERM => " (is CAP_NET_ADMIN granted in this namespace?)",
        Errno::INVAL | Errno::OPNOTSUPP => " (is nf_tables in the kernel?)",
        _ => "",
    }
}
