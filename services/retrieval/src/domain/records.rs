//! The nouns of the library as the desk and the store speak of them. Times are milliseconds since 1970, UTC.

use std::ops::Range;

use bytes::Bytes;
use copydesk_types::{DocumentId, IngestionId, KnowledgeBaseId, PassageId};

use super::attributes::Attributes;
use super::origin::IngestionSource;
use super::source::{ContentType, Format, KnowledgeBaseKind, SourceKind};
use super::stages::Stage;

/// A set of documents that is searched as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnowledgeBase {
    /// Its id.
    pub id: KnowledgeBaseId,
    /// The caller's name for it.
    pub name: String,
    /// Its documents.
    pub documents: u64,
    /// Its child chunks.
    pub chunks: u64,
    /// Grows with every change of its content.
    pub version: u64,
    /// When it was made.
    pub create_time: i64,
    /// The id of the embedder of its dense leg; empty for lexical only.
    pub embedder: String,
    /// The dimensions of its vectors; 0 for lexical only.
    pub dimensions: u32,
    /// What it holds.
    pub kind: KnowledgeBaseKind,
    /// The change of its embedder that is under way.
    pub reembedding: Option<Reembedding>,
}

/// A change of embedder under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reembedding {
    /// The id of the embedder that is changed to; empty for lexical only.
    pub embedder: String,
    /// The dimensions of its vectors; 0 for lexical only.
    pub dimensions: u32,
    /// Child chunks that have their new vector.
    pub chunks_done: u64,
    /// When it was asked for.
    pub start_time: i64,
    /// Why it does not go on at the moment; empty when it does.
    pub error: String,
}

/// A stored document, without its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its id; stays the same when the document is replaced.
    pub id: DocumentId,
    /// The knowledge base it is in.
    pub knowledge_base: KnowledgeBaseId,
    /// The caller's key for it.
    pub key: String,
    /// Its title.
    pub title: String,
    /// What kind of source it is.
    pub source_kind: SourceKind,
    /// What kind of content it is.
    pub content_type: ContentType,
    /// From 1; one more each time its bytes change, and where meanings are searched also each time its title does.
    pub version: u32,
    /// Length of the text in bytes.
    pub size: u64,
    /// BLAKE3 of the bytes that were uploaded, in hexadecimal digits.
    pub content_hash: String,
    /// Its child chunks.
    pub chunks: u32,
    /// What it was read as; absent when a build stored it that did not keep that.
    pub format: Option<Format>,
    /// When it was first ingested.
    pub create_time: i64,
    /// When its bytes last changed.
    pub update_time: i64,
    /// What the caller said of it.
    pub attributes: Attributes,
    /// Where it can be read; empty when that was not said.
    pub source_uri: String,
}

/// A passage with its text, ready to be cited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passage {
    /// Its id.
    pub id: PassageId,
    /// The document it is from.
    pub document: DocumentId,
    /// The version of the document.
    pub version: u32,
    /// The document's title.
    pub title: String,
    /// What kind of source the document is.
    pub source_kind: SourceKind,
    /// Where it stands in the document's text, in bytes.
    pub span: Range<u64>,
    /// The document's text at `span`.
    pub text: String,
    /// The URL that the document was given with; empty when none was.
    pub source_uri: String,
}

/// The first half of a text's BLAKE3, by which its vector is found again.
pub fn text_hash(text: &str) -> [u8; 16] {
    let hash = *blake3::hash(text.as_bytes()).as_bytes();
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}

/// A document of an upload, staged but not yet indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedDocument {
    /// Its place in the upload, from 0.
    pub ordinal: u32,
    /// The caller's key for it.
    pub key: String,
    /// The title that the caller gave; empty when none.
    pub title: String,
    /// How to read it.
    pub format: Format,
    /// What kind of source it is.
    pub source_kind: SourceKind,
    /// What kind of content it is.
    pub content_type: ContentType,
    /// Its bytes.
    pub content: Bytes,
    /// BLAKE3 of the bytes in hexadecimal digits.
    pub content_hash: String,
    /// What the caller said of it.
    pub attributes: Attributes,
    /// Where it can be read; empty when that was not said.
    pub source_uri: String,
}

/// Where an ingestion stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IngestionState {
    /// Stored, not begun.
    Queued,
    /// Being indexed.
    Running,
    /// Every document is searchable or was unchanged.
    Succeeded,
    /// Some documents failed.
    Failed,
    /// It was cancelled before all documents had their turn.
    Cancelled,
}

