//! Certificates that somebody else keeps, such as cert-manager: files that change while pods are created.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use meshward_kit::tls::{Authority, LeafPem};
use meshward_policy::go::base64;
use serde_json::Value;

use crate::bed::{Bed, eventually};
use crate::load::Load;

const DAY: Duration = Duration::from_secs(86_400);

fn authority(name: &str) -> (Authority, LeafPem) {
    let authority = Authority::generate(name, Timestamp::now(), 9 * DAY).unwrap();
    let leaf = authority.leaf(&["127.0.0.1".to_owned()], Timestamp::now(), DAY).unwrap();
    (authority, leaf)
}

/// As the kubelet brings new files: each is whole at any time.
fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let (path, new) = (folder.join(name), folder.join("new"));
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, &path).unwrap();
    path
}

async fn bundle(bed: &Bed) -> String {
    let found = bed.configuration("meshward-swap").await.unwrap();
    let text = found.pointer("/webhooks/0/clientConfig/caBundle").and_then(Value::as_str).unwrap();
    String::from_utf8(base64::decode(text).unwrap()).unwrap()
}

#[tokio::test]
async fn files_are_followed() {
    let Some(bed) = Bed::or_skip("files").await else { return };
    let folder = tempfile::tempdir().unwrap();
    let ((old, leaf), (new, next)) = (authority("old"), authority("new"));
    let certificate = write(folder.path(), "tls.crt", &leaf.certificate);
    let key = write(folder.path(), "tls.key", &leaf.key);
    let authorities = write(folder.path(), "ca.crt", old.certificate_pem());
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments =
        ["--tls-cert", &path(&certificate), "--tls-key", &path(&key), "--ca-file", &path(&authorities)];
    let only = bed.replica("only", &arguments).await;
    bed.balancer.ready(1).await;
    let expiry = only.metrics().await;
    let line = "meshward_certificate_expiry_timestamp_seconds ";
    assert!(expiry.contains(line), "{expiry}");

    let load = Load::start(&bed);
    let both = format!("{}{}", old.certificate_pem(), new.certificate_pem());
    write(folder.path(), "ca.crt", &both);
    eventually("both authorities", async || bundle(&bed).await == both).await;
    write(folder.path(), "tls.crt", &next.certificate);
    write(folder.path(), "tls.key", &next.key);
    let so_far = load.admitted();
    eventually("more pods", async || load.admitted() > so_far + 20).await;
    let (_, failed) = load.end().await;
    assert!(failed.is_empty(), "{failed:?}");
    let ended = bed.command().arg("uninstall").output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    bed.end().await;
}
