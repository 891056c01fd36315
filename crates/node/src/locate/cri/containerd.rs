//! A shortcut for containerd. CRI has no question for the networks of all sandboxes, only a status for each, which takes
//! containerd some three milliseconds of a processor: a third of a second before an agent that starts on a full node
//! knows its pods. Its own API, on the same socket, lists what CRI has noted of them in one answer. Whatever is not
//! there, or not as expected, is asked for over CRI.
//!
//! The field numbers are those of containerd's `api/services/containers/v1/containers.proto`, the noted text that of
//! `internal/cri/store/sandbox/metadata.go` (1.7: `pkg/cri/store/sandbox/metadata.go`).

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;

use futures::{Stream, TryStreamExt};
use serde::Deserialize;
use tonic::metadata::MetadataValue;
use tonic::{Request, Status};

use super::client::Client;
use super::message::Item;
use crate::located::{Located, Source};

/// The name in [`super::Runtime`].
pub(super) const NAME: &str = "containerd";

const METHOD: &str = "/containerd.services.containers.v1.Containers/ListStream";
/// Where CRI's containers are.
const NAMESPACE: &str = "k8s.io";
const SANDBOXES: &str = r#"labels."io.cri-containerd.kind"==sandbox"#;
const NOTED: &str = "io.cri-containerd.sandbox.metadata";
const VERSION: &str = "v1";

#[derive(Clone, PartialEq, prost::Message)]
struct List {
    #[prost(string, repeated, tag = "1")]
    filters: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Listed {
    #[prost(message, optional, tag = "1")]
    container: Option<Container>,
}

/// Only what is read: the specification, by far the largest part, is skipped.
#[derive(Clone, PartialEq, prost::Message)]
struct Container {
    #[prost(string, tag = "1")]
    id: String,
    #[prost(map = "string, message", tag = "10")]
    extensions: HashMap<String, Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Noted {
    version: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "NetNSPath", default)]
    netns: String,
    #[serde(rename = "IP", default)]
    ip: String,
    #[serde(rename = "AdditionalIPs", default)]
    more: Option<Vec<String>>,
}

/// Where a sandbox's network is, and its addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    netns: PathBuf,
    ips: Vec<IpAddr>,
}

impl Place {
    /// With what CRI's list says of the sandbox; none when the network is no longer where it was.
    pub(super) fn located(self, item: &Item) -> Option<Located> {
        let metadata = item.metadata.clone()?;
        self.netns.exists().then(|| Located {
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
            sandbox: item.id.clone(),
            netns: self.netns,
            ips: self.ips,
            labels: item.labels.clone().into_iter().collect(),
            annotations: item.annotations.clone().into_iter().collect(),
            source: Source::Cri,
        })
    }
}

/// The places of the `wanted` sandboxes, by id. Those on the node's network are not among them.
pub(super) async fn places(client: &Client, wanted: &[Item]) -> Result<HashMap<String, Place>, Status> {
    let mut question = Request::new(List { filters: vec![SANDBOXES.into()] });
    question.metadata_mut().insert("containerd-namespace", MetadataValue::from_static(NAMESPACE));
    let answers = client.stream::<List, Listed>(METHOD, question).await?;
    let wanted = wanted.iter().map(|item| item.id.as_str()).collect();
    pick(answers, wanted).await
}

/// The list has stopped sandboxes too, in any order, until they are garbage collected: only those that are wanted count.
async fn pick(
    mut answers: impl Stream<Item = Result<Listed, Status>> + Unpin,
    mut wanted: HashSet<&str>,
) -> Result<HashMap<String, Place>, Status> {
    let mut places = HashMap::new();
    while let Some(Listed { container }) = answers.try_next().await? {
        let Some(Container { id, extensions }) = container else { continue };
        if !wanted.remove(id.as_str()) {
            continue;
        }
        if let Some(place) = extensions.get(NOTED).and_then(|noted| place(&id, &noted.value)) {
            places.insert(id, place);
        }
        if wanted.is_empty() {
            break;
        }
    }
    Ok(places)
}

