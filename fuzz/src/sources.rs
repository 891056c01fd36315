//! What container runtimes, network plugins and processes tell the node agent.

use meshward_node::cni::conflist::Conflist;
use meshward_node::cni::spec;
use meshward_node::cni::wire::Question;
use meshward_node::locate::cri::describe_info;
use meshward_node::locate::nri::{Decoder, describe_trunk, encode};
use meshward_node::locate::proc::pod_uid;
use serde_json::Value;

use super::check_message;

/// The trunk of an NRI connection: the same messages however it is cut, and the same again after encoding.
pub fn nri_trunk(data: &[u8]) {
    let whole = describe_trunk(data);
    let (mut decoder, mut messages) = (Decoder::default(), Vec::new());
    let fed = data.chunks(7).try_for_each(|part| decoder.feed(part).map(|found| messages.extend(found)));
    assert_eq!(whole.as_ref().err(), fed.as_ref().err());
    match whole {
        Ok(count) => {
            assert!(count == messages.len() && count <= data.len() / 10);
            let again: Vec<u8> = messages.iter().flat_map(encode).collect();
            assert_eq!(Decoder::default().feed(&again).unwrap(), messages);
        }
        Err(error) => check_message(&error.to_string()),
    }
}

/// The verbose information of a sandbox.
pub fn cri_info(data: &[u8]) {
    describe_info(&String::from_utf8_lossy(data));
}

/// The standard input of the CNI plugin, in every command; and as the line that a plugin sends to the agent.
pub fn cni_input(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    for command in ["ADD", "CHECK", "DEL", "GC", "STATUS", "VERSION"] {
        let variable = |name: &str| match name {
            "CNI_COMMAND" => Some(command.to_owned()),
            "CNI_CONTAINERID" => Some("sandbox-1".to_owned()),
            "CNI_NETNS" => Some("/run/netns/x".to_owned()),
            "CNI_IFNAME" => Some("eth0".to_owned()),
            "CNI_ARGS" => Some(text.replace('\0', "")),
            _ => None,
        };
        match spec::read(&variable, data) {
            Ok(_) => {}
            Err(failure) => {
                assert!(command != "DEL" && command != "VERSION", "{command} may not fail: {failure:?}");
                check_message(&failure.message);
                assert!(failure.to_json()["code"].is_u64());
            }
        }
    }
    if let Err(reason) = Question::parse(data) {
        check_message(&reason);
    }
}

/// A network configuration: what is put in is taken out again to the byte, and nothing else changes.
pub fn cni_conflist(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let list = match Conflist::parse(&text) {
        Ok(list) => list,
        Err(error) => return check_message(&error.to_string()),
    };
    let Ok(Value::Object(entry)) = serde_json::from_str(r#"{"type":"meshward-cni","socket":"/x"}"#) else {
        return;
    };
    match list.with(&entry) {
        Ok(Some(added)) => {
            let edited = Conflist::parse(&added).unwrap();
            assert!(edited.is_ours());
            assert_eq!(edited.with(&entry), Ok(None));
            if !list.is_ours() {
                assert_eq!(edited.without().as_deref(), Some(&*text));
            }
        }
        Ok(None) => assert!(list.is_ours()),
        Err(error) => check_message(&error.to_string()),
    }
    if let Some(taken) = list.without() {
        assert!(!Conflist::parse(&taken).unwrap().is_ours());
    }
}

/// A process's control groups.
pub fn proc_cgroup(data: &[u8]) {
    if let Some(uid) = pod_uid(&String::from_utf8_lossy(data)) {
        assert!(uid.len() == 32 || uid.len() == 36);
        assert!(uid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-'));
    }
}
