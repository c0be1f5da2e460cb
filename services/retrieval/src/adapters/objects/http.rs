//! The way to an S3 server: hyper's client with its pool, for the `object_store` crate, which brings another one by default.
//! Redirects are not followed, and no proxy comes from the environment.

use std::time::Duration;

use async_trait::async_trait;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector as Tcp;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody, HttpResponse,
    HttpService,
};
use rustls::{ClientConfig, RootCertStore};

use super::bucket::READ;

/// How long an unused connection is kept, and how many of them.
const IDLE_LIMIT: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 32;
/// The longest reply that is taken: what is asked for at once, and room for a server that says more than it was asked.
const LONGEST: usize = READ as usize + (1 << 20);

/// Makes clients of these times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connector {
    /// For a connection.
    pub connect: Duration,
    /// For a request with its whole reply.
    pub exchange: Duration,
    /// Whether the address is `http://`: without TLS nobody needs the machine's certificates.
    pub plain: bool,
}

#[derive(Debug)]
struct Exchange {
    pool: Pool<HttpsConnector<Tcp>, HttpRequestBody>,
    limit: Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("no answer in time")]
struct TooSlow;

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        // One TLS for the process: ring. A second call finds it installed, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let tls = ClientConfig::builder();
        let tls = if self.plain {
            tls.with_root_certificates(RootCertStore::empty()).with_no_client_auth()
        } else {
            let verified = tls.try_with_platform_verifier();
            verified.map_err(|error| unusable(error.into()))?.with_no_client_auth()
        };
        let mut tcp = Tcp::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(self.connect));
        let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
        let pool = Pool::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(MOST_IDLE)
            .build(connector.enable_http1().wrap_connector(tcp));
        Ok(HttpClient::new(Exchange { pool, limit: self.exchange }))
    }
}

fn unusable(source: Box<dyn std::error::Error + Send + Sync>) -> object_store::Error {
    object_store::Error::Generic { store: "S3", source }
}

#[async_trait]
impl HttpService for Exchange {
    /// The whole reply is read here: a reply that breaks off or takes too long is then a failed request, which is made
    /// again, and never a half-read body.
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let exchange = async {
            let reply = self.pool.request(request).await.map_err(unsent)?;
            let (head, body) = reply.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(broken)?;
            Ok(HttpResponse::from_parts(head, body.to_bytes().into()))
        };
        let answered = tokio::time::timeout(self.limit, exchange).await;
        answered.unwrap_or_else(|_| Err(HttpError::new(HttpErrorKind::Timeout, TooSlow)))
    }
}

fn unsent(error: hyper_util::client::legacy::Error) -> HttpError {
    let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Interrupted };
    HttpError::new(kind, error)
}

fn broken(error: Box<dyn std::error::Error + Send + Sync>) -> HttpError {
    let kind =
        if error.is::<LengthLimitError>() { HttpErrorKind::Decode } else { HttpErrorKind::Interrupted };
    HttpError::new_boxed(kind, error)
}
