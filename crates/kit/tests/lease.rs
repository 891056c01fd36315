//! Elections on a real API server, named by `MESHWARD_TEST_KUBECONFIG`; skipped without one.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams};
use meshward_kit::admin::Readiness;
use meshward_kit::client::{self, Access};
use meshward_kit::lease::{self, Election, Times};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

const TIMES: Times = Times {
    duration: Duration::from_secs(3),
    renew: Duration::from_secs(2),
    retry: Duration::from_millis(300),
};
const SOON: Duration = Duration::from_secs(20);
const NAMESPACE: &str = "default";

async fn cluster() -> Option<kube::Client> {
    let Some(path) = std::env::var_os("MESHWARD_TEST_KUBECONFIG") else {
        eprintln!("skipped: no API server (MESHWARD_TEST_KUBECONFIG)");
        return None;
    };
    let access = Access { kubeconfig: Some(path.into()), context: None, user_agent: "meshward-test".into() };
    Some(client::connect(&access).await.expect("a client"))
}

struct Candidate {
    leading: watch::Receiver<bool>,
    token: CancellationToken,
    task: JoinHandle<()>,
    readiness: Readiness,
}

impl Candidate {
    fn stand(client: &kube::Client, lease: &str, name: &str) -> Self {
        let (token, readiness) = (CancellationToken::new(), Readiness::new());
        let shown = readiness.require_at_first("election", "waiting");
        let election = Election::new(client.clone(), NAMESPACE, lease, lease::identity(name), TIMES);
        let leading = election.leading();
        let task = tokio::spawn(election.run(shown, token.clone()));
        Self { leading, token, task, readiness }
    }

    async fn leads(&mut self, wanted: bool) -> Duration {
        let start = Instant::now();
        timeout(SOON, self.leading.wait_for(|leads| *leads == wanted))
            .await
            .expect("in time")
            .expect("lives");
        start.elapsed()
    }
}

async fn holder(client: &kube::Client, lease: &str) -> (String, i32) {
    let api: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    let spec = api.get(lease).await.expect("a Lease").spec.expect("a specification");
    (spec.holder_identity.unwrap_or_default(), spec.lease_transitions.unwrap_or_default())
}

async fn gone(client: &kube::Client, lease: &str) {
    let api: Api<Lease> = Api::namespaced(client.clone(), NAMESPACE);
    drop(api.delete(lease, &DeleteParams::default()).await);
}

#[tokio::test]
async fn one_leads_and_the_next_begins_when_it_ends() {
    let Some(client) = cluster().await else { return };
    let lease = format!("lease-test-{}", std::process::id());
    let mut first = Candidate::stand(&client, &lease, "first");
    first.leads(true).await;
    let mut second = Candidate::stand(&client, &lease, "second");
    second.readiness.wait_for_all(&["election"]).await;
    assert!(!*second.leading.borrow());
    // It ends in order: the next one need not wait for the lease to run out.
    first.token.cancel();
    let took = second.leads(true).await;
    assert!(took < TIMES.duration, "{took:?}");
    assert!(!*first.leading.borrow());
    first.task.await.expect("ends well");

    // It is killed: nobody is told, and the next one waits until the lease has run out before its eyes.
    let mut third = Candidate::stand(&client, &lease, "third");
    third.readiness.wait_for_all(&["election"]).await;
    second.task.abort();
    let took = third.leads(true).await;
    assert!(took + TIMES.retry * 2 >= TIMES.duration && took < TIMES.duration * 3, "{took:?}");
    let (holder, transitions) = holder(&client, &lease).await;
    assert!(holder.starts_with("third_"), "{holder}");
    assert_eq!(transitions, 2);

    // It is taken away: the leader stops when it next looks, and nobody leads until the new claim has run out.
    lease::seize(client.clone(), NAMESPACE, &lease, "uninstalled", Duration::from_secs(4))
        .await
        .expect("seized");
    let took = third.leads(false).await;
    assert!(took < TIMES.retry * 4, "{took:?}");
    let took = third.leads(true).await;
    assert!(took > Duration::from_secs(3), "{took:?}");
    third.token.cancel();
    third.task.await.expect("ends well");
    gone(&client, &lease).await;
}

