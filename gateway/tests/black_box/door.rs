//! A gateway with peers of the test's making, and the way in.
use std::future::Future;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use copydesk_gateway::{Config, Gateway, MIGRATOR, Peers, SqlStore, Store};
use copydesk_proto::FILE_DESCRIPTOR_SET;
use copydesk_proto::gateway::v1::key_service_client::KeyServiceClient;
use copydesk_proto::gateway::v1::tenant_service_client::TenantServiceClient;
use copydesk_proto::gateway::v1::{ApiKey, CreateKeyRequest};
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_proto::retrieval::v1::ingestion_service_client::IngestionServiceClient;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_proto::retrieval::v1::{SearchRequest, SearchResponse};
use copydesk_rpc::server::{self, Limits, ServerStack, TokenAuthenticator, TransportOptions};
use copydesk_rpc::{
    AccessTable, CallContext, Channel, HttpService, Minter, ServiceContext, SigningKey, Trust, Verifier,
    reflection, testing,
};
use copydesk_types::Scopes;
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Response, Status};
use tonic_types::StatusExt;

use crate::script::Script;

/// Where the wire is: between client and gateway, and between gateway and peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// Nowhere.
    InProcess,
    /// Before the gateway, as with `up`.
    Up,
    /// On both sides, as with `serve`.
    Serve,
}

/// Runs the test in every wiring; one that hangs fails.
pub async fn every_wiring(test: impl AsyncFn(Wiring)) {
    for wiring in [Wiring::InProcess, Wiring::Up, Wiring::Serve] {
        soon(test(wiring)).await;
    }
}

/// Fails a test that would hang. Only for real time.
pub async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("the test hangs")
}

/// The gateway's signing key, which its peers believe.
pub struct Identity(Vec<u8>);

impl Identity {
    pub fn new() -> Self {
        Self(SigningKey::generate().expect("a key"))
    }

    fn key(&self) -> SigningKey {
        SigningKey::from_pkcs8("gateway", &self.0).expect("a key")
    }

    /// A peer behind its full stack.
    pub fn stack(&self, script: &Script) -> HttpService {
        let verifier = Verifier::new("scripted", Trust::new().with("gateway", self.key().public_key()));
        let config = ServerStack {
            access: AccessTable::from_descriptors(FILE_DESCRIPTOR_SET).expect("rules"),
            authenticator: Arc::new(TokenAuthenticator::new(verifier, testing::minter())),
            metrics: testing::metrics(),
            limits: Limits::default(),
            trust_trace: true,
        };
        server::stack(script.routes(), config)
    }
}

/// The same stack behind all four names.
pub fn four(channel: &Channel) -> Peers {
    let [llm_router, retrieval, learning, agent_orchestrator] = std::array::from_fn(|_| channel.clone());
    Peers { llm_router, retrieval, learning, agent_orchestrator }
}

/// A gateway that stands, and the way in.
pub struct Door {
    pub gateway: Gateway,
    pub client: Client,
    _stop: DropGuard,
}

/// The way in, for as many tasks as a test wants.
#[derive(Clone)]
pub struct Client {
    pub channel: Channel,
    /// The secret of a key that may do everything.
    pub secret: String,
}

impl Deref for Door {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Door {
    /// Over one peer, with the defaults and an empty store.
    pub async fn open(wiring: Wiring, identity: &Identity, peer: HttpService) -> Self {
        let stop = CancellationToken::new();
        let channel = hop("peer", peer, wiring == Wiring::Serve, &stop).await;
        Self::over(wiring, identity, four(&channel), Config::default(), store().await, stop).await
    }

    /// Over a script, in process, with this configuration and store.
    pub async fn local(script: &Script, config: Config, store: Arc<dyn Store>) -> Self {
        let (identity, stop) = (Identity::new(), CancellationToken::new());
        let channel = hop("peer", identity.stack(script), false, &stop).await;
        Self::over(Wiring::InProcess, &identity, four(&channel), config, store, stop).await
    }

