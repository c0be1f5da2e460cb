//! The way to a provider: hyper's client with its pool, over TLS where the address says so. Nothing stands between that
//! costs a call something: no redirects, because a key must not travel to another host, and no proxy from the
//! environment, because services read none.
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client as Pool, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use tower::{BoxError, Service};

/// The longest wait for a connection, TLS included, so that a dead host leaves time for the next one.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept, and how many of them: what a burst has opened is not held for longer.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
const MOST_IDLE: usize = 256;
/// A host that vanished without a word is noticed after some of these.
const KEEPALIVE: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 3;
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// A provider's reply, its body not read yet.
pub type Reply = http::Response<Incoming>;

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub struct Client(Pool<InTime<HttpsConnector<HttpConnector>>, Full<Bytes>>);

impl Client {
    /// A client for the provider at `url`.
    ///
    /// # Errors
    /// The machine's certificates cannot be read.
    pub fn new(url: &str) -> Result<Self, rustls::Error> {
        // One TLS for the process: ring. A second call finds it installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = ClientConfig::builder();
        // Reading the machine's certificates takes longer than everything else at the start; without TLS nobody needs
        // them.
        let tls = if url.starts_with("http://") {
            tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        } else {
            tls.try_with_platform_verifier()?.with_no_client_auth()
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE));
        tcp.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let connector = InTime(connector.enable_all_versions().wrap_connector(tcp));
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector);
        Ok(Self(pool))
    }

    /// Sends a request; the reply when its headers are there. Dropped before, it closes the connection.
    ///
    /// # Errors
    /// There is no connection, or it broke before a reply.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Reply, Error> {
        self.0.request(request).await
    }
}

/// The next bytes of a body.
pub async fn next_bytes(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    loop {
        match body.frame().await? {
            // Trailers say nothing that is asked for.
            Ok(frame) => {
                if let Ok(bytes) = frame.into_data() {
                    return Some(Ok(bytes));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Limits the time of another connector.
#[derive(Clone)]
struct InTime<C>(C);

#[derive(Debug, thiserror::Error)]
#[error("no connection in time")]
struct TooSlow;

impl<C> Service<Uri> for InTime<C>
where
    C: Service<Uri>,
    C::Error: Into<BoxError>,
    C::Future: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async {
            match tokio::time::timeout(CONNECT_LIMIT, connecting).await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_) => Err(TooSlow.into()),
            }
        })
    }
}
