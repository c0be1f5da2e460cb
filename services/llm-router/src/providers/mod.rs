//! The family of providers. To add one: its file, its `mod` line and its line in [`ENTRIES`].
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, EmbedCall, Outcome, RerankCall, StopReason, ToolCall, Usage};

mod anthropic;
mod calls;
mod checks;
mod cohere;
mod form;
#[cfg(test)]
mod fuzz;
mod gemini;
pub(crate) mod http;
mod jina;
mod lines;
mod offline;
mod ollama;
mod openai;
mod picture;
mod sse;
mod tei;

pub use offline::MODEL as OFFLINE_MODEL;

/// Every kind of provider there is.
pub static ENTRIES: [Entry; 8] = [
    openai::ENTRY,
    anthropic::ENTRY,
    gemini::ENTRY,
    ollama::ENTRY,
    cohere::ENTRY,
    jina::ENTRY,
    tei::ENTRY,
    offline::ENTRY,
];

/// One kind of provider.
pub struct Entry {
    /// The word for it in the configuration.
    pub kind: &'static str,
    /// What it is, in a line.
    pub summary: &'static str,
    /// True when it needs no network and no model.
    pub offline: bool,
    /// What its models can do where the configuration does not say.
    pub capabilities: Capabilities,
    /// Well-known places that speak it; their names can be used instead of the kind.
    pub presets: &'static [Preset],
    /// Makes one from its settings.
    pub build: fn(&ProviderConfig) -> Result<Arc<dyn Provider>, BuildError>,
}

/// A well-known place that speaks a protocol.
pub struct Preset {
    /// The word for it in the configuration, instead of the kind.
    pub name: &'static str,
    /// Where it listens.
    pub base_url: &'static str,
    /// True when a stream must be asked to count tokens at its end; otherwise it counts by itself, or refuses to be
    /// asked.
    pub stream_options: bool,
    /// True when it takes a JSON schema; otherwise it promises JSON at most, and is told the schema in words.
    pub json_schema: bool,
}

/// The kind with this name, or of the preset with this name.
pub fn entry(kind: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.kind == kind || entry.presets.iter().any(|preset| preset.name == kind))
}

/// The names of all kinds and presets.
pub fn kinds() -> Vec<&'static str> {
    let presets = |entry: &'static Entry| entry.presets.iter().map(|preset| preset.name);
    ENTRIES.iter().flat_map(|entry| std::iter::once(entry.kind).chain(presets(entry))).collect()
}

/// Somebody who writes text. Dropping a call or its stream closes the connection; nothing goes on behind it.
/// Time limits are the caller's: a provider waits as long as it is let.
#[async_trait]
pub trait Provider: Send + Sync {
    /// One whole answer.
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError>;

    /// The answer as it is written: texts (empty ones never), then exactly one [`Piece::Done`]. A stream that ends
    /// any other way ends with an error, so a cut answer is never taken for a whole one.
    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError>;

    /// One vector for each input, in their order.
    async fn embed(&self, _call: &EmbedCall) -> Result<Vectors, ProviderError> {
        Err(ProviderError::new(Outcome::BadReply, "this kind of provider gives no vectors"))
    }

    /// The documents by how well they answer, best first.
    async fn rerank(&self, _call: &RerankCall) -> Result<Ranking, ProviderError> {
        Err(ProviderError::new(Outcome::BadReply, "this kind of provider ranks nothing"))
    }

    /// Whether it is there and takes our key, without a call to a model.
    async fn health(&self) -> Result<(), ProviderError>;
}

/// Vectors of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Vectors {
    /// One for each input, in their order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens, if the provider counted them.
    pub usage: Option<Usage>,
}

/// A ranking.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// Place in the request and score, best first.
    pub results: Vec<(usize, f64)>,
    /// Tokens, if the provider counted them.
    pub usage: Option<Usage>,
}

