//! The parts, each started with what it needs.

use std::sync::Arc;

use anyhow::Context;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use meshward_kit::admin::{self, Condition, Readiness};
use meshward_kit::lease::{self, Election};
use meshward_kit::serve::{Limits, serve};
use meshward_kit::shutdown::Shutdown;
use meshward_kit::tls::{CertificateFiles, CertificateStore};
use meshward_mesh::{SwapOptions, WaitUser as Whom};
use meshward_policy::kyverno::matching::Selector;
use meshward_policy::psa::Configuration;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admission::swap::Swapper;
use crate::admission::{self, Asked, Scope};
use crate::background::{self, Background};
use crate::certificates::{CaBundle, Files, OwnCertificates, Wishes};
use crate::hooks::{self, Answers, Apis, Instance, Sources, Target, Writer};
use crate::live::{self, Definitions, Granting, KINDS, Live, Objects};
use crate::lookup::Outside;
use crate::metrics::Metrics;
use crate::observed::Observer;
use crate::roles::watch_roles;
use crate::scan::Rules;
use crate::settings::{Settings, WaitUser};

/// Definitions as they are followed.
pub(super) type Defined = watch::Receiver<Option<Definitions>>;

/// What the API server serves.
pub(super) type Served = watch::Receiver<Option<Arc<Apis>>>;

/// What OpenShift defines, and nobody else.
const OPENSHIFT: &str = "securitycontextconstraints.security.openshift.io";

/// What all parts are started with.
pub(super) struct Parts {
    pub(super) client: Client,
    pub(super) live: Live,
    pub(super) settings: Settings,
    pub(super) shutdown: Shutdown,
    pub(super) readiness: Readiness,
    /// Ends what answers requests.
    pub(super) stop: CancellationToken,
    /// Which policies have webhooks.
    pub(super) asked: Asked,
    /// What the API server says of match conditions.
    pub(super) answers: watch::Sender<Answers>,
    /// Defaults and exemptions of Pod Security.
    pub(super) standards: Configuration,
    /// What is in our namespace goes with it.
    pub(super) owner: Option<OwnerReference>,
}

/// What TLS is served with, and what is known of it.
pub(super) struct Serving {
    pub(super) store: Arc<CertificateStore>,
    /// The authorities by which the API server knows us.
    pub(super) bundle: watch::Receiver<CaBundle>,
    /// Told which of them every webhook configuration carries.
    pub(super) trusted: watch::Sender<CaBundle>,
}

impl Parts {
    /// Starts the watches that make the snapshot.
    pub(super) fn follow(&self) -> Defined {
        let (client, live, shutdown) = (&self.client, &self.live, &self.shutdown);
        let waiting = |name| self.readiness.require_at_first(name, "waiting for the API server to list them");
        let namespaces =
            live::watch_namespaces(client.clone(), live.clone(), waiting("namespaces"), self.stop.clone());
        shutdown.spawn("namespaces", namespaces);
        let (tell, definitions) = watch::channel(None);
        let defined =
            live::watch_definitions(client.clone(), tell, waiting("definitions"), self.stop.clone());
        shutdown.spawn("definitions", defined);
        let granting = Granting::new(self.settings.policy.exception_namespaces.clone());
        let objects = Objects {
            client: client.clone(),
            live: live.clone(),
            definitions: definitions.clone(),
            granting,
        };
        for kind in KINDS {
            let watched = objects.clone().watch(*kind, self.readiness.clone(), self.stop.clone());
            shutdown.spawn(kind.plural, watched);
        }
        definitions
    }

    /// The election of the one replica that writes; it begins with [`Parts::stand`].
    pub(super) fn elect(&self) -> Election {
        let identity = &self.settings.identity;
        let id = lease::identity(&identity.pod_name);
        let (namespace, name) = (&identity.namespace, &identity.service_name);
        let election = Election::new(self.client.clone(), namespace, name, id, self.settings.election());
        let election = election.owned_by(self.owner.clone());
        match self.settings.webhooks.remove_webhooks_on_exit {
            true => election.farewell(remove_on_exit(self.client.clone(), self.settings.instance())),
            false => election,
        }
    }

    /// Lets us be elected, until the signal: leadership is released at once, so that somebody else leads while we drain.
    pub(super) fn stand(&self, election: Election) {
        let shown = self.readiness.require_at_first("election", "waiting to know who leads");
        self.shutdown.spawn("election", election.run(shown, self.shutdown.token()));
    }