/// Reads what CRI has noted of a sandbox; none when that is not all that a status would say.
pub(super) fn place(sandbox: &str, noted: &[u8]) -> Option<Place> {
    let Noted { version, metadata } = serde_json::from_slice(noted).ok()?;
    let Metadata { id, netns, ip, more } = metadata;
    let ips = std::iter::once(ip).chain(more.unwrap_or_default());
    let ips: Vec<IpAddr> = ips.filter_map(|ip| ip.parse().ok()).collect();
    let whole = version == VERSION && id == sandbox && !ips.is_empty();
    let leads = netns.starts_with('/') && !netns.contains('\0');
    (whole && leads).then(|| Place { netns: PathBuf::from(netns), ips })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn noted() -> Value {
        json!({"Version": "v1", "Metadata": {
            "ID": "s1", "Name": "web_shop_u1_0", "Config": {"metadata": {"name": "web"}},
            "NetNSPath": "/run/netns/cni-1", "IP": "10.1.0.7", "AdditionalIPs": ["fd00::7"],
        }})
    }

    #[test]
    fn a_noted_sandbox_is_read_and_what_is_unlike_it_is_not() {
        let found = place("s1", noted().to_string().as_bytes()).unwrap();
        let ips = ["10.1.0.7", "fd00::7"].map(|ip| ip.parse().unwrap()).to_vec();
        assert_eq!(found, Place { netns: "/run/netns/cni-1".into(), ips });
        let unlike: &[(&str, Value)] = &[
            ("/Version", json!("v2")),
            ("/Metadata/ID", json!("s2")),
            ("/Metadata/NetNSPath", json!("")),
            ("/Metadata/NetNSPath", json!("netns/cni-1")),
            ("/Metadata/NetNSPath", json!("/run/\0")),
            ("/Metadata/IP", json!(7)),
        ];
        for (pointer, value) in unlike {
            let mut other = noted();
            *other.pointer_mut(pointer).unwrap() = value.clone();
            assert_eq!(place("s1", other.to_string().as_bytes()), None, "{pointer}: {value}");
        }
        let mut bare = noted();
        (bare["Metadata"]["IP"], bare["Metadata"]["AdditionalIPs"]) = (json!(""), Value::Null);
        assert_eq!(place("s1", bare.to_string().as_bytes()), None);
    }

    #[tokio::test]
    async fn stopped_sandboxes_that_are_still_listed_hide_none_that_runs() {
        let listed = ["dead-1", "dead-2", "s1", "dead-3", "s2"].map(|id| {
            let mut noted = noted();
            noted["Metadata"]["ID"] = json!(id);
            let extensions = [(NOTED.to_owned(), Any { value: noted.to_string().into_bytes() })];
            Ok(Listed { container: Some(Container { id: id.into(), extensions: extensions.into() }) })
        });
        let places = pick(futures::stream::iter(listed), ["s1", "s2"].into()).await.unwrap();
        assert_eq!(places.keys().map(String::as_str).collect::<HashSet<_>>(), ["s1", "s2"].into());
    }

    #[test]
    fn a_network_that_is_gone_is_no_place() {
        let folder = tempfile::tempdir().unwrap();
        let item = Item { id: "s1".into(), metadata: Some(Default::default()), ..Item::default() };
        let at = |netns: PathBuf| Place { netns, ips: Vec::new() }.located(&item);
        assert!(at(folder.path().join("cni-1")).is_none());
        assert_eq!(at(folder.path().to_owned()).unwrap().sandbox, "s1");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, text in "\\PC{0,60}") {
            let mut other = noted();
            other["Metadata"]["NetNSPath"] = json!(text);
            for noted in [bytes, other.to_string().into_bytes()] {
                if let Some(place) = place("s1", &noted) {
                    prop_assert!(place.netns.is_absolute());
                }
            }
        }
    }
}
