//! The provider that needs no network: the offline writer behind the same face as the models.
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Semaphore;

use super::{BuildError, Entry, Piece, PieceStream, Provider, ProviderError, Reply};
use crate::config::ProviderConfig;
use crate::domain::{Call, Capabilities, Outcome, StopReason, Usage, estimate_tokens};
use crate::offline;

/// The name of its only model.
pub const MODEL: &str = "extractive";

pub(super) const ENTRY: Entry = Entry {
    kind: "offline",
    summary: "composes from the evidence alone, without a model and without a network",
    offline: true,
    capabilities: Capabilities::CHAT.and(Capabilities::JSON_SCHEMA),
    presets: &[],
    build,
};

fn build(_config: &ProviderConfig) -> Result<Arc<dyn Provider>, BuildError> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Ok(Arc::new(Offline { cores: Arc::new(Semaphore::new(cores)) }))
}

/// Composing takes the processor and nothing else: off the async threads, and no more at a time than there are cores,
/// so that calls of other kinds go on.
struct Offline {
    cores: Arc<Semaphore>,
}

#[async_trait]
impl Provider for Offline {
    async fn generate(&self, call: &Call) -> Result<Reply, ProviderError> {
        let text = self.write(call).await?;
        let usage = Some(usage(call, &text));
        Ok(Reply { text, stop_reason: StopReason::End, usage, ..Reply::default() })
    }

    async fn stream(&self, call: &Call) -> Result<PieceStream, ProviderError> {
        let text = self.write(call).await?;
        let usage = Some(usage(call, &text));
        let mut pieces: Vec<_> =
            text.split_inclusive(' ').map(|word| Ok(Piece::Text(word.to_owned()))).collect();
        pieces.push(Ok(Piece::Done { stop_reason: StopReason::End, usage }));
        Ok(stream::iter(pieces).boxed())
    }

    async fn health(&self) -> Result<(), ProviderError> {
        Ok(())
    }
}

impl Offline {
    async fn write(&self, call: &Call) -> Result<String, ProviderError> {
        let prompt = call.prompt.clone();
        let turn = self.cores.clone().acquire_owned().await;
        let composed = tokio::task::spawn_blocking(move || {
            // Held to the end of the work, not of the wait for it: a caller who goes does not stop it.
            let _turn = turn;
            offline::compose(&prompt)
        });
        let composed = composed.await.map_err(|e| {
            ProviderError::new(Outcome::ProviderError, "the offline writer broke off").with_source(e)
        })?;
        composed.map_err(|e| {
            ProviderError::new(Outcome::SchemaUnsupported, "no way to fill this schema").with_source(e)
        })
    }
}

fn usage(call: &Call, text: &str) -> Usage {
    let evidence: u64 = call.prompt.evidence.iter().map(|p| estimate_tokens(p.text.len())).sum();
    Usage { input: evidence, cached_input: 0, output: estimate_tokens(text.len()), estimated: true }
}