/// The pieces of an answer.
pub type PieceStream = BoxStream<'static, Result<Piece, ProviderError>>;

/// One whole answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// The text.
    pub text: String,
    /// Why it stopped.
    pub stop_reason: StopReason,
    /// Tokens, if the provider counted them.
    pub usage: Option<Usage>,
    /// Tools that it asks for.
    pub tool_calls: Vec<ToolCall>,
    /// What it thought aloud.
    pub reasoning: String,
}

impl Reply {
    /// True when nothing was said and nothing asked for. A refusal says something by its stop reason.
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty() && self.tool_calls.is_empty() && self.stop_reason != StopReason::Refusal
    }
}

/// A piece of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// More text, never empty.
    Text(String),
    /// More of what it thinks aloud, never empty.
    Reasoning(String),
    /// A whole tool call.
    ToolCall(ToolCall),
    /// The end.
    Done {
        /// Why it stopped.
        stop_reason: StopReason,
        /// Tokens, if the provider counted them.
        usage: Option<Usage>,
    },
}

/// Why there is no answer. It shows itself without `message`.
#[derive(thiserror::Error)]
#[error("{outcome}: {detail}")]
pub struct ProviderError {
    /// The reason, as the contract names it.
    pub outcome: Outcome,
    /// More for the operator; never a key, a prompt or an answer.
    pub detail: String,
    /// When to ask again, if the provider said so.
    pub retry_after: Option<Duration>,
    /// The provider's HTTP status, where there was one.
    pub status: Option<u16>,
    /// The provider's own sentence, for the caller alone: it may quote the prompt, so it is never logged or kept.
    pub message: Option<String>,
    /// What lies below.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl ProviderError {
    /// An error with a reason and a detail.
    pub fn new(outcome: Outcome, detail: impl Into<String>) -> Self {
        Self { outcome, detail: detail.into(), retry_after: None, status: None, message: None, source: None }
    }

    /// The same with its cause.
    pub fn with_source(mut self, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.source = Some(Box::new(source));
        self
    }

    /// The same with the status of the reply, unless it has one.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status.get_or_insert(status);
        self
    }
}

impl fmt::Debug for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProviderError")
            .field("outcome", &self.outcome)
            .field("detail", &self.detail)
            .field("retry_after", &self.retry_after)
            .field("status", &self.status)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// What a kind without a pen says when it is asked to write.
fn writes_nothing() -> ProviderError {
    ProviderError::new(Outcome::BadReply, "this kind of provider writes no text")
}

/// A provider that cannot be made from its settings.
#[derive(Debug, thiserror::Error)]
#[error("provider {name} cannot be set up: {detail}")]
pub struct BuildError {
    /// The provider's configured name.
    pub name: String,
    /// What is wrong.
    pub detail: String,
    /// What lies below.
    #[source]
    pub source: Option<reqwest::Error>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_family_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/providers");
        let mut files = Vec::new();
        for file in std::fs::read_dir(folder).unwrap() {
            let name = file.unwrap().file_name().into_string().unwrap();
            files.push(name.trim_end_matches(".rs").to_owned());
        }
        let shared = ["mod", "calls", "checks", "form", "fuzz", "http", "lines", "picture", "sse"];
        files.retain(|name| !shared.contains(&name.as_str()));
        files.sort();
        let mut kinds: Vec<_> = ENTRIES.iter().map(|entry| entry.kind).collect();
        kinds.sort_unstable();
        assert_eq!(files, kinds);
    }

    #[test]
    fn every_kind_builds_for_http_and_https() {
        for entry in &ENTRIES {
            for url in ["http://127.0.0.1:9", "https://127.0.0.1:9"] {
                let config = ProviderConfig {
                    name: "x".into(),
                    kind: entry.kind.into(),
                    base_url: Some(url.into()),
                    ..ProviderConfig::default()
                };
                assert!((entry.build)(&config).is_ok(), "{} {url}", entry.kind);
            }
        }
    }
}