    /// Starts whatever keeps the certificate.
    pub(super) fn certificates(
        &self,
        metrics: &mut Registry,
        leading: &watch::Receiver<bool>,
    ) -> anyhow::Result<Serving> {
        let store = CertificateStore::empty();
        metrics.register_collector(Box::new(store.clone()));
        let (tell, bundle) = watch::channel(None);
        let (trusted, known) = watch::channel(None);
        let settings = &self.settings.certificates;
        if let (Some(certificate), Some(key)) = (&settings.tls_cert, &settings.tls_key) {
            let pair = CertificateFiles { certificate: certificate.clone(), key: key.clone() };
            let files = Files { pair, authorities: settings.ca_file.clone() };
            tell.send_replace(Some(files.load(&store)?));
            let conditions = (self.readiness.advise("certificate"), self.readiness.advise("authorities"));
            let followed = files.follow(store.clone(), tell, conditions.0, conditions.1, self.stop.clone());
            self.shutdown.spawn("certificates", followed);
            return Ok(Serving { store, bundle, trusted });
        }
        let own = self.own_certificates();
        let listed = self.readiness.require_at_first("secret", "waiting for the API server to list it");
        let shown = self.readiness.require_at_first("certificate", "waiting for the leader to make one");
        let followed = own.clone().follow(store.clone(), tell, listed, shown, self.stop.clone());
        self.shutdown.spawn("certificates", followed);
        let kept = self.readiness.advise("renewal");
        let (leading, token) = (leading.clone(), self.shutdown.token());
        let keeper = async move {
            lease::while_leading(leading, token, || own.keep(known.clone(), kept.clone())).await;
        };
        self.shutdown.spawn("renewal", keeper);
        Ok(Serving { store, bundle, trusted })
    }

    fn own_certificates(&self) -> OwnCertificates {
        let (identity, settings) = (&self.settings.identity, &self.settings.certificates);
        let (service, namespace) = (&identity.service_name, &identity.namespace);
        let mut names =
            vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")];
        names.extend(self.settings.webhooks.host());
        let wishes = Wishes {
            name: service.clone(),
            names,
            lifetime: settings.certificate_lifetime,
            authority_lifetime: settings.authority_lifetime,
            settle: settings.certificate_settle,
        };
        let name = format!("{service}-certificates");
        OwnCertificates::new(self.client.clone(), namespace, &name, wishes, self.owner.clone())
    }

    /// Starts the writer of webhook configurations.
    pub(super) async fn hooks(
        &self,
        metrics: &mut Registry,
        leading: &watch::Receiver<bool>,
        definitions: &Defined,
        serving: &Serving,
    ) -> Served {
        let (client, instance) = (&self.client, self.settings.instance());
        let (apis, reachable) = (self.discover(definitions), self.warm_up());
        let (tell, found) = watch::channel(None);
        let listed = ["mutating", "validating"]
            .map(|name| self.readiness.require_at_first(name, "waiting for the API server to list them"));
        let followed =
            hooks::watch_configurations(client.clone(), instance.clone(), tell, listed, self.stop.clone());
        self.shutdown.spawn("configurations", followed);

        let asked = self.asked.clone().follow(found.clone(), self.stop.clone());
        self.shutdown.spawn("asked", asked);
        let owner = super::owner::cluster(client, &self.settings).await;
        let target = Target { client: client.clone(), instance, owner };
        let served = apis.clone();
        let sources = Sources {
            live: self.live.clone(),
            apis,
            definitions: definitions.clone(),
            bundle: serving.bundle.clone(),
            found,
            reachable,
        };
        let shown =
            self.readiness.require_at_first("hooks", "waiting for webhook configurations to be written");
        let writer = Writer::new(
            target,
            self.settings.hooks(&self.standards),
            sources,
            serving.trusted.clone(),
            self.answers.clone(),
            shown.clone(),
        );
        writer.register(metrics);
        self.keep_hooks(writer, shown, leading.clone());
        served
    }

    /// Follows what the API server serves.
    fn discover(&self, definitions: &Defined) -> Served {
        let (tell, apis) = watch::channel(None);
        let shown =
            self.readiness.require_at_first("discovery", "waiting for the API server to tell its APIs");
        let (client, token) = (self.client.clone(), self.stop.clone());
        let discovered = hooks::watch_apis(client, definitions.clone(), tell, shown, token);
        self.shutdown.spawn("discovery", discovered);
        apis
    }

    /// Tells when requests reach this replica: a while after it says that it is ready.
    fn warm_up(&self) -> watch::Receiver<bool> {
        let (warm, reachable) = watch::channel(false);
        let (readiness, warm_up, token) =
            (self.readiness.clone(), self.settings.webhooks.warm_up, self.stop.clone());
        self.shutdown.spawn("warm-up", async move {
            let warmed = async {
                readiness.wait_for(true).await;
                tokio::time::sleep(warm_up).await;
                warm.send_replace(true);
                std::future::pending::<()>().await;
            };
            token.run_until_cancelled(warmed).await;
        });
        reachable
    }

    /// Has the configurations written while this replica leads.
    fn keep_hooks(&self, writer: Writer, shown: Condition, leads: watch::Receiver<bool>) {
        let (readiness, token) = (self.readiness.clone(), self.shutdown.token());
        self.shutdown.spawn("hooks", async move {
            let led = leads.clone();
            let others = async {
                // Somebody else leads, and writes.
                readiness.wait_for_all(&["election"]).await;
                if !*led.borrow() {
                    shown.hold();
                }
                std::future::pending::<()>().await;
            };
            let writing = lease::while_leading(leads, token, || writer.clone().keep(readiness.clone()));
            tokio::select! {
                () = others => {}
                () = writing => {}
            }
        });
    }

