//! Certificates are renewed, and their authority replaced, while pods are created all the time.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use meshward_policy::go::base64;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::bed::Bed;
use crate::load::Load;

/// How far behind a slow API server is.
const BEHIND: Duration = Duration::from_millis(1200);

/// The `caBundle` of the swap's webhook.
async fn bundle(bed: &Bed) -> Vec<u8> {
    let found = bed.configuration("meshward-swap").await.unwrap();
    let text = found.pointer("/webhooks/0/clientConfig/caBundle").and_then(Value::as_str).unwrap();
    base64::decode(text).unwrap()
}

fn connector(bundle: &[u8]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(bundle) {
        roots.add(certificate.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = rustls::client::Resumption::disabled();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn nobody_notices_a_rotation() {
    let Some(bed) = Bed::or_skip("rotates").await else { return };
    let short = [
        "--swap-failure=fail",
        "--certificate-lifetime=16s",
        "--authority-lifetime=64s",
        "--certificate-settle=3s",
        "--warm-up=1s",
    ];
    let (_one, _two) = (bed.replica("one", &short).await, bed.replica("two", &short).await);
    bed.balancer.ready(2).await;
    let load = Load::start(&bed);
    let (mut bundles, mut leaves, start) = (VecDeque::new(), BTreeSet::new(), Instant::now());
    let (mut seen, mut most, mut handshakes) = (BTreeSet::new(), 0, 0);
    // Until an authority has come and its predecessor has gone.
    let mut count = 1;
    while count == most || most < 2 {
        assert!(start.elapsed() < Duration::from_secs(120), "no authority was replaced");
        let now = bundle(&bed).await;
        count = CertificateDer::pem_slice_iter(&now).count();
        most = most.max(count);
        seen.insert(now.clone());
        bundles.push_back((Instant::now(), now));
        // What a slow API server trusts: the newest bundle that it can have.
        while bundles.get(1).is_some_and(|(since, _)| since.elapsed() >= BEHIND) {
            bundles.pop_front();
        }
        let connector = connector(&bundles[0].1);
        let stream = TcpStream::connect(bed.balancer.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let stream = connector.connect(name, stream).await.expect("whoever is a little behind is served too");
        leaves.insert(stream.get_ref().1.peer_certificates().unwrap()[0].to_vec());
        handshakes += 1;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let (admitted, failed) = load.end().await;
    assert!(failed.is_empty(), "{} of {}: {}", failed.len(), admitted + failed.len(), failed[0]);
    assert!(leaves.len() >= 4 && most == 2 && seen.len() >= 3, "{} {most} {}", leaves.len(), seen.len());
    println!(
        "{admitted} pods and {handshakes} handshakes over {} certificates and {} bundles, none failed",
        leaves.len(),
        seen.len()
    );
    let ended = bed.command().arg("uninstall").output().await.unwrap();
    assert!(ended.status.success(), "{ended:?}");
    bed.end().await;
}
