//! The desk: one use case per file. Ids and times are made here; rules are in `domain/`, effects behind `ports.rs`.

mod documents;
mod forget;
mod index_documents;
mod index_one;
mod ingest;
mod ingestions;
mod knowledge_bases;
mod progress;
mod read;
mod search;
mod uploads;
mod watch;

use std::sync::Arc;

use copydesk_rpc::Minter;

pub use index_documents::Workers;
pub use ingest::{IngestStart, Ingesting};
pub use progress::Progress;
pub use search::{Explanation, Found, FoundPassage, Lexical, Matched, Mode, Query, QueryCache, SecondLook};
pub use uploads::{UploadPermit, Uploads};
pub use watch::Change;

use crate::config::Config;
use crate::metrics::Metrics;
use crate::ports::{
    Clock, Embedder, IngestionStore, Inspector, KnowledgeStore, LexicalIndex, Ocr, OcrStore, Reader,
    Reranker, VectorIndex,
};

/// Everything a use case may need. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// Knowledge bases, documents, passages.
    pub knowledge: Arc<dyn KnowledgeStore>,
    /// Uploads and their jobs.
    pub ingestions: Arc<dyn IngestionStore>,
    /// The lexical leg.
    pub words: Arc<dyn LexicalIndex>,
    /// The dense leg's index.
    pub meanings: Arc<dyn VectorIndex>,
    /// A close look at single passages of both legs' indexes.
    pub inspector: Arc<dyn Inspector>,
    /// The dense leg's model; absent: searches are lexical.
    pub embedder: Option<Arc<dyn Embedder>>,
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
