//! Turns a document's texts into vectors: those that were made before are taken, the others are made, each text once.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use copydesk_types::{KnowledgeBaseId, TenantId};

use super::Desk;
use crate::domain::records::{KnowledgeBase, reason, text_hash};
use crate::error::Error;
use crate::ports::{EmbedCause, EmbedError, Embedded, Embedder, KnownVector, Purpose};

/// The first wait before a model is asked again, and the longest.
pub(super) const FIRST_WAIT: Duration = Duration::from_millis(500);
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Whose texts are embedded, where and by what.
pub(super) struct Texts<'a> {
    pub(super) tenant: TenantId,
    pub(super) knowledge_base: KnowledgeBaseId,
    pub(super) embedder: &'a dyn Embedder,
}

impl Desk {
    /// The embedder of a knowledge base; `None` for lexical only.
    ///
    /// # Errors
    /// `NoEmbedder` when it is not configured any more or gives other dimensions.
    pub(super) fn embedder_of(&self, base: &KnowledgeBase) -> Result<Option<&Arc<dyn Embedder>>, Error> {
        if base.embedder.is_empty() {
            return Ok(None);
        }
        self.embedder_with(&base.embedder, base.dimensions).map(Some)
    }

    /// The embedder with this id and these dimensions.
    ///
    /// # Errors
    /// As above.
    pub(super) fn embedder_with(&self, id: &str, dimensions: u32) -> Result<&Arc<dyn Embedder>, Error> {
        let Some(embedder) = self.embedders.with_id(id) else {
            let message =
                format!("the embedder {id} is not configured; configure it or reembed the knowledge base");
            return Err(Error::NoEmbedder(reason::EMBEDDER_MISSING, message));
        };
        if embedder.dimensions() == dimensions as usize {
            return Ok(embedder);
        }
        let message = format!("the embedder {id} has {} dimensions, not {dimensions}", embedder.dimensions());
        Err(Error::NoEmbedder(reason::EMBEDDER_MISMATCH, message))
    }

    /// One vector for each text, in order, with the text's hash. Equal texts are embedded once; what a stored chunk of the tenant or an
    /// interrupted work has a vector for is not embedded again.
    ///
    /// # Errors
    /// `Embedder` when it fails, also when asked again; `Store`.
    pub(super) async fn document_vectors(
        &self,
        of: &Texts<'_>,
        texts: Vec<String>,
    ) -> Result<Vec<KnownVector>, Error> {
        let hashes: Vec<[u8; 16]> = texts.iter().map(|text| text_hash(text)).collect();
        let mut seen = HashSet::new();
        let different: Vec<_> =
            hashes.iter().copied().zip(texts).filter(|(hash, _)| seen.insert(*hash)).collect();
        let mut known: HashMap<[u8; 16], Embedded> = HashMap::with_capacity(different.len());
        let batch = self.config.embedding.batch.max(1) as usize;
        let alone = different.len() <= batch;
        for batch in different.chunks(batch) {
            let wanted: Vec<[u8; 16]> = batch.iter().map(|(hash, _)| *hash).collect();
            let stored = self.vectors.known_vectors(of.tenant, of.embedder.id(), &wanted).await?;
            let fits = |(_, known): &KnownVector| {
                known.vector.len() == of.embedder.dimensions()
                    && known.weights.is_some() == of.embedder.weighs_tokens()
            };
            known.extend(stored.into_iter().filter(fits));
            let missing: Vec<_> = batch.iter().filter(|(hash, _)| !known.contains_key(hash)).collect();
            if missing.is_empty() {
                continue;
            }
            let texts = missing.iter().map(|(_, text)| text.clone()).collect();
            let made = self.ask(of.embedder, texts).await.map_err(Error::Embedder)?;
            let made: Vec<KnownVector> = missing.iter().map(|(hash, _)| *hash).zip(made).collect();
            if !alone {
                self.keep_part(of, &made).await?;
            }
            known.extend(made);
        }
        Ok(hashes.into_iter().filter_map(|hash| Some((hash, known.get(&hash)?.clone()))).collect())
    }

    /// Keeps the vectors of a part of a document, so that a crash costs no more than one part.
    async fn keep_part(&self, of: &Texts<'_>, made: &[KnownVector]) -> Result<(), Error> {
        let (now, limit) = (self.clock.now(), self.config.embedding.kept_vectors);
        self.vectors.keep_vectors(of.tenant, of.knowledge_base, of.embedder.id(), made, now, limit).await?;
        Ok(())
    }

    /// Asks an embedder, and again while its failure may pass.
    async fn ask(&self, embedder: &dyn Embedder, texts: Vec<String>) -> Result<Vec<Embedded>, EmbedError> {
        let mut wait = FIRST_WAIT;
        for _ in 1..self.config.embedding.attempts {
            match checked(embedder, texts.clone(), Purpose::Document).await {
                Err(EmbedError { cause: EmbedCause::Passing(after), reason }) => {
                    let pause = after.unwrap_or(wait).clamp(wait, LONGEST_WAIT);
                    tracing::warn!(reason, wait_ms = pause.as_millis() as u64, "the embedder is asked again");
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                }
                answer => return answer,
            }
        }
        checked(embedder, texts, Purpose::Document).await
    }
}

/// Asks once, and takes only as many vectors as there are texts, of the right dimensions and of real numbers, and weights of
/// tokens from who gives them.
pub(super) async fn checked(
    embedder: &dyn Embedder,
    texts: Vec<String>,
    purpose: Purpose,
) -> Result<Vec<Embedded>, EmbedError> {
    let (count, dimensions) = (texts.len(), embedder.dimensions());
    let vectors = embedder.embed(texts, purpose).await?;
    if vectors.len() != count {
        return Err(EmbedError::fault(format!("{} vectors came for {count} texts", vectors.len())));
    }
    if let Some(other) = vectors.iter().find(|own| own.vector.len() != dimensions) {
        let reason = format!("a vector of {} dimensions came, not of {dimensions}", other.vector.len());
        return Err(EmbedError { cause: EmbedCause::Dimensions, reason });
    }
    if vectors.iter().flat_map(|own| &own.vector).any(|value| !value.is_finite()) {
        return Err(EmbedError::fault("a vector came with a value that is no number"));
    }
    if vectors.iter().any(|own| own.weights.is_some() != embedder.weighs_tokens()) {
        return Err(EmbedError::fault(
            "a text came with weights of its tokens, or without them, unlike others",
        ));
    }
    Ok(vectors)
}

/// The stable word for a document that could not be embedded or stored, and what to tell of it.
pub(super) fn told(error: &Error) -> Option<(&'static str, String)> {
    match error {
        Error::NoEmbedder(word, message) => Some((word, message.clone())),
        Error::Embedder(error) => {
            let word = match error.cause {
                EmbedCause::Passing(_) => reason::EMBEDDER_UNAVAILABLE,
                EmbedCause::Budget => reason::EMBEDDER_BUDGET,
                EmbedCause::Dimensions => reason::EMBEDDER_MISMATCH,
                EmbedCause::Fault => reason::EMBEDDER_FAILED,
            };
            Some((word, error.reason.clone()))
        }
        Error::Objects(error) => {
            tracing::warn!(error = error as &dyn std::error::Error, "an original is not stored");
            let message = "its bytes cannot be stored at the moment; the log says why".to_owned();
            Some((reason::ORIGINAL_NOT_STORED, message))
        }
        _ => None,
    }
}