impl IngestionState {
    /// The word that is stored in rows.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state with this word, if there is one.
    pub fn from_word(word: &str) -> Option<Self> {
        let all = [Self::Queued, Self::Running, Self::Succeeded, Self::Failed, Self::Cancelled];
        all.into_iter().find(|state| state.word() == word)
    }

    /// True when nothing will change any more, unless it is tried again.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }
}

/// An upload's background job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingestion {
    /// Its id.
    pub id: IngestionId,
    /// Where its documents go.
    pub knowledge_base: KnowledgeBaseId,
    /// Where it stands.
    pub state: IngestionState,
    /// Documents uploaded.
    pub total: u32,
    /// Documents indexed so far.
    pub done: u32,
    /// Documents whose bytes were the same as before.
    pub unchanged: u32,
    /// Documents that failed or are poisoned.
    pub failed: u32,
    /// Documents that were cancelled.
    pub cancelled: u32,
    /// Bytes uploaded.
    pub bytes_total: u64,
    /// Bytes of the documents that no longer wait.
    pub bytes_done: u64,
    /// How often one of its documents' rows changed.
    pub changes: u64,
    /// The document at work, by its place in the upload, and how far it is.
    pub at: Option<(u32, Stage)>,
    /// Child chunks written so far.
    pub chunks: u32,
    /// The documents that failed, in upload order; the first thousand.
    pub failures: Vec<Failure>,
    /// When it was stored.
    pub create_time: i64,
    /// When it ended.
    pub finish_time: Option<i64>,
    /// What it is fetched from; `None` for an upload.
    pub source: Option<IngestionSource>,
}

/// A document that could not be indexed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The document's key.
    pub key: String,
    /// A stable word, see [`reason`].
    pub reason: String,
    /// For a person to read.
    pub message: String,
}

/// The stable words of [`Failure::reason`].
pub mod reason {
    /// There is no text to index.
    pub const EMPTY: &str = "EMPTY";
    /// A fault of ours.
    pub const INTERNAL: &str = "INTERNAL";
    /// The knowledge base's embedder is not configured any more.
    pub const EMBEDDER_MISSING: &str = "EMBEDDER_MISSING";
    /// It gives vectors of other dimensions.
    pub const EMBEDDER_MISMATCH: &str = "EMBEDDER_MISMATCH";
    /// It did not answer, also not when it was asked again.
    pub const EMBEDDER_UNAVAILABLE: &str = "EMBEDDER_UNAVAILABLE";
    /// No budget is left for it.
    pub const EMBEDDER_BUDGET: &str = "EMBEDDER_BUDGET";
    /// It failed in a way that stays.
    pub const EMBEDDER_FAILED: &str = "EMBEDDER_FAILED";
    /// Its bytes cannot be stored: the place of originals is away or refuses them.
    pub const ORIGINAL_NOT_STORED: &str = "ORIGINAL_NOT_STORED";
    /// The bytes are not what the format says.
    pub const UNREADABLE: &str = "UNREADABLE";
    /// It is larger than is allowed, or unpacks to more.
    pub const TOO_LARGE: &str = "TOO_LARGE";
    /// A password locks it.
    pub const ENCRYPTED: &str = "ENCRYPTED";
    /// It has more pages than are allowed.
    pub const TOO_MANY_PAGES: &str = "TOO_MANY_PAGES";
    /// Reading it took longer than is allowed.
    pub const TIMEOUT: &str = "TIMEOUT";
    /// Reading it took more memory than is allowed.
    pub const MEMORY: &str = "MEMORY";
    /// Its bytes are of a kind that cannot be read.
    pub const UNSUPPORTED: &str = "UNSUPPORTED";
    /// The vision model failed on its pictures.
    pub const OCR_FAILED: &str = "OCR_FAILED";
    /// Its text stands in pictures, and no vision model is configured or no picture can be had.
    pub const NEEDS_OCR: &str = "NEEDS_OCR";
    /// The tenant may not store more.
    pub const QUOTA_EXCEEDED: &str = "QUOTA_EXCEEDED";
    /// The process ended while it was at work.
    pub const LOST: &str = "LOST";
    /// A later upload has stored its key.
    pub const SUPERSEDED: &str = "SUPERSEDED";

    /// Those of a document that cannot be read.
    pub const READING: [&str; 11] = [
        EMPTY,
        INTERNAL,
        UNREADABLE,
        TOO_LARGE,
        ENCRYPTED,
        TOO_MANY_PAGES,
        TIMEOUT,
        MEMORY,
        UNSUPPORTED,
        OCR_FAILED,
        NEEDS_OCR,
    ];
}
