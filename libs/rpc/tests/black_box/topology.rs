//! The same test in process and over loopback, and what the tests need around a call.
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use copydesk_proto::llm_router::v1 as llm;
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_proto::retrieval::v1::ingestion_service_client::IngestionServiceClient;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_proto::retrieval::v1::{SearchRequest, SearchResponse, WatchIngestionResponse};
use copydesk_rpc::server::{self, TransportOptions};
use copydesk_rpc::{Channel, HttpService, testing};
use copydesk_types::{Scopes, TenantId};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};
use tonic_types::StatusExt;

use crate::script::{NAME, Script};

/// The way to the service under test.
#[derive(Clone)]
pub struct Peer {
    pub channel: Channel,
    pub is_local: bool,
}

impl Peer {
    pub fn search(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone())
    }

    pub fn ingestion(&self) -> IngestionServiceClient<Channel> {
        IngestionServiceClient::new(self.channel.clone())
    }

    pub fn llm(&self) -> LlmServiceClient<Channel> {
        LlmServiceClient::new(self.channel.clone())
    }

    /// A time limit to run into: long and virtual in process (the clock is paused), short and real over the wire,
    /// where an idle runtime may only be waiting for the kernel.
    pub fn patience(&self) -> Duration {
        if self.is_local { Duration::from_secs(20) } else { Duration::from_millis(150) }
    }
}

/// Runs the test against the script in both topologies; in process the clock is paused.
pub async fn both(script: &Script, test: impl AsyncFn(Peer)) {
    both_stacks(|| testing::stack(script.service()), test).await;
}

/// The same against any stack, made once for each topology.
pub async fn both_stacks(stack: impl Fn() -> HttpService, test: impl AsyncFn(Peer)) {
    tokio::time::pause();
    let channel = Channel::local(NAME, stack(), testing::metrics());
    // A day of virtual time: a test that hangs has used it up in no time.
    let day = Duration::from_secs(86_400);
    tokio::time::timeout(day, test(Peer { channel, is_local: true })).await.expect("the test hangs");
    tokio::time::resume();
    let stop = CancellationToken::new();
    let channel = testing::remote_stack(NAME, stack(), stop.clone()).await;
    soon(test(Peer { channel, is_local: false })).await;
    stop.cancel();
}

/// A server that a test can drain, kill and start again.
pub struct Server {
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Server {
    pub async fn start(stack: HttpService, drain: Duration) -> Self {
        Self::start_at(any_port(), stack, drain).await
    }

    pub async fn start_at(address: SocketAddr, stack: HttpService, drain: Duration) -> Self {
        Self::start_with(address, stack, TransportOptions { drain, ..TransportOptions::default() }).await
    }

    pub async fn start_with(address: SocketAddr, stack: HttpService, options: TransportOptions) -> Self {
        let listener = TcpListener::bind(address).await.expect("a loopback port");
        let address = listener.local_addr().expect("bound");
        let stop = CancellationToken::new();
        let task = tokio::spawn(server::listen(listener, stack, options, stop.clone()));
        Self { address, stop, task }
    }

    pub fn peer(&self) -> Peer {
        let uri = format!("http://{}", self.address).parse().expect("a uri");
        Peer { channel: Channel::remote(NAME, uri, testing::metrics()), is_local: false }
    }

    /// Ends as a killed process does: sockets close, nobody says goodbye.
    pub async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|e| e.is_cancelled()), "the server had ended before");
    }
}

/// A loopback address whose port the system chooses.
pub fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

/// Fails a test that would hang. Only for real time.
pub async fn soon<F: Future>(work: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(30), work).await.expect("the test hangs")
}

pub fn tenant() -> TenantId {
    TenantId::from_u128(7)
}

/// As a user with every scope.
pub async fn as_user<F: Future>(work: F) -> F::Output {
    testing::as_caller(tenant(), Scopes::all(), work).await
}

pub fn query(text: impl Into<String>) -> SearchRequest {
    SearchRequest { query: text.into(), ..SearchRequest::default() }
}

/// An answer with a text in it.
pub fn found(text: impl Into<String>) -> Response<SearchResponse> {
    Response::new(SearchResponse { degraded_reason: text.into(), ..SearchResponse::default() })
}

pub fn delta(text: impl Into<String>) -> llm::StreamGenerateResponse {
    let event = llm::stream_generate_response::Event::Delta(llm::Delta { text: text.into() });
    llm::StreamGenerateResponse { event: Some(event) }
}

pub fn change() -> WatchIngestionResponse {
    WatchIngestionResponse::default()
}

/// The reason in the status's ErrorInfo; it must be of our domain.
pub fn reason(status: &Status) -> String {
    let details = status.get_error_details();
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo in {status:?}"));
    assert_eq!(info.domain, copydesk_rpc::DOMAIN);
    info.reason.clone()
}

pub fn has_retry_delay(status: &Status) -> bool {
    let details = status.get_error_details();
    details.retry_info().and_then(|info| info.retry_delay).is_some_and(|delay| !delay.is_zero())
}

/// Rings when it is dropped.
pub struct Bell(UnboundedSender<()>);

impl Drop for Bell {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

/// Makes bells, and hears when one is dropped or somebody says that they have come to a place.
#[derive(Clone)]
pub struct Ringer(UnboundedSender<()>);

impl Ringer {
    pub fn new() -> (Self, UnboundedReceiver<()>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }

    pub fn bell(&self) -> Bell {
        Bell(self.0.clone())
    }

    pub fn ring(&self) {
        let _ = self.0.send(());
    }
}
