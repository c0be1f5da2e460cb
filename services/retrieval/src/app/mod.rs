//! The desk: one use case per file. Ids and times are made here; rules are in `domain/`, effects behind `ports.rs`.

mod documents;
mod embed;
mod fetch;
mod forget;
mod index_documents;
mod index_one;
mod ingest;
mod ingestions;
mod knowledge_bases;
mod objects;
mod progress;
mod query_vectors;
mod read;
mod reembed;
mod reembedder;
mod restore;
mod search;
mod snapshot_records;
mod snapshots;
mod sweeper;
mod uploads;
mod watch;
mod web;

use std::path::PathBuf;
use std::sync::Arc;

use copydesk_rpc::Minter;

pub use index_documents::Workers;
pub use ingest::{IngestStart, Ingesting};
pub use progress::Progress;
pub use query_vectors::QueryVectors;
pub use reembedder::Reembedder;
pub use restore::Restoring;
pub use search::{
    Explanation, Found, FoundPassage, Lexical, Matched, Mode, Query, QueryCache, SecondLook, Sparse,
};
pub(crate) use snapshots::{send, send_file};
pub use sweeper::Sweeper;
pub use uploads::{UploadPermit, Uploads};
pub use watch::Change;
pub use web::{ReadPage, WebLimit};

use crate::config::Config;
use crate::embedders::Embedders;
use crate::metrics::Metrics;
use crate::ports::{
    Clock, IngestionStore, Inspector, KnowledgeStore, LexicalIndex, ObjectLedger, Ocr, OcrStore, Places,
    Reader, Reranker, SnapshotStore, SourceStore, VectorIndex, VectorStore, WebSearcher,
};
use crate::sources::Tools;

/// Everything a use case may need. Cheap to clone.
#[derive(Clone)]
pub struct Desk {
    /// Knowledge bases, documents, passages.
    pub knowledge: Arc<dyn KnowledgeStore>,
    /// Uploads and their jobs.
    pub ingestions: Arc<dyn IngestionStore>,
    /// Where documents are fetched from, as rows.
    pub sources: Arc<dyn SourceStore>,
    /// What they are fetched with.
    pub tools: Tools,
    /// Snapshots and originals.
    pub snapshots: Arc<dyn SnapshotStore>,
    /// The list of objects.
    pub objects: Arc<dyn ObjectLedger>,
    /// Where their bytes stand.
    pub places: Places,
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
    /// Who searches the web; absent: nobody.
    pub searcher: Option<Arc<dyn WebSearcher>>,
    /// How often the web may be asked.
    pub web_limit: Arc<WebLimit>,
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
