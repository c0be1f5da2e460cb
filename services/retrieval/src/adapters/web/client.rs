//! One exchange with one address that was checked.
//!
//! A name is looked up once, by us; if any of its addresses may not be asked, none is. The connection goes to an address
//! out of that very answer, so a name that leads elsewhere a moment later (DNS rebinding) leads us nowhere. There is no
//! pool, no proxy and no redirect here: whoever follows one comes back with the new URL and is checked again.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_rustls::ConfigBuilderExt;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::body;
use crate::domain::web::address::is_public;
use crate::domain::web::allow::{Allowed, lets_through};
use crate::domain::web::target::Target;
use crate::domain::web::{WebError, WebFault};
use crate::ports::Resolver;

/// The longest wait for a name, for a connection, and for TLS over it, each.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried.
const TRIED: usize = 3;
/// Most bytes of an answer's head.
const HEAD: usize = 64 * 1024;
/// Most headers of an answer.
const HEADERS: usize = 128;

/// Speaks HTTP with the web. Clones share what they know.
#[derive(Clone)]
pub struct Client {
    resolver: Arc<dyn Resolver>,
    allow: Arc<[Allowed]>,
    ports: Arc<[u16]>,
    user_agent: HeaderValue,
    /// Whether public addresses are asked by way of TLS only.
    tls_only: bool,
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
}

/// A request.
pub struct Ask {
    /// The method.
    pub method: Method,
    /// Headers beside those that every request has.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Bytes,
}

impl Ask {
    /// A plain GET that takes these media types.
    pub fn get(accept: &'static str) -> Self {
        let headers = vec![(http::header::ACCEPT, HeaderValue::from_static(accept))];
        Self { method: Method::GET, headers, body: Bytes::new() }
    }
}

/// An answer, its body not read yet. Dropped, it closes the connection.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    body: Incoming,
    _connection: AbortOnDropHandle<()>,
}

impl Answer {
    /// The body, unpacked, of at most so many bytes.
    ///
    /// # Errors
    /// `TooLarge`, `BadAnswer`, `Unreachable`.
    pub async fn bytes(mut self, most: u64) -> Result<Bytes, WebError> {
        body::read(&self.headers, &mut self.body, most, false).await
    }

    /// The head of the body, unpacked.
    ///
    /// # Errors
    /// `BadAnswer`, `Unreachable`.
    pub async fn head(mut self, most: u64) -> Result<Bytes, WebError> {
        body::read(&self.headers, &mut self.body, most, true).await
    }