    /// Over these peers.
    pub async fn over(
        wiring: Wiring,
        identity: &Identity,
        peers: Peers,
        config: Config,
        store: Arc<dyn Store>,
        stop: CancellationToken,
    ) -> Self {
        let minter = Minter::new(identity.key(), ["mesh"], Scopes::default());
        let meter = opentelemetry::global::meter("test");
        let context = ServiceContext { data_dir: Path::new("unused").to_path_buf(), minter, meter };
        let gateway = copydesk_gateway::build_over(config, store, context, peers);
        let all = AccessTable::from_descriptors(FILE_DESCRIPTOR_SET).expect("rules");
        let (descriptors, _) = reflection::public_only(FILE_DESCRIPTOR_SET, &all).expect("descriptors");
        let public = AccessTable::from_descriptors(&descriptors).expect("rules");
        let stack = gateway.stack(gateway.service.routes.clone(), public, testing::metrics());
        let channel = hop("gateway", stack, wiring != Wiring::InProcess, &stop).await;
        let secret = gateway.bootstrap(None, true).await.expect("the store works").expect("a new key");
        Self { gateway, client: Client { channel, secret }, _stop: stop.drop_guard() }
    }
}

impl Client {
    /// Runs `work` with the key that may do everything.
    pub async fn enter<F: Future>(&self, work: F) -> F::Output {
        with_key(&self.secret, work).await
    }

    /// One search with this key.
    pub async fn search_with(&self, secret: &str) -> Result<Response<SearchResponse>, Status> {
        with_key(secret, self.search().search(query("q"))).await
    }

    /// A further key of the same tenant.
    pub async fn make_key(&self, name: &str, scopes: &[&str]) -> (ApiKey, String) {
        let scopes = scopes.iter().map(|scope| (*scope).to_owned()).collect();
        let request = CreateKeyRequest { name: name.to_owned(), scopes };
        let made = self.enter(self.keys().create_key(request)).await.expect("made").into_inner();
        (made.key.expect("a key"), made.secret)
    }

    pub fn search(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone())
    }

    pub fn ingestion(&self) -> IngestionServiceClient<Channel> {
        IngestionServiceClient::new(self.channel.clone())
    }

    pub fn llm(&self) -> LlmServiceClient<Channel> {
        LlmServiceClient::new(self.channel.clone())
    }

    pub fn keys(&self) -> KeyServiceClient<Channel> {
        KeyServiceClient::new(self.channel.clone())
    }

    pub fn tenants(&self) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel.clone())
    }
}

/// Runs `work` as the holder of this secret.
pub async fn with_key<F: Future>(secret: &str, work: F) -> F::Output {
    CallContext::bearer(bearer(secret)).scope(work).await
}

pub fn bearer(secret: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Bearer {secret}")).expect("a header")
}

/// An empty store that nobody else has.
pub async fn store() -> Arc<dyn Store> {
    Arc::new(SqlStore::new(copydesk_store::testing::memory(&MIGRATOR).await))
}

async fn hop(name: &str, stack: HttpService, wire: bool, stop: &CancellationToken) -> Channel {
    match wire {
        true => testing::remote_stack(name, stack, stop.clone()).await,
        false => Channel::local(name, stack, testing::metrics()),
    }
}

/// A peer that a test can kill and start again.
pub struct Listener {
    pub address: SocketAddr,
    task: JoinHandle<()>,
}

impl Listener {
    /// At an address; port 0 is one that the system chooses.
    pub async fn start(address: SocketAddr, stack: HttpService) -> Self {
        let listener = TcpListener::bind(address).await.expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let listening =
            server::listen(listener, stack, TransportOptions::default(), CancellationToken::new());
        Self { address, task: tokio::spawn(listening) }
    }

    pub fn channel(&self) -> Channel {
        let uri = format!("http://{}", self.address).parse().expect("a uri");
        Channel::remote("peer", uri, testing::metrics())
    }

    /// Ends as a killed process does: sockets close, nobody says goodbye.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|e| e.is_cancelled()), "it had ended before");
    }
}

pub fn query(text: impl Into<String>) -> SearchRequest {
    SearchRequest { query: text.into(), ..SearchRequest::default() }
}

/// An answer with a text in it.
pub fn found(text: impl Into<String>) -> Response<SearchResponse> {
    Response::new(SearchResponse { degraded_reason: text.into(), ..SearchResponse::default() })
}

/// The reason in the status's ErrorInfo; it must be of our domain.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, copydesk_rpc::DOMAIN);
    info.reason.clone()
}

/// Code and reason, for one assertion.
pub fn why<T: std::fmt::Debug>(answer: Result<T, Status>) -> (tonic::Code, String) {
    let status = answer.expect_err("refused");
    (status.code(), reason(&status))
}

/// The fields that a status finds fault with.
pub fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations =
        details.bad_request().map(|request| request.field_violations.clone()).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}