#[tokio::test]
async fn of_many_at_once_one_leads() {
    let Some(client) = cluster().await else { return };
    let lease = format!("lease-test-many-{}", std::process::id());
    let mut all: Vec<Candidate> =
        (0..8).map(|at| Candidate::stand(&client, &lease, &format!("c{at}"))).collect();
    for candidate in &all {
        timeout(SOON, candidate.readiness.wait_for_all(&["election"])).await.expect("known");
    }
    // While leaders come and go there is never more than one.
    for _ in 0..3 {
        let leaders: Vec<usize> = (0..all.len()).filter(|at| *all[*at].leading.borrow()).collect();
        assert_eq!(leaders.len(), 1);
        let leader = all.remove(leaders[0]);
        leader.token.cancel();
        leader.task.await.expect("ends well");
        let start = Instant::now();
        while !all.iter().any(|candidate| *candidate.leading.borrow()) {
            assert!(start.elapsed() < SOON, "nobody leads");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for candidate in all {
        candidate.token.cancel();
        candidate.task.await.expect("ends well");
    }
    gone(&client, &lease).await;
}

#[tokio::test]
async fn a_leader_without_an_api_server_stops_before_others_begin() {
    let Some(client) = cluster().await else { return };
    let lease = format!("lease-test-away-{}", std::process::id());
    // Through a relay that can be cut, so that only this candidate loses the API server.
    let relay = relay::Relay::start().await;
    let mut cut = Candidate::stand(&relay.client, &lease, "cut");
    cut.leads(true).await;
    let mut other = Candidate::stand(&client, &lease, "other");
    other.readiness.wait_for_all(&["election"]).await;
    relay.cut();
    let start = Instant::now();
    cut.leads(false).await;
    let stopped = start.elapsed();
    assert!(!*other.leading.borrow(), "two lead");
    other.leads(true).await;
    assert!(stopped <= TIMES.duration && start.elapsed() >= stopped, "{stopped:?}");
    for candidate in [cut, other] {
        candidate.token.cancel();
        candidate.task.await.expect("ends well");
    }
    gone(&client, &lease).await;
}

mod relay {
    use kube::config::{KubeConfigOptions, Kubeconfig};
    use tokio::net::{TcpListener, TcpStream};
    use tokio_util::sync::CancellationToken;

    /// A TCP relay to the API server that stops passing anything on once it is cut, without a word to anybody.
    pub(super) struct Relay {
        pub(super) client: kube::Client,
        cut: CancellationToken,
    }

    impl Relay {
        pub(super) async fn start() -> Self {
            let path = std::env::var_os("MESHWARD_TEST_KUBECONFIG").expect("set");
            let file = Kubeconfig::read_from(path).expect("a kubeconfig");
            let mut config = kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .expect("a configuration");
            let url = config.cluster_url.clone();
            let server = (url.host().expect("a host").to_owned(), url.port_u16().unwrap_or(443));
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let port = listener.local_addr().expect("bound").port();
            config.cluster_url = format!("https://127.0.0.1:{port}").parse().expect("a URL");
            config.tls_server_name = Some(server.0.clone());
            let cut = CancellationToken::new();
            let token = cut.clone();
            tokio::spawn(async move {
                while let Ok((mut near, _)) = listener.accept().await {
                    let (server, token) = (server.clone(), token.clone());
                    tokio::spawn(async move {
                        let mut far = TcpStream::connect(server).await.expect("the API server");
                        let both = tokio::io::copy_bidirectional(&mut near, &mut far);
                        if token.run_until_cancelled(both).await.is_none() {
                            // Held open: whoever waits for an answer goes on waiting.
                            std::future::pending::<()>().await;
                        }
                    });
                }
            });
            Self { client: kube::Client::try_from(config).expect("a client"), cut }
        }

        pub(super) fn cut(&self) {
            self.cut.cancel();
        }
    }
}