    /// The next bytes of the body as they come, packed or not.
    pub async fn next(&mut self) -> Option<Result<Bytes, WebError>> {
        loop {
            match self.body.frame().await? {
                Ok(frame) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Some(Ok(bytes));
                    }
                }
                Err(error) => return Some(Err(broken(&error))),
            }
        }
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Client {
    /// A client that asks public addresses on these ports, and whatever is allowed besides.
    pub fn new(resolver: Arc<dyn Resolver>, allow: Vec<Allowed>, ports: &[u16], user_agent: &str) -> Self {
        let user_agent = HeaderValue::from_str(user_agent);
        Self {
            resolver,
            allow: allow.into(),
            ports: ports.into(),
            user_agent: user_agent.unwrap_or(HeaderValue::from_static("copydesk")),
            tls_only: false,
            tls: Arc::default(),
        }
    }

    /// The same client for an address that the operator configured: what it names is let through, nothing else more.
    #[must_use]
    pub fn for_base(&self, base: &Target) -> Self {
        let authority = match base.literal() {
            Some(IpAddr::V6(address)) => format!("[{address}]:{}", base.port()),
            _ => format!("{}:{}", base.host(), base.port()),
        };
        let allow = self.allow.iter().cloned().chain(Allowed::parse(&authority));
        Self { allow: allow.collect(), ..self.clone() }
    }

    /// The same client, which asks public addresses by way of TLS only.
    #[must_use]
    pub fn tls_or_allowed(&self) -> Self {
        Self { tls_only: true, ..self.clone() }
    }

    /// Sends a request and gives the answer when its head is there.
    ///
    /// # Errors
    /// `Forbidden`, `Unreachable`, `Timeout` for the connection, `BadAnswer`. How long the answer may take is the caller's.
    pub async fn send(&self, target: &Target, ask: Ask) -> Result<Answer, WebError> {
        let tcp = self.dial(target).await?;
        let request = self.request(target, ask)?;
        if !target.is_tls() {
            return exchange(tcp, request).await;
        }
        let connector = TlsConnector::from(self.tls()?);
        let connecting = connector.connect(server_name(target)?, tcp);
        match timeout(CONNECT_LIMIT, connecting).await {
            Ok(Ok(tls)) => exchange(tls, request).await,
            Ok(Err(_)) => Err(unreachable("there is no TLS connection that can be trusted")),
            Err(_) => Err(WebError::new(WebFault::Timeout, "TLS took too long")),
        }
    }

    /// A connection to an address that was checked.
    async fn dial(&self, target: &Target) -> Result<TcpStream, WebError> {
        let addresses = self.addresses(target).await?;
        self.check(target, &addresses)?;
        let mut timed_out = false;
        for address in addresses.into_iter().take(TRIED) {
            match timeout(CONNECT_LIMIT, TcpStream::connect(SocketAddr::new(address, target.port()))).await {
                Ok(Ok(tcp)) if tcp.peer_addr().is_ok_and(|peer| peer.ip() == address) => {
                    let _ = tcp.set_nodelay(true);
                    return Ok(tcp);
                }
                Ok(_) => {}
                Err(_) => timed_out = true,
            }
        }
        match timed_out {
            true => Err(WebError::new(WebFault::Timeout, "connecting took too long")),
            false => Err(unreachable("nobody answers there")),
        }
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, WebError> {
        if let Some(address) = target.literal() {
            return Ok(vec![address]);
        }
        match timeout(CONNECT_LIMIT, self.resolver.resolve(target.host())).await {
            Ok(Ok(addresses)) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(unreachable("there is no such host")),
            Err(_) => Err(WebError::new(WebFault::Timeout, "looking the host up took too long")),
        }
    }

    fn check(&self, target: &Target, addresses: &[IpAddr]) -> Result<(), WebError> {
        let port = target.port();
        let allowed = |address: &IpAddr| lets_through(&self.allow, target.host(), *address, port);
        if !addresses.iter().all(|address| allowed(address) || is_public(*address)) {
            let message = "leads to an address that is not public; retrieval.web.allow can let it through";
            return Err(WebError::new(WebFault::Forbidden, message));
        }
        if self.tls_only && !target.is_tls() && !addresses.iter().all(allowed) {
            return Err(WebError::new(WebFault::Forbidden, "must begin with https://"));
        }
        if !self.ports.contains(&port) && !addresses.iter().all(allowed) {
            let message = format!("port {port} is not one of retrieval.web.ports");
            return Err(WebError::new(WebFault::Forbidden, message));
        }
        Ok(())
    }

    fn request(&self, target: &Target, ask: Ask) -> Result<Request<Full<Bytes>>, WebError> {
        let host = HeaderValue::from_str(&target.authority());
        let host = host.map_err(|_| WebError::new(WebFault::Url, "must name a host that can be asked"))?;
        let mut request = Request::new(Full::new(ask.body));
        *request.method_mut() = ask.method;
        let path = target.path_and_query().parse();
        *request.uri_mut() =
            path.map_err(|_| WebError::new(WebFault::Url, "must have a path that can be asked"))?;
        let headers = request.headers_mut();
        headers.insert(HOST, host);
        headers.insert(USER_AGENT, self.user_agent.clone());
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        for (name, value) in ask.headers {
            headers.insert(name, value);
        }
        Ok(request)
    }

    /// Reading the machine's certificates takes longer than most else: it is done when TLS is first needed.
    fn tls(&self) -> Result<Arc<ClientConfig>, WebError> {
        let made = self.tls.get_or_init(|| {
            // One TLS for the process: ring. A second call finds it installed, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
            let config =
                ClientConfig::builder().try_with_platform_verifier().map_err(|error| error.to_string())?;
            let mut config = config.with_no_client_auth();
            config.alpn_protocols = vec![b"http/1.1".to_vec()];
            Ok(Arc::new(config))
        });
        made.clone().map_err(|_| unreachable("this machine's certificates cannot be read"))
    }
}

fn server_name(target: &Target) -> Result<ServerName<'static>, WebError> {
    let name = match target.literal() {
        Some(address) => return Ok(ServerName::IpAddress(address.into())),
        None => ServerName::try_from(target.host().to_owned()),
    };
    name.map_err(|_| WebError::new(WebFault::Url, "must name a host that a certificate can name"))
}

async fn exchange<T>(io: T, request: Request<Full<Bytes>>) -> Result<Answer, WebError>
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = http1::Builder::new();
    builder.max_headers(HEADERS).max_buf_size(HEAD);
    let (mut sender, connection) =
        builder.handshake(TokioIo::new(io)).await.map_err(|error| broken(&error))?;
    let connection = tokio::spawn(async move {
        // What breaks here breaks the answer too, which tells it.
        let _ = connection.await;
    });
    let connection = AbortOnDropHandle::new(connection);
    let (head, body) = sender.send_request(request).await.map_err(|error| broken(&error))?.into_parts();
    Ok(Answer { status: head.status, headers: head.headers, body, _connection: connection })
}

pub(super) fn broken(error: &hyper::Error) -> WebError {
    if error.is_parse() || error.is_parse_too_large() {
        return WebError::new(WebFault::BadAnswer, "the answer is no proper HTTP");
    }
    unreachable("the connection broke before the answer's end")
}

fn unreachable(message: &str) -> WebError {
    WebError::new(WebFault::Unreachable, message)
}
