//! Another process's network namespace: opening it, telling it apart from others, and running code in it. A thread
//! that has entered a namespace is never used again, so a panic or an early return cannot leave a pooled thread in
//! a pod's network.
//!
//! ```text
//! path or pid ─► NetNs (fd, device + inode) ─► run(closure): new thread ─ setns ─ closure opens sockets ─ dies
//! ```

mod guard;

use std::any::Any;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};

pub use guard::{GuardError, guard, guard_and};
pub(crate) use guard::{expect_addresses, refuse_own};

/// `NSFS_MAGIC` (linux/magic.h): the file system that every namespace file is on.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// What tells one namespace from another as long as somebody holds it: device and inode of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetNsId {
    /// Device of the nsfs mount.
    pub device: u64,
    /// Inode, the number in `net:[4026531840]`.
    pub inode: u64,
}

impl fmt::Display for NetNsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net:[{}]", self.inode)
    }
}

/// An open network namespace. Holding it keeps the namespace alive; two values are equal when they are the same
/// namespace, however they were opened.
#[derive(Debug, Clone)]
pub struct NetNs {
    file: Arc<OwnedFd>,
    id: NetNsId,
    path: Arc<Path>,
}

impl PartialEq for NetNs {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Eq for NetNs {}

impl fmt::Display for NetNs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.path.display(), self.id)
    }
}

impl AsFd for NetNs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Why a path is not a network namespace that we can hold.
#[derive(Debug, thiserror::Error)]
pub enum OpenNetNs {
    /// Nothing is there.
    #[error("cannot open network namespace {path}: there is no such file or process (is the pod gone?)")]
    Gone {
        /// The path.
        path: PathBuf,
    },
    /// The kernel does not let us.
    #[error(
        "cannot open network namespace {path}: permission denied (/proc/PID/ns/net of another user needs CAP_SYS_PTRACE)"
    )]
    NotPermitted {
        /// The path.
        path: PathBuf,
    },
    /// Something else is there.
    #[error(
        "{path} is no network namespace: found {found}, accepted: a path such as /run/netns/NAME or /proc/PID/ns/net"
    )]
    NotANamespace {
        /// The path.
        path: PathBuf,
        /// What it is instead.
        found: Found,
    },
    /// Anything else.
    #[error("cannot open network namespace {path}")]
    Open {
        /// The path.
        path: PathBuf,
        /// The kernel's reason.
        #[source]
        source: io::Error,
    },
    /// A new namespace could not be made.
    #[error("cannot make a network namespace (is CAP_SYS_ADMIN granted?)")]
    Create(#[source] io::Error),
}

/// What a path turned out to be that should be a network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A file, folder or device of an ordinary file system
    File,
    /// A namespace of another kind, by its own name: `mnt:[4026531841]`
    OtherKind(String),
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::File => f.write_str("an ordinary file or folder"),
            Found::OtherKind(name) => write!(f, "the namespace {name}"),
        }
    }
}

/// Why code did not run to its end inside a namespace.
#[derive(Debug, thiserror::Error)]
pub enum EnterNetNs {
    /// The kernel does not let us in.
    #[error("cannot enter network namespace {namespace}: permission denied (is CAP_SYS_ADMIN granted?)")]
    NotPermitted {
        /// Path and identity.
        namespace: String,
    },
    /// A namespace, but not a network namespace (a bind mount hides the kind until one enters).
    #[error("cannot enter {namespace}: it is a namespace of another kind, accepted: a network namespace")]
    OtherKind {
        /// Path and identity.
        namespace: String,
    },
    /// Anything else that stops the thread from starting or entering.
    #[error("cannot enter network namespace {namespace}")]
    Enter {
        /// Path and identity.
        namespace: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The code panicked; the thread is gone and nothing else was harmed.
    #[error("work in network namespace {namespace} panicked: {message}")]
    Panicked {
        /// Path and identity.
        namespace: String,
        /// The panic's message.
        message: String,
    },
}

impl NetNs {
    /// Opens a namespace file such as `/run/netns/cni-…`, and checks that it is one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenNetNs> {
        let path = path.as_ref();
        // Without NONBLOCK a FIFO at this path would hang us.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = rustix::fs::open(path, flags, Mode::empty()).map_err(|error| open_error(path, error))?;
        let other = |source: Errno| OpenNetNs::Open { path: path.into(), source: source.into() };
        let not = |found| OpenNetNs::NotANamespace { path: path.into(), found };
        if rustix::fs::fstatfs(&file).map_err(other)?.f_type as i64 != NSFS_MAGIC {
            return Err(not(Found::File));
        }
        if let Some(kind) = other_kind(&file) {
            return Err(not(Found::OtherKind(kind)));
        }
        let id = identity(&rustix::fs::fstat(&file).map_err(other)?);
        Ok(Self { file: Arc::new(file), id, path: path.into() })
    }

