//! The mesh as a user reaches it: through the gateway, with an API key.
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use copydesk_proto::agent_orchestrator::v1::run_service_client::RunServiceClient;
use copydesk_proto::gateway::v1::key_service_client::KeyServiceClient;
use copydesk_proto::gateway::v1::tenant_service_client::TenantServiceClient;
use copydesk_proto::learning::v1::brand_service_client::BrandServiceClient;
use copydesk_proto::learning::v1::feedback_service_client::FeedbackServiceClient;
use copydesk_proto::learning::v1::outcome_service_client::OutcomeServiceClient;
use copydesk_proto::retrieval::v1::ingestion_service_client::IngestionServiceClient;
use copydesk_proto::retrieval::v1::knowledge_service_client::KnowledgeServiceClient;
use copydesk_proto::retrieval::v1::search_service_client::SearchServiceClient;
use copydesk_rpc::{CallContext, Channel, RpcMetrics};
use http::HeaderValue;
use tokio::net::TcpStream;
use tonic::Status;
use tonic_types::StatusExt;

use crate::cli::ClientArgs;

const DEFAULT_GATEWAY: &str = "http://127.0.0.1:7700";
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// A way in.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    address: http::Uri,
    key: HeaderValue,
}

/// Somebody did not answer: the gateway, or a service behind it.
#[derive(Debug)]
struct Unreachable(String);

impl std::fmt::Display for Unreachable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unreachable {}

impl Client {
    /// The mesh whose gateway listens at `address` (`http://host:port`).
    pub(crate) fn new(address: &str, key: &str, metrics: RpcMetrics) -> anyhow::Result<Self> {
        let uri: http::Uri =
            address.parse().with_context(|| format!("`{address}` is not of the form http://host:port"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("`{address}` is not of the form http://host:port");
        }
        let mut key =
            HeaderValue::try_from(format!("Bearer {}", key.trim())).context("the key is not a key")?;
        key.set_sensitive(true);
        Ok(Self { channel: Channel::remote("gateway", uri.clone(), metrics), address: uri, key })
    }

    pub(crate) fn connect(args: &ClientArgs) -> anyhow::Result<Self> {
        let gateway = args
            .gateway
            .clone()
            .or_else(|| running(&args.data))
            .unwrap_or_else(|| DEFAULT_GATEWAY.to_owned());
        let file = args.data.join("dev-key");
        let key = match &args.key {
            Some(key) => key.clone(),
            None => development_key(&file)?,
        };
        Self::new(&gateway, &key, RpcMetrics::new(&opentelemetry::global::meter("copydesk")))
    }

    /// Runs calls with this client's key. That nobody answers is told with the address.
    pub(crate) async fn scope<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
        match CallContext::bearer(self.key.clone()).scope(work).await {
            // The gateway says so too, of a service behind it; then somebody listens.
            Err(error) if error.is::<Unreachable>() && !self.is_there().await => {
                let address = self.address.authority().map(|a| a.as_str()).unwrap_or_default();
                bail!("nobody answers at {address}; is `copydesk up` running? [UNREACHABLE]")
            }
            done => done,
        }
    }

    async fn is_there(&self) -> bool {
        let (host, port) = (self.address.host().unwrap_or_default(), self.address.port_u16().unwrap_or(80));
        let host = host.trim_matches(['[', ']']);
        let answer = tokio::time::timeout(ANSWER_LIMIT, TcpStream::connect((host, port))).await;
        answer.is_ok_and(|connected| connected.is_ok())
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }
    pub(crate) fn keys(&self) -> KeyServiceClient<Channel> {
        KeyServiceClient::new(self.channel.clone())
    }
    pub(crate) fn tenants(&self) -> TenantServiceClient<Channel> {
        TenantServiceClient::new(self.channel.clone())
    }
    pub(crate) fn brands(&self) -> BrandServiceClient<Channel> {
        BrandServiceClient::new(self.channel.clone())
    }
    pub(crate) fn feedback(&self) -> FeedbackServiceClient<Channel> {
        FeedbackServiceClient::new(self.channel.clone())
    }
    pub(crate) fn outcomes(&self) -> OutcomeServiceClient<Channel> {
        OutcomeServiceClient::new(self.channel.clone())
    }
    pub(crate) fn ingestion(&self) -> IngestionServiceClient<Channel> {
        IngestionServiceClient::new(self.channel.clone())
    }
    /// Answers may be large: a batch holds many passages.
    pub(crate) fn search(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone()).max_decoding_message_size(256 << 20)
    }
    pub(crate) fn knowledge(&self) -> KnowledgeServiceClient<Channel> {
        KnowledgeServiceClient::new(self.channel.clone())
    }
}

fn development_key(file: &Path) -> anyhow::Result<String> {
    match std::fs::read_to_string(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "no key: give --key or set COPYDESK_KEY ({} is not there; is `copydesk up` running?)",
            file.display()
        ),
        read => read.with_context(|| format!("cannot read {}", file.display())),
    }
}

fn running(data: &Path) -> Option<String> {
    Some(format!("http://{}", endpoint(data, "gateway")?))
}

/// Where the mesh of a data folder answers, when one was started there: `gateway` or `admin`, as `host:port`.
pub(crate) fn endpoint(data: &Path, what: &str) -> Option<String> {
    let text = std::fs::read_to_string(data.join("endpoints.json")).ok()?;
    let endpoints: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(endpoints.get(what)?.as_str()?.to_owned())
}

/// A status as a person reads it: what is wrong, field by field, and what may help.
pub(crate) fn explain(status: &Status) -> anyhow::Error {
    let details = status.get_error_details();
    let mut text = status.message().to_owned();
    for violation in details.bad_request().into_iter().flat_map(|b| &b.field_violations) {
        text.push_str(&format!("\n  {}: {}", violation.field, violation.description));
    }
    if let Some(delay) = details.retry_info().and_then(|r| r.retry_delay) {
        text.push_str(&format!("\n  try again in {:.1} s", delay.as_secs_f64()));
    }
    let reason = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
    if !reason.is_empty() {
        text.push_str(&format!(" [{reason}]"));
    }
    match reason {
        "UNREACHABLE" => anyhow::Error::new(Unreachable(text)),
        _ => anyhow::Error::msg(text),
    }
}
