//! What the desk needs from outside, each as narrow as it is used.
//!
//! Every store method belongs to one tenant, given first; another tenant's rows are as absent as rows that never were.
//! The two methods that a worker calls before it knows whom it works for say so.

mod embedding;
mod indexes;
mod ingestions;
mod knowledge;
mod models;
mod objects;
mod reading;
mod snapshots;
mod sources;
mod web;

pub use embedding::{
    EmbedCause, EmbedError, Embedded, Embedder, KnownVector, NewReembedding, Purpose, ReembeddingJob,
    ReembeddingStart, Switch, Unembedded, VectorStore,
};
pub use indexes::{
    Change, ChunkedDocument, Corpus, IndexError, IndexSource, Inspector, LexicalIndex, StoredChunk,
    VectorIndex,
};
pub use ingestions::{
    Finish, Finished, IngestionFilter, IngestionStore, Item, ItemOutcome, Job, NewChunk, NewIngestion,
    NewPassage, Retry, StoredPage,
};
pub use knowledge::{Created, DocumentFilter, KnowledgeStore, RequestKey};
pub use models::{Ranking, RerankError, Reranker};
pub use objects::{ObjectError, ObjectKey, ObjectLedger, ObjectPlace, Places, Removal, StoredObject};
pub use reading::{Ocr, OcrError, OcrStore, Reader};
pub use snapshots::{Original, Snapshot, SnapshotStore, Source, WholeDocument};
pub use sources::{Fetched, JobSource, SourceStore};
pub use web::{Page, Pages, Resolver, SearchError, WebQuery, WebResult, WebSearcher, WebTimeRange, WebTopic};

/// Tells the time, in milliseconds since 1970, UTC.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> i64;
}
