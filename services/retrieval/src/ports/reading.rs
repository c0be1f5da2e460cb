//! What the worker needs to make text of bytes.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_store::StoreError;
use copydesk_types::{KnowledgeBaseId, TenantId};

use crate::domain::reading::{Picture, ReadFailure, ReadLimits, Reading};
use crate::domain::source::Format;

/// Reads documents.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Reads bytes of this format, never `Auto`, within the limits.
    async fn read(&self, format: Format, bytes: Bytes, limits: ReadLimits) -> Result<Reading, ReadFailure>;
}

/// A model gave no text of a picture.
#[derive(Debug, thiserror::Error)]
#[error("the vision model failed: {reason}")]
pub struct OcrError {
    /// What went wrong, without anything of the picture.
    pub reason: String,
    /// Another attempt may go well, after so long at least; `None`: it will not.
    pub again: Option<Duration>,
}

/// Reads pictures of pages.
#[async_trait]
pub trait Ocr: Send + Sync {
    /// What the text depends on beside the picture: the model and what it is told. Texts are kept under it.
    fn id(&self) -> &str;

    /// The text of one page as Markdown.
    async fn read(&self, picture: &Picture) -> Result<String, OcrError>;
}

/// Keeps what models read, so that a picture is paid for once.
#[async_trait]
pub trait OcrStore: Send + Sync {
    /// The text of the picture with this hash, as this reader read it.
    async fn ocr_text(
        &self,
        tenant: TenantId,
        hash: &str,
        reader: &str,
    ) -> Result<Option<String>, StoreError>;

    /// Keeps a text. It goes when the last document that shows the picture goes; when none is stored, with this knowledge
    /// base.
    async fn keep_ocr_text(
        &self,
        tenant: TenantId,
        knowledge_base: KnowledgeBaseId,
        hash: &str,
        reader: &str,
        text: &str,
        now: i64,
    ) -> Result<(), StoreError>;
}
