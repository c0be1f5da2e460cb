//! The mesh as a user reaches it: through the gateway, with an API key.
use std::path::Path;

use anyhow::{Context, bail};
use copydesk_proto::agent_orchestrator::v1::run_service_client::RunServiceClient;
use copydesk_proto::gateway::v1::key_service_client::KeyServiceClient;
use copydesk_proto::learning::v1::brand_service_client::BrandServiceClient;
use copydesk_proto::learning::v1::feedback_service_client::FeedbackServiceClient;
use copydesk_proto::learning::v1::outcome_service_client::OutcomeServiceClient;
use copydesk_proto::retrieval::v1::ingestion_service_client::IngestionServiceClient;
use copydesk_proto::retrieval::v1::knowledge_service_client::KnowledgeServiceClient;
use copydesk_rpc::{CallContext, Channel, RpcMetrics};
use http::HeaderValue;
use tonic::Status;
use tonic_types::StatusExt;

use crate::cli::ClientArgs;

const DEFAULT_GATEWAY: &str = "http://127.0.0.1:7700";

/// A way in.
#[derive(Clone)]
pub(crate) struct Client {
    channel: Channel,
    key: HeaderValue,
}

impl Client {
    pub(crate) fn new(channel: Channel, key: &str) -> anyhow::Result<Self> {
        let mut key =
            HeaderValue::try_from(format!("Bearer {}", key.trim())).context("the key is not a key")?;
        key.set_sensitive(true);
        Ok(Self { channel, key })
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
            None => std::fs::read_to_string(&file).with_context(|| {
                format!(
                    "no key: give --key or set COPYDESK_KEY ({} is not there; does `copydesk up` run?)",
                    file.display()
                )
            })?,
        };
        let uri: http::Uri =
            gateway.parse().with_context(|| format!("`{gateway}` is not of the form http://host:port"))?;
        if uri.scheme_str() != Some("http") || uri.authority().is_none() {
            bail!("`{gateway}` is not of the form http://host:port");
        }
        let metrics = RpcMetrics::new(&opentelemetry::global::meter("copydesk"));
        Self::new(Channel::remote("gateway", uri, metrics), &key)
    }

    /// Runs calls with this client's key.
    pub(crate) async fn scope<F: Future>(&self, work: F) -> F::Output {
        CallContext::bearer(self.key.clone()).scope(work).await
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Channel> {
        RunServiceClient::new(self.channel.clone())
    }
    pub(crate) fn keys(&self) -> KeyServiceClient<Channel> {
        KeyServiceClient::new(self.channel.clone())
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
    pub(crate) fn knowledge(&self) -> KnowledgeServiceClient<Channel> {
        KnowledgeServiceClient::new(self.channel.clone())
    }
}

/// Where the mesh of a data folder answers, when one was started there.
fn running(data: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data.join("endpoints.json")).ok()?;
    let endpoints: serde_json::Value = serde_json::from_str(&text).ok()?;
    Some(format!("http://{}", endpoints.get("gateway")?.as_str()?))
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
    if let Some(info) = details.error_info() {
        text.push_str(&format!(" [{}]", info.reason));
    }
    anyhow::Error::msg(text)
}
