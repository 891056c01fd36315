//! `meshward program --watch`: stays, holds the lock, and puts right what somebody changes, until it is interrupted. The
//! rules stay in force when it ends.

use std::time::{Duration, Instant};

use meshward_redirect::RuleSet;
use meshward_redirect::keep::{Keeper, Repair};
use meshward_redirect::netns::NetNs;
use meshward_redirect::program::{Backend, Options};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::failure;
use crate::exit::{Failure, Outcome};
use crate::terminal;

/// How often to look where every change is told; only a safety net.
const TOLD: Duration = Duration::from_secs(30);
/// How often to look at iptables rules, whose changes nobody tells.
const UNTOLD: Duration = Duration::from_secs(2);

pub(super) fn run(namespace: NetNs, rules: RuleSet, options: Options) -> Outcome {
    let (mut keeper, done) = Keeper::start(namespace.clone(), rules.clone(), options).map_err(failure)?;
    super::report(&namespace, &rules, &done, true);
    terminal::print("watching; Ctrl-C ends this, the rules stay in force\n");
    let pause = if done.backend == Backend::Nft { TOLD } else { UNTOLD };
    let timeout = Timespec { tv_sec: pause.as_secs() as i64, tv_nsec: 0 };
    loop {
        let told = match keeper.descriptor() {
            Some(descriptor) => {
                poll(&mut [PollFd::from_borrowed_fd(descriptor, PollFlags::IN)], Some(&timeout))
            }
            None => poll(&mut [], Some(&timeout)),
        };
        let start = Instant::now();
        let repaired = match told {
            Ok(0) => keeper.recheck(),
            Ok(_) => keeper.react(),
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(Failure::impossible(format!("cannot wait for changes: {error}"))),
        };
        match repaired {
            Ok(None) => {}
            Ok(Some(repair)) => tell(&namespace, &repair, start.elapsed()),
            // Somebody who keeps changing the rules must not end the watch.
            Err(error) => terminal::warning(&format!("{namespace}: not repaired: {}", super::chain(&error))),
        }
    }
}

fn tell(namespace: &NetNs, repair: &Repair, took: Duration) {
    let by = match &repair.by {
        Some(process) => format!("changed by {} (pid {})", process.name, process.pid),
        None => "changed unnoticed".into(),
    };
    let text =
        format!("{namespace}: {by}, repaired in {:.1} ms\n{}\n", took.as_secs_f64() * 1e3, repair.drift);
    terminal::print(&text);
}
