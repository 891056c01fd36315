//! The plugin's run: read the call, ask the agent, answer the runtime. It does nothing itself in the pod's network, so that
//! there is one place that does.

use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::spec::{self, Attachment, Call, Config, Failure};
use super::wire::{Answer, Asked, LONGEST_LINE, PROTOCOL, Pod, Question};

/// Runs as a CNI plugin: the environment and `input` in, the result to `output`, warnings to `errors`. Returns the exit
/// status.
pub fn main(
    variable: &dyn Fn(&str) -> Option<String>,
    input: impl Read,
    mut output: impl Write,
    mut errors: impl Write,
) -> u8 {
    let answered = respond(variable, input, &mut |warning| {
        // Nobody to tell when this fails.
        let _ = writeln!(errors, "meshward-cni: {warning}");
    });
    let (value, status) = match answered {
        Ok(value) => (value, 0),
        Err(failure) => (Some(failure.to_json()), 1),
    };
    match value.map_or(Ok(()), |value| writeln!(output, "{value:#}").and_then(|()| output.flush())) {
        Ok(()) => status,
        Err(_) => 1,
    }
}

fn respond(
    variable: &dyn Fn(&str) -> Option<String>,
    input: impl Read,
    warn: &mut dyn FnMut(&str),
) -> Result<Option<Value>, Failure> {
    let mut bytes = Vec::new();
    let read = input.take(spec::LONGEST_INPUT as u64 + 1).read_to_end(&mut bytes);
    let whole = match read {
        Ok(_) if bytes.len() <= spec::LONGEST_INPUT => Ok(()),
        Ok(_) => Err(format!("it is longer than {} bytes", spec::LONGEST_INPUT)),
        Err(error) => Err(error.to_string()),
    };
    if let Err(why) = whole {
        // DEL may not fail, and VERSION needs no input.
        let needed = variable("CNI_COMMAND").is_none_or(|command| command != "DEL" && command != "VERSION");
        if needed {
            return Err(Failure::new(spec::IO_FAILURE, "cannot read the network configuration", why));
        }
        bytes.clear();
    }
    match spec::read(variable, &bytes)? {
        Call::Version { asked } => Ok(Some(spec::versions(&asked))),
        Call::Add(attachment, config) => add(*attachment, &config, warn).map(Some),
        Call::Check(attachment, config) => check(*attachment, &config, warn).map(|()| None),
        Call::Del { container, config } => {
            delete(container, config, warn);
            Ok(None)
        }
        Call::Gc => Ok(None),
        Call::Status(config) => status(&config, warn).map(|()| None),
    }
}

fn add(attachment: Attachment, config: &Config, warn: &mut dyn FnMut(&str)) -> Result<Value, Failure> {
    refuse_own_namespace(config, &attachment.netns)?;
    let Some(pod) = pod(attachment) else { return Ok(spec::result(config)) };
    let who = format!("{}/{}", pod.namespace, pod.name);
    let why = match ask(config, Asked::Add(pod)) {
        Ok(Answer::Settled) => return Ok(spec::result(config)),
        Ok(Answer::Later { reason } | Answer::Refused { reason }) => reason,
        Err(reason) => reason,
    };
    if config.fail_closed {
        let message = format!("meshward: redirection rules of pod {who} are not in force");
        return Err(config.failure(spec::TRY_AGAIN, message, why));
    }
    warn(&format!("{who}: rules are not in force yet, its wait container guards it: {why}"));
    Ok(spec::result(config))
}

fn check(attachment: Attachment, config: &Config, warn: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    refuse_own_namespace(config, &attachment.netns)?;
    let Some(pod) = pod(attachment) else { return Ok(()) };
    let who = format!("{}/{}", pod.namespace, pod.name);
    match ask(config, Asked::Check(pod)) {
        Ok(Answer::Settled) => Ok(()),
        Ok(Answer::Later { reason } | Answer::Refused { reason }) => {
            let message = format!("meshward: redirection rules of pod {who} are not in force");
            Err(config.failure(spec::NOT_IN_FORCE, message, reason))
        }
        Err(reason) if config.fail_closed => {
            Err(config.failure(spec::TRY_AGAIN, "meshward: the agent cannot be asked", reason))
        }
        Err(reason) => {
            warn(&format!("{who}: not checked: {reason}"));
            Ok(())
        }
    }
}

fn delete(container: Option<String>, config: Option<Config>, warn: &mut dyn FnMut(&str)) {
    let (Some(sandbox), Some(mut config)) = (container, config) else { return };
    // Nobody waits for our part of a deletion: the rules go with the namespace.
    config.timeout = config.timeout.min(Duration::from_secs(1));
    if let Err(reason) = ask(&config, Asked::Delete { sandbox }) {
        warn(&format!("the agent was not told of a deletion: {reason}"));
    }
}

fn status(config: &Config, warn: &mut dyn FnMut(&str)) -> Result<(), Failure> {
    match ask(config, Asked::Status) {
        Ok(_) => Ok(()),
        Err(reason) if config.fail_closed => {
            Err(config.failure(spec::NOT_AVAILABLE, "meshward: the agent cannot be asked", reason))
        }
        Err(reason) => {
            warn(&reason);
            Ok(())
        }
    }
}

fn pod(attachment: Attachment) -> Option<Pod> {
    let Attachment { container: sandbox, netns, pod, ips } = attachment;
    pod.map(|pod| Pod { namespace: pod.namespace, name: pod.name, uid: pod.uid, sandbox, netns, ips })
}

/// The runtime runs plugins in the node's network: a sandbox there would be the node.
fn refuse_own_namespace(config: &Config, netns: &Path) -> Result<(), Failure> {
    let identity = |path: &Path| std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    let own = identity(Path::new("/proc/self/ns/net"));
    if own.is_some() && identity(netns) == own {
        let message = "CNI_NETNS is the network namespace of the node";
        return Err(config.failure(spec::INVALID_NETNS, message, netns.display().to_string()));
    }
    Ok(())
}

/// One question, one answer, in bounded time. On a thread of its own, since connecting to a unix socket whose queue is
/// full blocks without a limit.
fn ask(config: &Config, asked: Asked) -> Result<Answer, String> {
    let timeout = config.timeout;
    let timeout_millis = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    let question = Question { version: PROTOCOL, asked, timeout_millis };
    let mut line = serde_json::to_vec(&question).map_err(|error| error.to_string())?;
    line.push(b'\n');
    let socket = config.socket.clone();
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::Builder::new().spawn(move || {
        // Nobody listens any more after the timeout.
        let _ = sender.send(exchange(&socket, &line));
    });
    thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    match receiver.recv_timeout(timeout) {
        Ok(answer) => answer,
        Err(_) => Err(format!("the agent did not answer within {timeout:?} ({})", config.socket.display())),
    }
}

fn exchange(socket: &PathBuf, line: &[u8]) -> Result<Answer, String> {
    let at = socket.display();
    let mut stream = UnixStream::connect(socket).map_err(|error| {
        let hint = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => " (is the agent running?)",
            _ => "",
        };
        format!("cannot reach the agent at {at}: {error}{hint}")
    })?;
    let failed = |error: io::Error| format!("the agent at {at} hung up: {error}");
    stream.write_all(line).map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(LONGEST_LINE as u64).read_to_end(&mut answer).map_err(failed)?;
    if answer.is_empty() {
        return Err(format!("the agent at {at} hung up without an answer"));
    }
    serde_json::from_slice(&answer).map_err(|error| format!("the agent at {at} answered nonsense: {error}"))
}
