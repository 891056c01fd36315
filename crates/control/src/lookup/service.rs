//! Calls of policy context to a Service, over HTTP or HTTPS. The address comes from a policy and may hold variables, so
//! it is a stranger's: addresses of this machine and of the cloud's metadata are not called, redirects are not followed,
//! and no credentials of ours go along.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::fetch::LARGEST;
use super::policy::{data, method};
use super::{AskError, Asker};

/// Which addresses may be called.
#[derive(Debug, Clone, Copy)]
pub(super) struct Services {
    forbidden: fn(IpAddr) -> bool,
}

impl Default for Services {
    fn default() -> Self {
        Self { forbidden }
    }
}

/// This machine's, and those that only this link has: there is the cloud's metadata, with credentials.
fn forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified() || v4.is_multicast(),
        IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified() || v6.is_multicast()
        }
    }
}

/// A call, read.
struct Call {
    method: Method,
    uri: Uri,
    headers: Vec<(String, String)>,
    body: String,
    roots: String,
}

impl Asker<'_> {
    /// The answer of a Service to a call of a policy of `namespace`; empty for one of the cluster.
    pub(super) fn service(&self, service: &Value, call: &Value, namespace: &str) -> Result<Value, String> {
        let call = Call::read(service, call)?;
        let host = call.uri.host().unwrap_or_default();
        if !namespace.is_empty() && !is_of(host, namespace) {
            return Err(format!(
                "service {} is not of the policy's namespace {namespace}, accepted: NAME.{namespace}.svc",
                call.uri
            ));
        }
        let key = format!("{} {} {} {:?}", call.method, call.uri, call.body, call.headers);
        if let Some(answer) = self.answers.borrow().get(&key) {
            return super::policy::own(answer.clone());
        }
        let Some(handle) = &self.handle else { return self.miss().map_err(|error| error.to_string()) };
        self.waits.set(self.waits.get() + 1);
        let time = self.deadline.left();
        let told = format!("failed to execute HTTP request to {}", call.uri);
        let asked = handle.block_on(tokio::time::timeout(time, self.outside.services.ask(call)));
        let answer = asked.unwrap_or_else(|_| Err(format!("no answer within {time:.1?}")));
        let answer = answer.map_err(|error| format!("{told}: {error}"));
        let kept = answer.clone().map(Arc::new).map_err(AskError::Failed);
        self.answers.borrow_mut().insert(key, kept);
        answer
    }
}

/// Whether a host is a Service of a namespace.
fn is_of(host: &str, namespace: &str) -> bool {
    let mut labels = host.trim_end_matches('.').splitn(3, '.');
    let (name, of, rest) = (labels.next(), labels.next(), labels.next());
    name.is_some_and(|name| !name.is_empty())
        && of == Some(namespace)
        && matches!(rest, None | Some("svc" | "svc.cluster.local"))
}

impl Call {
    fn read(service: &Value, call: &Value) -> Result<Self, String> {
        let text = |name: &str| service.get(name).and_then(Value::as_str).unwrap_or_default();
        let uri: Uri =
            text("url").parse().map_err(|error| format!("service.url {:?}: {error}", text("url")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(format!(
                "service.url {:?}, accepted: http://HOST/PATH or https://HOST/PATH",
                text("url")
            ));
        }
        let headers = service.get("headers").and_then(Value::as_array).into_iter().flatten();
        let headers = headers.map(|header| {
            let member = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
            (member("key"), member("value"))
        });
        let (method, body) = match method(call)? {
            "POST" => (Method::POST, data(call).to_string()),
            _ => (Method::GET, String::new()),
        };
        Ok(Self { method, uri, headers: headers.collect(), body, roots: text("caBundle").to_owned() })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |authority| authority.as_str());
        let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
        let mut request = Request::builder()
            .method(self.method.clone())
            .uri(path)
            .header(header::HOST, host)
            .header(header::ACCEPT, "application/json");
        if !self.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(Full::from(self.body.clone())).map_err(|error| error.to_string())
    }

    fn tls(&self) -> Result<TlsConnector, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(self.roots.as_bytes()) {
            let certificate = certificate.map_err(|error| format!("service.caBundle: {error}"))?;
            roots.add(certificate).map_err(|error| format!("service.caBundle: {error}"))?;
        }
        if roots.is_empty() {
            return Err("service.caBundle is needed for https: no authority is trusted by itself".to_owned());
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        Ok(TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth())))
    }
}

impl Services {
    async fn ask(&self, call: Call) -> Result<Value, String> {
        let secure = call.uri.scheme_str() == Some("https");
        let host =
            call.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = call.uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let request = call.request()?;
        let tls = if secure { Some(call.tls()?) } else { None };
        let stream = self.connect(&host, port).await?;
        let Some(tls) = tls else { return exchange(stream, request).await };
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        exchange(tls.connect(name, stream).await.map_err(|error| error.to_string())?, request).await
    }

