//! One look at all processes. Processes come and go meanwhile, so whatever cannot be read of one is passed over.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::ProcError;
use super::cgroup::{LONGEST, pod_uid};
use crate::located::{Located, Source};

/// A network namespace's device and inode.
type Id = (u64, u64);

/// The processes of one pod that share one network namespace, by the oldest of them.
struct Group {
    started: u64,
    path: PathBuf,
}

/// Every pod that has a process in a network namespace which is not the host's, sorted by uid. Of a pod with several
/// namespaces the one of its oldest process counts: that is the sandbox's, and anything that a container made is younger.
pub fn scan(root: &Path) -> Result<Vec<Located>, ProcError> {
    let host = root.join("1/ns/net");
    let host = namespace(&host).map_err(|source| ProcError::Host { path: host, source })?;
    let entries = fs::read_dir(root).map_err(|source| ProcError::List { path: root.to_owned(), source })?;
    let mut pods: BTreeMap<String, BTreeMap<Id, Group>> = BTreeMap::new();
    for folder in entries.flatten().map(|entry| entry.path()).filter(|path| is_process(path)) {
        let Some((uid, id, group)) = look(&folder).filter(|(_, id, _)| *id != host) else { continue };
        let groups = pods.entry(uid).or_default();
        match groups.get(&id) {
            Some(known) if known.started <= group.started => {}
            _ => drop(groups.insert(id, group)),
        }
    }
    let oldest = pods.into_iter().filter_map(|(uid, groups)| {
        groups.into_values().min_by_key(|group| group.started).map(|group| located(uid, group.path))
    });
    Ok(oldest.collect())
}

fn located(uid: String, netns: PathBuf) -> Located {
    Located {
        namespace: String::new(),
        name: String::new(),
        uid,
        sandbox: String::new(),
        netns,
        ips: Vec::new(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        source: Source::Proc,
    }
}

fn is_process(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The start is read before and after: when it is another one, the number was given to another process meanwhile.
fn look(folder: &Path) -> Option<(String, Id, Group)> {
    let uid = pod_uid(&read(&folder.join("cgroup"))?)?;
    let started = start(&read(&folder.join("stat"))?)?;
    let path = folder.join("ns/net");
    let id = namespace(&path).ok()?;
    (start(&read(&folder.join("stat"))?)? == started).then_some((uid, id, Group { started, path }))
}

fn namespace(path: &Path) -> io::Result<Id> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}

fn read(path: &Path) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(LONGEST as u64).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// Field 22 of `/proc/PID/stat` (proc_pid_stat(5)), in clock ticks. Field 2 is the program's name, which may hold blanks
/// and brackets: counting starts after the last bracket.
fn start(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const POD: &str = "7d0e4a1c-95b8-4c33-9b1a-0f5d2f6a7c11";
    const OTHER: &str = "11111111-2222-3333-4444-555555555555";

    /// A folder with the shape of /proc, where namespaces are files: an identity is all that is asked of them.
    struct Node(tempfile::TempDir);

    impl Node {
        fn new() -> Self {
            let node = Self(tempfile::tempdir().unwrap());
            node.process(1, "0::/init.scope", 1, "host");
            node
        }

        fn process(&self, pid: u32, cgroup: &str, started: u64, network: &str) {
            let network_file = self.0.path().join(format!("net-{network}"));
            fs::write(&network_file, "").unwrap();
            let folder = self.0.path().join(pid.to_string());
            fs::create_dir_all(folder.join("ns")).unwrap();
            fs::write(folder.join("cgroup"), format!("{cgroup}\n")).unwrap();
            let stat = format!("{pid} (a) b (c)) S {} {started} 0", "0 ".repeat(18).trim());
            fs::write(folder.join("stat"), stat).unwrap();
            symlink(network_file, folder.join("ns/net")).unwrap();
        }

        fn pods(&self) -> Vec<(String, String)> {
            let name = |pod: &Located| pod.netns.strip_prefix(self.0.path()).unwrap().display().to_string();
            scan(self.0.path()).unwrap().iter().map(|pod| (pod.uid.clone(), name(pod))).collect()
        }
    }

    #[test]
    fn pods_are_grouped_by_namespace_and_the_oldest_process_speaks() {
        let node = Node::new();
        let group = format!("0::/kubepods/pod{POD}/a");
        node.process(30, &group, 300, "pod");
        node.process(20, &group, 200, "pod");
        node.process(40, &group, 400, "made-by-a-container");
        node.process(50, "0::/system.slice", 100, "pod");
        node.process(60, &format!("0::/kubepods/pod{OTHER}/b"), 100, "host");
        fs::create_dir_all(node.0.path().join("70/ns")).unwrap();
        assert_eq!(node.pods(), [(POD.to_owned(), "20/ns/net".to_owned())]);
    }

    #[test]
    fn without_the_hosts_namespace_nothing_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let error = scan(folder.path()).unwrap_err().to_string();
        assert!(error.contains("1/ns/net") && error.contains("hostPID"), "{error}");
    }

    #[test]
    fn the_kernels_own_files_are_read() {
        let folder = tempfile::tempdir().unwrap();
        symlink("/proc/self", folder.path().join("1")).unwrap();
        symlink("/proc/self", folder.path().join("2")).unwrap();
        assert_eq!(scan(folder.path()).unwrap(), []);
        let own = fs::read_to_string("/proc/self/stat").unwrap();
        assert!(start(&own).unwrap() > 0);
    }
}
