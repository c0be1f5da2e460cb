//! The family of embedders: one file per kind. Each turns texts into vectors; without one, searches are lexical and
//! say so. There is no stand-in: a vector that means nothing would only look like an answer.

#[cfg(feature = "local-embeddings")]
mod local;

use std::sync::Arc;

use crate::config::EmbedderConfig;
use crate::ports::{EmbedError, Embedder};

/// Loads the configured embedder. Takes seconds for a real model: not for a runtime's own thread.
///
/// # Errors
/// When its files cannot be read or are not of a supported model.
#[cfg(feature = "local-embeddings")]
pub(crate) fn open(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, EmbedError> {
    Ok(Arc::new(local::LocalEmbedder::open(&config.model_dir)?))
}

/// What is wrong with these settings; `None` when the model can be loaded as far as its folder shows.
#[cfg(feature = "local-embeddings")]
pub(crate) fn fault(config: &EmbedderConfig) -> Option<String> {
    let missing = local::FILES.iter().find(|file| !config.model_dir.join(file).is_file());
    missing.map(|file| format!("there is no file {file} in {}", config.model_dir.display()))
}

/// In this build there is nothing to load: [`fault`] says so before.
///
/// # Errors
/// Always.
#[cfg(not(feature = "local-embeddings"))]
pub(crate) fn open(config: &EmbedderConfig) -> Result<Arc<dyn Embedder>, EmbedError> {
    Err(EmbedError { reason: fault(config).unwrap_or_default() })
}

/// What is wrong with these settings: this build cannot use them.
#[cfg(not(feature = "local-embeddings"))]
pub(crate) fn fault(config: &EmbedderConfig) -> Option<String> {
    let dir = config.model_dir.display();
    Some(format!("{dir} needs a build with `--features local-embeddings`, and this is one without"))
}