    /// Connects to the address that was looked at, so that a name cannot change between the two.
    async fn connect(&self, host: &str, port: u16) -> Result<TcpStream, String> {
        let found = tokio::net::lookup_host((host, port)).await.map_err(|error| error.to_string())?;
        let mut last = "the name has no address".to_owned();
        for address in found {
            if (self.forbidden)(address.ip()) {
                last = format!("{} is not called: an address of this machine or link", address.ip());
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    stream.set_nodelay(true).map_err(|error| error.to_string())?;
                    return Ok(stream);
                }
                Err(error) => last = error.to_string(),
            }
        }
        Err(last)
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Value, String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let answered = async {
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                return format!("response length must be less than max allowed response length of {LARGEST}");
            }
            error.to_string()
        })?;
        let text = body.to_bytes();
        if !status.is_success() {
            let told: String = String::from_utf8_lossy(&text).chars().take(512).collect();
            return Err(format!("HTTP {status}: {told}"));
        }
        serde_json::from_slice(&text).map_err(|error| format!("the answer is no JSON: {error}"))
    };
    // The connection moves only while it is polled, and lives no longer than the answer.
    tokio::select! {
        answer = answered => answer,
        ended = async { let _ = connection.await; tokio::time::sleep(Duration::from_secs(1)).await } => {
            let () = ended;
            Err("the connection ended without an answer".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::{get, post};
    use serde_json::json;
    use tokio::net::TcpListener;
    use tokio::sync::watch;

    use super::*;
    use crate::admission::Deadline;
    use crate::lookup::Outside;

    #[test]
    fn hosts_of_a_namespace() {
        for host in ["x.shop", "x.shop.svc", "x.shop.svc.cluster.local", "x.shop.svc."] {
            assert!(is_of(host, "shop"), "{host}");
        }
        for host in ["x.other.svc", "shop", "x.shop.evil.example", "x.y.shop.svc", ".shop", "10.0.0.1", ""] {
            assert!(!is_of(host, "shop"), "{host}");
        }
    }

    #[test]
    fn addresses_that_are_not_called() {
        for address in ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fe80::1", "::ffff:127.0.0.1"] {
            assert!(forbidden(address.parse().unwrap()), "{address}");
        }
        assert!(!forbidden("10.96.0.1".parse().unwrap()));
    }

    async fn served() -> String {
        let router = Router::new()
            .route("/get", get(async || r#"{"a": 1}"#))
            .route("/post", post(async |body: String| body))
            .route("/text", get(async || "no json"))
            .route("/gone", get(async || (axum::http::StatusCode::GONE, "not here")));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        format!("http://{address}")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn calls_are_answered_in_bounds() {
        let at = served().await;
        let (_, roles) = watch::channel(None);
        let mut outside = Outside::new(None, roles);
        let ask = move |outside: &Outside, url: String, call: Value, namespace: &str| {
            let asker = Asker::waiting(
                outside,
                Deadline::after(Duration::from_secs(5)),
                tokio::runtime::Handle::current(),
            );
            asker.service(&json!({"url": url}), &call, namespace)
        };
        let answers = tokio::task::spawn_blocking(move || {
            let refused = ask(&outside, format!("{at}/get"), json!({}), "").unwrap_err();
            outside.services = Services { forbidden: |_| false };
            let get = |path: &str| ask(&outside, format!("{at}{path}"), json!({}), "");
            let post = json!({"method": "POST", "data": [{"key": "k", "value": {"v": 2}}]});
            let posted = ask(&outside, format!("{at}/post"), post, "").unwrap();
            let elsewhere = ask(&outside, format!("{at}/get"), json!({}), "shop").unwrap_err();
            let https = ask(&outside, "https://x.y/".into(), json!({}), "").unwrap_err();
            (
                refused,
                get("/get").unwrap(),
                posted,
                [get("/text"), get("/gone")].map(Result::unwrap_err),
                elsewhere,
                https,
            )
        });
        let (refused, got, posted, [text, gone], elsewhere, https) = answers.await.unwrap();
        assert!(refused.contains("127.0.0.1 is not called"), "{refused}");
        assert_eq!((got, posted), (json!({"a": 1}), json!({"k": {"v": 2}})));
        assert!(text.contains("the answer is no JSON"), "{text}");
        assert!(gone.ends_with("HTTP 410 Gone: not here"), "{gone}");
        assert!(elsewhere.contains("is not of the policy's namespace shop"), "{elsewhere}");
        assert!(https.contains("service.caBundle is needed"), "{https}");
    }
}
