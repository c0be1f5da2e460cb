//! The router of models: its rerankers.

use async_trait::async_trait;
use copydesk_proto::llm_router::v1::RerankRequest;
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_rpc::Channel;
use tonic::Status;
use tonic_types::StatusExt;

use crate::ports::{Ranking, RerankError, Reranker};

/// Longest text that the router takes, in bytes; the rest of a longer passage is not looked at.
const LONGEST: usize = 64 * 1024;
/// All texts together, in bytes.
const TOGETHER: usize = 4 * 1024 * 1024;

/// Models by way of llm-router.
#[derive(Clone)]
pub struct Router {
    client: LlmServiceClient<Channel>,
}

impl Router {
    /// Over a channel to the router.
    pub fn new(channel: Channel) -> Self {
        Self { client: LlmServiceClient::new(channel) }
    }
}

#[async_trait]
impl Reranker for Router {
    async fn rerank(&self, model: &str, query: &str, texts: Vec<String>) -> Result<Ranking, RerankError> {
        let longest = LONGEST.min(TOGETHER / texts.len().max(1));
        let documents = texts.into_iter().map(|text| shortened(text, longest)).collect();
        let request = RerankRequest {
            model: model.to_owned(),
            query: query.to_owned(),
            documents,
            ..RerankRequest::default()
        };
        let failed = |status: Status| RerankError { reason: told(&status) };
        let answer = self.client.clone().rerank(request).await.map_err(failed)?.into_inner();
        let model = answer.completion.map(|completion| completion.model).unwrap_or_default();
        let scores = answer.results.into_iter().map(|ranked| (ranked.index as usize, ranked.score)).collect();
        Ok(Ranking { model, scores })
    }
}

fn shortened(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

/// What the router says. It is written for callers, and our caller chose the model.
fn told(status: &Status) -> String {
    let details = status.get_error_details();
    let faults = details.bad_request().into_iter().flat_map(|bad| &bad.field_violations);
    let faults = faults.map(|fault| format!("; {} {}", fault.field, fault.description));
    format!("{}{}", status.message(), faults.collect::<String>())
}
