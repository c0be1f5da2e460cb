//! The desk: one use case per file. Ids and times are made here; rules are in `domain/`, effects behind `ports.rs`.

mod documents;
mod embed;
mod forget;
mod index_documents;
mod index_one;
mod ingest;
mod ingestions;
mod knowledge_bases;
mod progress;
mod query_vectors;
mod read;
mod reembed;
mod reembedder;
mod search;
mod snapshots;
mod uploads;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;

use copydesk_rpc::Minter;

pub use index_documents::Workers;
pub use ingest::{IngestStart, Ingesting};
pub use progress::Progress;
pub use query_vectors::QueryVectors;
pub use reembedder::Reembedder;
pub use search::{Explanation, Found, FoundPassage, Lexical, Matched, Mode, Query, QueryCache, SecondLook};
pub use snapshots::Restoring;
pub(crate) use snapshots::send;
pub use uploads::{UploadPermit, Uploads};
pub use watch::Change;

use crate::config::Config;
use crate::embedders::Embedders;
use crate::metrics::Metrics;
use crate::ports::{
    Clock, IngestionStore, Inspector, KnowledgeStore, LexicalIndex, Ocr, OcrStore, Reader, Reranker,
    SnapshotStore, VectorIndex, VectorStore,
};

/// Everything a use case may need. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// Knowledge bases, documents, passages.
    pub knowledge: Arc<dyn KnowledgeStore>,
    /// Uploads and their jobs.
    pub ingestions: Arc<dyn IngestionStore>,
    /// Snapshots and originals.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// Where files lie while they are made or checked: the service's own folder.
    pub folder: PathBuf,
    /// The lexical leg.
    pub words: Arc<dyn LexicalIndex>,
    /// The dense leg's index.
    pub meanings: Arc<dyn VectorIndex>,
    /// Vectors that were made before, and changes of embedder.
    pub vectors: Arc<dyn VectorStore>,
    /// The dense leg's models.
    pub embedders: Embedders,
    /// Vectors of queries that were asked before.
    pub queries: QueryVectors,
    /// A close look at single passages of both legs' indexes.
    pub inspector: Arc<dyn Inspector>,
    /// The models of a second look; absent: there is none, and who asks for it is told.
    pub reranker: Option<Arc<dyn Reranker>>,
    /// Answers that are given again.
    pub cache: QueryCache,
    /// Makes text of bytes.
    pub reader: Arc<dyn Reader>,
    /// Reads pictures of pages; absent: they stay unread.
    pub ocr: Option<Arc<dyn Ocr>>,
    /// What was read of pictures before.
    pub ocr_texts: Arc<dyn OcrStore>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who waits for which ingestion and for work, and who is at which.
    pub progress: Arc<Progress>,
    /// How many uploads are under way.
    pub uploads: Uploads,
    /// Counters.
    pub metrics: Metrics,
    /// Identity for work that outlives its call.
    pub minter: Minter,
    /// Settings, validated.
    pub config: Arc<Config>,
}