    /// Starts Events, and what only the leader does: the scan, reports and status. Answers where requests tell what
    /// they found.
    pub(super) fn scan(
        &self,
        metrics: &mut Registry,
        leading: &watch::Receiver<bool>,
        served: &Served,
    ) -> anyhow::Result<Observer> {
        let settings = &self.settings;
        let rules = Rules {
            never: settings.never_judged(),
            selector: self.selector()?,
            exclude_kinds: settings.policy.exclude_kinds.clone(),
            standards: self.standards.clone(),
            ..Rules::default()
        };
        let rules = rules.with_labels(settings.policy.pod_security_labels);
        let wanted = background::Settings {
            scan: settings.scan.clone(),
            reports: settings.reports.clone(),
            events: settings.events.clone(),
            status: settings.status.clone(),
            instance: settings.identity.pod_name.clone(),
            rules,
        };
        let (client, live) = (self.client.clone(), self.live.clone());
        let sources = background::Sources { apis: served.clone(), answers: self.answers.subscribe() };
        let (background, events) = Background::new(client, live, sources, wanted, &self.readiness, metrics);
        self.shutdown.spawn("events", events.run(self.stop.clone()));
        let (observed, observe) = background.clone().observe(self.stop.clone());
        self.shutdown.spawn("observed", observe);
        let (leading, token) = (leading.clone(), self.shutdown.token());
        let leads = async move {
            lease::while_leading(leading, token, || background.clone().lead()).await;
        };
        self.shutdown.spawn("scan", leads);
        Ok(observed)
    }

    /// Which namespaces are selected.
    fn selector(&self) -> anyhow::Result<Option<Selector>> {
        let expressions = &self.settings.webhooks.namespace_selector;
        let parse = || Selector::parse(&json!({"matchExpressions": expressions}), "");
        (!expressions.is_empty()).then(parse).transpose().context("--namespace-selector")
    }

    /// What swaps pods.
    pub(super) fn swapper(&self, definitions: &Defined) -> Swapper {
        let swap = &self.settings.swap;
        let definitions = definitions.clone();
        let on_openshift =
            move || definitions.borrow().as_ref().is_some_and(|defined| defined.contains_key(OPENSHIFT));
        let options = SwapOptions {
            image: swap.wait_image.clone(),
            timeout: swap.wait_timeout,
            exit: swap.wait_exit_code.into(),
            validators: swap.validators.into(),
            user: Whom::Ordinary,
        };
        let user = move |wished: WaitUser| match wished {
            WaitUser::Auto if on_openshift() => Whom::Platform,
            WaitUser::Auto | WaitUser::Ordinary => Whom::Ordinary,
            WaitUser::Proxy => Whom::Proxy,
            WaitUser::Platform => Whom::Platform,
        };
        let wished = swap.wait_user;
        Swapper::new(options, move || user(wished), self.settings.never_judged())
    }

    /// What the webhooks work with; with it begins the watch of roles.
    pub(super) fn admission(
        &self,
        swapper: Swapper,
        metrics: Metrics,
        observed: Observer,
    ) -> admission::Parts {
        let (client, settings) = (&self.client, &self.settings);
        let (tell, roles) = watch::channel(None);
        let shown = ["rolebindings", "clusterrolebindings"].map(|name| self.readiness.advise(name));
        let watched = watch_roles(client.clone(), self.live.clone(), tell, shown, self.stop.clone());
        self.shutdown.spawn("roles", watched);
        admission::Parts {
            live: self.live.clone(),
            outside: Arc::new(Outside::new(Some(client.clone()), roles)),
            observed,
            metrics,
            asked: self.asked.clone(),
            swapper,
            scope: Scope::new(settings.never_judged()),
            granting: Granting::new(settings.policy.exception_namespaces.clone()),
            configuration: self.standards.clone(),
            pod_security_labels: settings.policy.pod_security_labels,
        }
    }

    /// Serves the webhooks, from when all that decides is known. Until then connections wait: the kubelet and the API
    /// server can take a while to notice that a process died and another, which knows nothing yet, took its place.
    pub(super) async fn serve(
        &self,
        router: axum::Router,
        store: Arc<CertificateStore>,
    ) -> anyhow::Result<()> {
        let listener = admin::bind_tcp(self.settings.listen.listen).await?;
        let limits = Limits { drain: self.settings.shutdown_timeout, ..Limits::default() };
        let (config, live, stop) = (store.server_config()?, self.live.clone(), self.stop.clone());
        let served = async move {
            if stop.run_until_cancelled(live.whole()).await.is_some() {
                serve(listener, Some(config), router, limits, stop).await;
            }
        };
        self.shutdown.spawn("webhooks", served);
        Ok(())
    }
}

async fn remove_on_exit(client: Client, instance: Instance) {
    match hooks::remove_all(&client, &instance).await {
        Ok(removed) => tracing::info!(removed = removed.join(", "), "webhook configurations removed"),
        Err(error) => tracing::error!(%error, "webhook configurations not removed"),
    }
}
