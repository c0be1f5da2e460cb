//! A model behind the llm-router: budgets, keys, providers and repeats are its business.

use std::time::Duration;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_rpc::{Channel, Kind, ServiceError};

use crate::config::EmbedderConfig;
use crate::ports::{EmbedCause, EmbedError, Embedded, Embedder, Purpose};

const PEER: &str = "llm-router";
/// Bytes of one call, below the router's limit of 4 MiB.
const CALL_BYTES: usize = 3 * 1024 * 1024;
/// Bytes of one text, the router's limit.
const TEXT_BYTES: usize = 64 * 1024;

/// A model of the router.
pub(super) struct RouterEmbedder {
    id: String,
    client: LlmServiceClient<Channel>,
    model: String,
    dimensions: u32,
    batch: usize,
    max_tokens: Option<usize>,
    prefixes: [String; 2],
}

impl RouterEmbedder {
    /// Over a channel to the router. Nothing is asked of it yet.
    pub(super) fn new(config: &EmbedderConfig, channel: Channel) -> Self {
        let prefix = |prefix: &Option<String>| prefix.clone().unwrap_or_default();
        let prefixes = [prefix(&config.document_prefix), prefix(&config.query_prefix)];
        let mut id = format!("router/{}", config.model);
        if prefixes.iter().any(|prefix| !prefix.is_empty()) {
            let hash = blake3::hash(format!("{prefixes:?}").as_bytes()).to_hex();
            id = format!("{id}-{}", &hash[..8]);
        }
        Self {
            id,
            client: LlmServiceClient::new(channel).max_decoding_message_size(64 * 1024 * 1024),
            model: config.model.clone(),
            dimensions: config.dimensions,
            batch: config.batch as usize,
            max_tokens: (config.max_tokens > 0).then_some(config.max_tokens as usize),
            prefixes,
        }
    }

    /// A text as it is sent: with its prefix, and cut off where the router would refuse it.
    fn input(&self, text: String, purpose: Purpose) -> String {
        let prefix = match purpose {
            Purpose::Document => &self.prefixes[0],
            Purpose::Query => &self.prefixes[1],
        };
        let mut input = if prefix.is_empty() { text } else { format!("{prefix}{text}") };
        input.truncate(input.floor_char_boundary(TEXT_BYTES));
        input
    }

    async fn call(&self, inputs: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let wanted = inputs.len();
        let purpose = match purpose {
            Purpose::Document => pb::EmbedPurpose::Document,
            Purpose::Query => pb::EmbedPurpose::Query,
        };
        let request = pb::EmbedRequest {
            attribution: Some(pb::Attribution { agent: "retrieval".to_owned(), ..Default::default() }),
            model: self.model.clone(),
            inputs,
            dimensions: Some(self.dimensions),
            purpose: purpose.into(),
        };
        let answer = self.client.clone().embed(request).await;
        let vectors =
            answer.map_err(|status| failure(&ServiceError::from_peer(status, PEER)))?.into_inner().vectors;
        if vectors.len() != wanted {
            let reason = format!("{} vectors came for {wanted} texts", vectors.len());
            return Err(EmbedError::fault(reason));
        }
        Ok(vectors.into_iter().map(|vector| vector.values).collect())
    }
}

#[async_trait]
impl Embedder for RouterEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.dimensions as usize
    }

    /// Batches go one after the other: the router's queue is what holds a fast caller back.
    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        let mut vectors = Vec::with_capacity(texts.len());
        let (mut inputs, mut bytes) = (Vec::new(), 0);
        for text in texts {
            let input = self.input(text, purpose);
            if inputs.len() >= self.batch || (!inputs.is_empty() && bytes + input.len() > CALL_BYTES) {
                vectors.extend(self.call(std::mem::take(&mut inputs), purpose).await?);
                bytes = 0;
            }
            bytes += input.len();
            inputs.push(input);
        }
        if !inputs.is_empty() {
            vectors.extend(self.call(inputs, purpose).await?);
        }
        Ok(vectors.into_iter().map(Embedded::from).collect())
    }

    fn max_tokens(&self) -> Option<usize> {
        self.max_tokens
    }
}

/// The reason is the router's word and sentence, without what a provider itself said: that may quote the text.
fn failure(error: &ServiceError) -> EmbedError {
    let cause = match error.kind() {
        _ if error.reason() == "BUDGET_EXHAUSTED" => EmbedCause::Budget,
        Kind::Unavailable | Kind::DeadlineExceeded | Kind::Aborted | Kind::ResourceExhausted => {
            EmbedCause::Passing(error.retry_after().filter(|wait| *wait > Duration::ZERO))
        }
        _ => EmbedCause::Fault,
    };
    EmbedError { cause, reason: format!("the llm-router says {}: {}", error.reason(), error.message()) }
}