    /// The namespace of a process.
    pub fn of_pid(pid: u32) -> Result<Self, OpenNetNs> {
        Self::open(format!("/proc/{pid}/ns/net"))
    }

    /// The namespace of this process (of its main thread).
    pub fn current() -> Result<Self, OpenNetNs> {
        Self::open("/proc/self/ns/net")
    }

    /// The namespace of the first process, which is the node's as long as we see the node's processes.
    pub fn host() -> Result<Self, OpenNetNs> {
        Self::of_pid(1)
    }

    /// A new, empty namespace that lives as long as somebody holds it: for checks, demonstrations and tests.
    pub fn create() -> Result<Self, OpenNetNs> {
        let made = std::thread::scope(|scope| {
            std::thread::Builder::new()
                .name("netns-create".into())
                .spawn_scoped(scope, unshare_here)?
                .join()
                .map_err(|_| io::Error::other("the thread panicked"))
        });
        made.map_err(OpenNetNs::Create)?
    }

    /// What tells this namespace from others.
    pub fn id(&self) -> NetNsId {
        self.id
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs `work` in this namespace on a thread of its own and waits for it. Sockets opened there keep the
    /// namespace and are meant to be carried out; child processes started there stay in it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, EnterNetNs> {
        let namespace = || self.to_string();
        let enter = |source| EnterNetNs::Enter { namespace: namespace(), source };
        let inside = || {
            move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(catch_unwind(AssertUnwindSafe(work)))
        };
        let done: Result<_, Errno> = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("netns".into()).spawn_scoped(scope, inside)?;
            // The closure catches the work's panic; a second one in its own frames is passed on as text.
            thread.join().map_err(|_| io::Error::other("the thread panicked"))
        })
        .map_err(enter)?;
        match done {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(panic)) => {
                Err(EnterNetNs::Panicked { namespace: namespace(), message: panic_text(panic.as_ref()) })
            }
            Err(Errno::PERM) => Err(EnterNetNs::NotPermitted { namespace: namespace() }),
            Err(Errno::INVAL) => Err(EnterNetNs::OtherKind { namespace: namespace() }),
            Err(errno) => Err(enter(errno.into())),
        }
    }
}

/// Moves the calling thread into a new namespace and opens that.
#[expect(
    deprecated,
    reason = "its unsafe successor is about CLONE_FILES and CLONE_FS, which are not used here"
)]
fn unshare_here() -> Result<NetNs, OpenNetNs> {
    rustix::thread::unshare(UnshareFlags::NEWNET).map_err(|errno| OpenNetNs::Create(errno.into()))?;
    NetNs::open("/proc/thread-self/ns/net")
}

fn identity(stat: &rustix::fs::Stat) -> NetNsId {
    NetNsId { device: stat.st_dev, inode: stat.st_ino }
}

fn open_error(path: &Path, error: Errno) -> OpenNetNs {
    let path = path.to_path_buf();
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::SRCH => OpenNetNs::Gone { path },
        Errno::ACCESS | Errno::PERM => OpenNetNs::NotPermitted { path },
        // What opening a socket, or a device without a driver, answers.
        Errno::NXIO | Errno::NODEV => OpenNetNs::NotANamespace { path, found: Found::File },
        errno => OpenNetNs::Open { path, source: errno.into() },
    }
}

/// The name of a namespace that is certainly not a network namespace. Bind mounts show their path instead, so this
/// is only for the earlier and clearer message; entering is what decides.
fn other_kind(file: &OwnedFd) -> Option<String> {
    use std::os::fd::AsRawFd;
    let link = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    let name = link.to_str()?;
    (name.ends_with(']') && name.contains(":[") && !name.starts_with('/') && !name.starts_with("net:["))
        .then(|| name.to_string())
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text =
        panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").chars().take(300).collect()
}
