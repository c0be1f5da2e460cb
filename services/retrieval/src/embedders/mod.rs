//! The family of embedders. Each turns texts into vectors; without one, searches are lexical and say so.

use std::sync::Arc;

use crate::config::EmbedderConfig;
use crate::ports::{EmbedError, Embedder};

/// What is wrong with these settings in this build; `None` when they can be tried.
pub(crate) fn fault(config: &EmbedderConfig) -> Option<String> {
    let _ = config;
    Some("this build has no local embeddings; build with `--features local-embeddings`".to_owned())
}

/// Loads the configured embedder.
///
/// # Errors
/// When its files cannot be read or are not of a supported model, or the build has no embedder.
pub(crate) fn open(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, EmbedError> {
    Err(EmbedError { reason: fault(config).unwrap_or_default() })
}
