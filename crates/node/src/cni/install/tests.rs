//! The installer on folders as nodes have them, with what other installers and crashes do to them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::*;

const CONFLIST: &str =
    "{\n  \"cniVersion\": \"1.0.0\",\n  \"plugins\": [\n    {\"type\": \"bridge\"}\n  ]\n}\n";

struct Node(tempfile::TempDir);

impl Node {
    fn new() -> Self {
        let node = Self(tempfile::tempdir().unwrap());
        for folder in ["net.d", "bin"] {
            fs::create_dir(node.at(folder)).unwrap();
        }
        fs::write(node.at("agent"), "the agent").unwrap();
        node
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn settings(&self) -> InstallSettings {
        InstallSettings {
            conf_dir: self.at("net.d"),
            bin_dir: self.at("bin"),
            interval: std::time::Duration::from_millis(5),
            ..InstallSettings::default()
        }
    }

    fn installer(&self) -> Installer {
        Installer::new(self.settings(), self.at("agent"))
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let names = fs::read_dir(self.at(folder)).unwrap();
        let mut names: Vec<String> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn it_is_installed_once_and_goes_without_a_trace() {
    let node = Node::new();
    node.write("net.d/10-net.conflist", CONFLIST);
    node.write("net.d/20-other.conflist", CONFLIST);
    node.write("net.d/00-readme.txt", "not a configuration");
    fs::set_permissions(node.at("net.d/10-net.conflist"), fs::Permissions::from_mode(0o640)).unwrap();
    let mut installer = node.installer();
    let installed = installer.install().unwrap();
    assert_eq!(installed, Installed { configuration: node.at("net.d/10-net.conflist"), changed: true });
    assert_eq!(node.read("bin/meshward-cni"), "the agent");
    assert_eq!(mode(&node.at("bin/meshward-cni")), 0o755);
    assert_eq!(mode(&node.at("net.d/10-net.conflist")), 0o640);
    assert!(node.read("net.d/10-net.conflist").contains("\"type\":\"meshward-cni\""));
    assert_eq!(node.read("net.d/20-other.conflist"), CONFLIST);
    assert!(!installer.install().unwrap().changed);
    assert!(!node.installer().install().unwrap().changed);

    installer.uninstall().unwrap();
    assert_eq!(node.read("net.d/10-net.conflist"), CONFLIST);
    assert_eq!(node.names("bin"), [] as [&str; 0]);
    assert_eq!(node.names("net.d"), ["00-readme.txt", "10-net.conflist", "20-other.conflist"]);
    node.installer().uninstall().unwrap();
}

#[test]
fn a_newer_agent_replaces_the_executable() {
    let node = Node::new();
    node.write("net.d/10-net.conflist", CONFLIST);
    let mut installer = node.installer();
    installer.install().unwrap();
    node.write("agent", "the next agent");
    assert!(installer.install().unwrap().changed);
    assert_eq!(node.read("bin/meshward-cni"), "the next agent");
    fs::remove_file(node.at("bin/meshward-cni")).unwrap();
    assert!(installer.install().unwrap().changed);
    fs::set_permissions(node.at("bin/meshward-cni"), fs::Permissions::from_mode(0o600)).unwrap();
    assert!(installer.install().unwrap().changed);
    assert_eq!(mode(&node.at("bin/meshward-cni")), 0o755);
}

#[test]
fn a_crash_after_any_step_leaves_a_node_that_works_and_is_put_right() {
    let node = Node::new();
    node.write("net.d/10-net.conflist", CONFLIST);
    // After the executable was written halfway, after it was renamed, after the entry was written halfway.
    for unfinished in ["bin/.meshward-unfinished", "net.d/.meshward-unfinished"] {
        node.write(unfinished, "hal");
        assert!(!node.read("net.d/10-net.conflist").contains(PLUGIN) || node.at("bin/meshward-cni").exists());
        node.installer().install().unwrap();
        node.write(unfinished, "hal");
        node.installer().uninstall().unwrap();
        assert_eq!(node.names("net.d"), ["10-net.conflist"]);
        assert_eq!(node.names("bin"), [] as [&str; 0]);
    }
    // Removal that stopped before the executable went.
    node.installer().install().unwrap();
    node.write("net.d/10-net.conflist", CONFLIST);
    node.installer().uninstall().unwrap();
    assert_eq!(node.names("bin"), [] as [&str; 0]);
}

#[test]
fn what_cannot_be_edited_is_left_alone_with_the_reason() {
    let node = Node::new();
    let refused = |expected: &str| {
        let error = node.installer().install().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(node.names("bin"), [] as [&str; 0], "{expected}");
    };
    refused("there is no CNI configuration in");
    node.write("net.d/10-net.conflist", CONFLIST);
    node.write("net.d/05-old.conf", "{\"type\": \"bridge\"}");
    refused("05-old.conf, which is no .conflist");
    fs::remove_file(node.at("net.d/05-old.conf")).unwrap();
    node.write("net.d/00-broken.conflist", "{\"plugins\": [\n  }");
    refused("00-broken.conflist is left as it is: line 2, column 3");
    assert_eq!(node.read("net.d/00-broken.conflist"), "{\"plugins\": [\n  }");
    fs::remove_file(node.at("net.d/00-broken.conflist")).unwrap();
    symlink(node.at("net.d/10-net.conflist"), node.at("net.d/01-link.conflist")).unwrap();
    refused("it is a symbolic link");
    fs::remove_file(node.at("net.d/01-link.conflist")).unwrap();
    fs::write(node.at("net.d/01-bytes.conflist"), b"\xff\xfe").unwrap();
    refused("01-bytes.conflist");
    assert_eq!(node.read("net.d/10-net.conflist"), CONFLIST);
}

#[test]
fn the_executable_stays_while_an_unreadable_configuration_may_name_it() {
    let node = Node::new();
    node.write("net.d/10-net.conflist", CONFLIST);
    node.installer().install().unwrap();
    node.write("net.d/50-broken.conflist", "{\"plugins\": [{\"type\": \"meshward-cni\"}");
    let error = node.installer().uninstall().unwrap_err().to_string();
    assert!(error.contains("the executable stays, since") && error.contains("50-broken.conflist"), "{error}");
    assert!(node.at("bin/meshward-cni").exists());
    node.write("net.d/50-broken.conflist", "{\"plugins\": [");
    node.installer().uninstall().unwrap();
    assert_eq!(node.names("bin"), [] as [&str; 0]);
    let mut keeps =
        Installer::new(InstallSettings { keep_binary: true, ..node.settings() }, node.at("agent"));
    fs::remove_file(node.at("net.d/50-broken.conflist")).unwrap();
    keeps.install().unwrap();
    keeps.uninstall().unwrap();
    assert_eq!((node.names("bin").len(), node.read("net.d/10-net.conflist").as_str()), (1, CONFLIST));
}

#[test]
fn a_file_that_changed_since_it_was_read_is_not_overwritten() {
    let node = Node::new();
    node.write("net.d/10-net.conflist", CONFLIST);
    let path = node.at("net.d/10-net.conflist");
    let error = replace_text(&path, "what was read before", "what we would write").unwrap_err();
    assert!(matches!(error, InstallError::Contended { .. }), "{error}");
    assert_eq!(node.read("net.d/10-net.conflist"), CONFLIST);
    assert_eq!(node.names("net.d"), ["10-net.conflist"]);
}

#[tokio::test]
async fn it_is_installed_again_whenever_somebody_rewrites_the_configuration_and_gone_with_the_agent() {
    let node = Node::new();
    let (state, mut states) = watch::channel(Err("not yet".to_owned()));
    let stop = CancellationToken::new();
    let keeper = tokio::spawn(keep(node.settings(), node.at("agent"), state, stop.clone()));
    states
        .wait_for(|state| state.as_ref().is_err_and(|why| why.contains("no CNI configuration")))
        .await
        .unwrap();
    for name in ["20-net.conflist", "20-net.conflist", "10-first.conflist"] {
        let (path, text) = (node.at("net.d").join(name), CONFLIST.replace("bridge", name));
        // As installers do it, so that nobody reads half a file.
        fs::write(node.at("written"), &text).unwrap();
        fs::rename(node.at("written"), &path).unwrap();
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !fs::read_to_string(&path).unwrap().contains(PLUGIN) {
            assert!(std::time::Instant::now() < until, "{name} has no entry");
            tokio::task::yield_now().await;
        }
        states.wait_for(|state| state.as_ref().is_ok_and(|used| *used == path)).await.unwrap();
    }
    stop.cancel();
    keeper.await.unwrap();
    assert!(!node.at("bin/meshward-cni").exists());
    for name in ["10-first.conflist", "20-net.conflist"] {
        let left = node.read(&format!("net.d/{name}"));
        assert!(!left.contains(PLUGIN), "{name}: {left}");
    }
}
