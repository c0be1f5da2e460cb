//! What an operator may set. Read by the program that runs the service; the service only takes it by value.

mod embedding;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod index;
mod keys;
mod objects;
mod parsing;
mod qdrant;
mod search;
mod sources;
mod web;

pub use index::IndexConfig;
pub use keys::resolve_keys;
pub use objects::{Objects, ObjectsBackend};
pub use parsing::{OcrConfig, Parsing};
pub use qdrant::{IndexBackend, QdrantConfig};
pub(crate) use search::weights;
pub use search::{IntentWeights, QueryCache, Rerank};
pub use sources::{Github, Sources};
pub use web::{Web, WebSearch};

use crate::domain::packing::Sizes;
use crate::domain::source::ContentType;
use crate::domain::stages::Allowance;
use crate::domain::upload::UploadLimits;

pub use embedding::{
    EmbedderConfig, EmbedderKind, EmbedderRuntime, Embedding, OnnxConfig, OnnxPooling, TokenWeighing,
};

/// Settings of the retrieval service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// What an upload may hold.
    pub limits: Limits,
    /// How documents are cut.
    pub chunks: Chunks,
    /// Passages that a search returns when the caller does not say how many.
    pub top_k: TopK,
    /// The search indexes.
    pub index: IndexConfig,
    /// The Qdrant server, when `index.backend` is `qdrant`.
    pub qdrant: QdrantConfig,
    /// Where originals and snapshots stand.
    pub objects: Objects,
    /// What reading one document may take.
    pub parsing: Parsing,
    /// A vision model for scans and pictures, by way of llm-router. Absent: they are not read.
    pub ocr: Option<OcrConfig>,
    /// The models of the dense leg, by name. None: searches are lexical.
    pub embedders: BTreeMap<String, EmbedderConfig>,
    /// The embedder that a new knowledge base gets when it names none; `none` for lexical only. Empty: the only one
    /// that is configured, if it is the only one.
    pub default_embedder: String,
    /// How embedders are called.
    pub embedding: Embedding,
    /// Who works uploads off.
    pub workers: Workers,
    /// What each tenant may store.
    pub quotas: Quotas,
    /// How long things stay that nobody deletes.
    pub retention: Retention,
    /// What kinds of sources count for questions of an intent that a search may name, for example
    /// `intents.howto = { document = 1.5, commit = 0.5 }`.
    pub intents: BTreeMap<String, IntentWeights>,
    /// Answers that are kept.
    pub query_cache: QueryCache,
    /// A second look at the best passages.
    pub rerank: Rerank,
    /// The way out to the web.
    pub web: Web,
    /// Where documents are fetched from.
    pub sources: Sources,
}

/// Who works uploads off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Workers {
    /// Uploads that are worked off at once in this process, 1 to 64. One tenant gets all but one of them, so that its
    /// long documents do not hold up the others.
    pub count: u32,
}

/// What each tenant may store. 0: no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Quotas {
    /// Documents in all of its knowledge bases.
    pub documents: u64,
    /// Child chunks of these documents.
    pub chunks: u64,
    /// Bytes of the documents as they were uploaded; when an upload is checked, those that wait count too.
    pub bytes: u64,
    /// Ingestions that have not ended.
    pub open_ingestions: u64,
}

/// How long things stay that nobody deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Retention {
    /// Days for which an ended ingestion is shown, its request id is known and the bytes of its failed documents are
    /// kept; up to 36,500. 0: for ever.
    pub ingestion_days: u32,
}

/// What an upload may hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Limits {
    /// Bytes of one document, 1 to 1 GiB.
    pub max_document_bytes: u64,
    /// Bytes of all documents of one upload, not below `max_document_bytes`.
    pub max_upload_bytes: u64,
    /// Documents of one upload, 1 to 1,000,000.
    pub max_documents_per_upload: u32,
    /// Uploads of one tenant that may be under way at once, 1 to `max_uploads`. Each may hold `max_document_bytes` in
    /// memory.
    pub max_uploads_per_tenant: u32,
    /// Uploads of all tenants that may be under way at once, 1 to 10,000. A restore counts as one.
    pub max_uploads: u32,
    /// Bytes of a snapshot's file that may be uploaded, 1 or more.
    pub max_snapshot_bytes: u64,
}

/// How documents are cut, in tokens of the o200k_base vocabulary.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Chunks {
    /// Most tokens of a child chunk, the unit that is searched: 16 to 4,096, and not above any parent size.
    pub child: usize,
    /// Most tokens of a passage of a blog document, to 8,192.
    pub parent_blog: usize,
    /// Most tokens of a passage of a social document, to 8,192.
    pub parent_social: usize,
    /// Most tokens of a passage of an ad document, to 8,192.
    pub parent_ad: usize,
    /// Tokens that a passage repeats of the one before when a section is cut; less than half of any parent size.
    pub overlap: usize,
}

/// Passages that a search returns by default, 1 to 100 each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TopK {
    /// For a blog article.
    pub blog: u32,
    /// For a social post.
    pub social: u32,
    /// For an advertisement.
    pub ad: u32,
}

impl Default for Workers {
    fn default() -> Self {
        Self { count: 3 }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { ingestion_days: 30 }
    }
}

impl Workers {
    /// Workers that one tenant may have at once.
    pub(crate) const fn per_tenant(&self) -> u32 {
        if self.count > 1 { self.count - 1 } else { 1 }
    }
}

impl Quotas {
    /// The same for the store.
    pub(crate) const fn allowance(&self) -> Allowance {
        let Self { documents, chunks, bytes, open_ingestions } = *self;
        Allowance { documents, chunks, bytes, open_ingestions }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_document_bytes: 16 * 1024 * 1024,
            max_upload_bytes: 256 * 1024 * 1024,
            max_documents_per_upload: 10_000,
            max_uploads_per_tenant: 4,
            max_uploads: 16,
            max_snapshot_bytes: 4 * 1024 * 1024 * 1024,
        }
    }
}

impl Default for Chunks {
    fn default() -> Self {
        Self { child: 128, parent_blog: 512, parent_social: 256, parent_ad: 256, overlap: 50 }
    }
}

impl Default for TopK {
    fn default() -> Self {
        Self { blog: 5, social: 3, ad: 3 }
    }
}

/// Largest document that may be configured: offsets inside the chunker have 32 bits.
const LARGEST_DOCUMENT: u64 = 1024 * 1024 * 1024;

impl Config {
    /// Every fault as `key: what is wrong`; empty when the settings are good.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |good: bool, fault: String| {
            if !good {
                faults.push(fault);
            }
        };
        let limits = &self.limits;
        let documents = (1..=LARGEST_DOCUMENT).contains(&limits.max_document_bytes);
        check(documents, "limits.max_document_bytes: must be 1 to 1 GiB".into());
        let upload = limits.max_upload_bytes >= limits.max_document_bytes;
        check(upload, "limits.max_upload_bytes: must not be below limits.max_document_bytes".into());
        let count = (1..=1_000_000).contains(&limits.max_documents_per_upload);
        check(count, "limits.max_documents_per_upload: must be 1 to 1,000,000".into());
        let tenants = (1..=limits.max_uploads).contains(&limits.max_uploads_per_tenant);
        check(tenants, "limits.max_uploads_per_tenant: must be 1 to limits.max_uploads".into());
        let all = (1..=10_000).contains(&limits.max_uploads);
        check(all, "limits.max_uploads: must be 1 to 10,000".into());
        check(limits.max_snapshot_bytes > 0, "limits.max_snapshot_bytes: must be 1 or more".into());
        check((16..=4096).contains(&self.chunks.child), "chunks.child: must be 16 to 4,096".into());
        for (key, parent) in self.chunks.parents() {
            let good = parent >= self.chunks.child && parent <= 8192;
            check(good, format!("chunks.{key}: must be chunks.child to 8,192"));
            check(
                self.chunks.overlap * 2 < parent,
                format!("chunks.overlap: must be less than half of chunks.{key}"),
            );
        }
        for (key, top_k) in [("blog", self.top_k.blog), ("social", self.top_k.social), ("ad", self.top_k.ad)]
        {
            check((1..=100).contains(&top_k), format!("top_k.{key}: must be 1 to 100"));
        }
        check((1..=64).contains(&self.workers.count), "workers.count: must be 1 to 64".into());
        let days = self.retention.ingestion_days <= 36_500;
        check(days, "retention.ingestion_days: must be at most 36,500".into());
        faults.extend(self.index.faults());
        if self.index.backend == IndexBackend::Qdrant {
            faults.extend(self.qdrant.faults());
        }
        faults.extend(self.objects.faults());
        faults.extend(self.embedder_faults());
        faults.extend(search::faults(&self.intents, &self.query_cache, &self.rerank));
        faults.extend(self.parsing.faults());
        faults.extend(self.web.faults());
        faults.extend(self.sources.faults());
        faults.extend(self.ocr.iter().flat_map(OcrConfig::faults));
        faults
    }

    /// The limits of an upload.
    pub(crate) fn upload_limits(&self) -> UploadLimits {
        UploadLimits {
            document_bytes: self.limits.max_document_bytes,
            upload_bytes: self.limits.max_upload_bytes,
            documents: self.limits.max_documents_per_upload,
            part_bytes: 1024 * 1024,
        }
    }

    /// How documents of a content type are cut.
    pub(crate) fn sizes(&self, content_type: ContentType) -> Sizes {
        let parent = match content_type {
            ContentType::Blog => self.chunks.parent_blog,
            ContentType::Social => self.chunks.parent_social,
            ContentType::Ad => self.chunks.parent_ad,
        };
        Sizes { parent, child: self.chunks.child, overlap: self.chunks.overlap }
    }

    /// How many passages a search returns by default.
    pub(crate) fn default_top_k(&self, content_type: ContentType) -> u32 {
        match content_type {
            ContentType::Blog => self.top_k.blog,
            ContentType::Social => self.top_k.social,
            ContentType::Ad => self.top_k.ad,
        }
    }
}

impl Chunks {
    fn parents(&self) -> [(&'static str, usize); 3] {
        [
            ("parent_blog", self.parent_blog),
            ("parent_social", self.parent_social),
            ("parent_ad", self.parent_ad),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_good_and_an_empty_file_gives_them() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let config = Config {
            limits: Limits {
                max_document_bytes: 0,
                max_upload_bytes: 0,
                max_documents_per_upload: 0,
                max_uploads_per_tenant: 1,
                max_uploads: 0,
                max_snapshot_bytes: 0,
            },
            chunks: Chunks { child: 8, parent_ad: 4, overlap: 128, ..Chunks::default() },
            top_k: TopK { ad: 101, ..TopK::default() },
            index: IndexConfig {
                backend: IndexBackend::Qdrant,
                memory_bytes: 0,
                graph_above: 0,
                m: 65,
                ef_construct: 64,
                ef_search: 0,
            },
            qdrant: QdrantConfig { url: String::new(), batch: 0, ..QdrantConfig::default() },
            objects: Objects { bucket: "x".into(), ..Objects::default() },
            parsing: Parsing { max_pages: 0, max_millis: 0, ..Parsing::default() },
            ocr: Some(serde_json::from_str(r#"{"model": "", "at_once": 0}"#).unwrap()),
            embedders: BTreeMap::from([
                (
                    "a".to_owned(),
                    EmbedderConfig { model_dir: "/does/not/exist".into(), ..EmbedderConfig::default() },
                ),
                (
                    "b/c".to_owned(),
                    EmbedderConfig { kind: EmbedderKind::Router, batch: 0, ..EmbedderConfig::default() },
                ),
            ]),
            default_embedder: "c".into(),
            embedding: Embedding { query_timeout_ms: 9, batch: 0, attempts: 0, ..Embedding::default() },
            workers: Workers { count: 0 },
            quotas: Quotas::default(),
            retention: Retention { ingestion_days: 40_000 },
            rerank: Rerank { timeout_ms: 0 },
            web: Web {
                allow: vec!["a b".into()],
                ports: Vec::new(),
                user_agent: "\n".into(),
                search: Some(WebSearch {
                    provider: "x".into(),
                    base_url: Some("ftp://x".into()),
                    ..WebSearch::default()
                }),
                ..Web::default()
            },
            ..Config::default()
        };
        let faults = config.validate();
        let keys: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        let expected = [
            "limits.max_document_bytes",
            "limits.max_documents_per_upload",
            "limits.max_uploads_per_tenant",
            "limits.max_uploads",
            "limits.max_snapshot_bytes",
            "chunks.child",
            "chunks.overlap",
            "chunks.parent_ad",
            "chunks.overlap",
            "top_k.ad",
            "workers.count",
            "retention.ingestion_days",
            "index.memory_bytes",
            "index.graph_above",
            "index.m",
            "index.ef_construct",
            "index.ef_search",
            "qdrant.url",
            "qdrant.batch",
            "objects.bucket",
            "objects.access_key",
            "objects.secret_key",
            "embedding.query_timeout_ms",
            "embedding.batch",
            "embedding.attempts",
            "default_embedder",
            "embedders.a.model_dir",
            "embedders.b/c",
            "embedders.b/c.model",
            "embedders.b/c.dimensions",
            "embedders.b/c.batch",
            "rerank.timeout_ms",
            "parsing.max_pages",
            "parsing.max_millis",
            "web.allow[0]",
            "web.ports",
            "web.user_agent",
            "web.search.provider",
            "web.search.base_url",
            "web.search.api_key",
            "ocr.model",
            "ocr.at_once",
        ];
        assert_eq!(keys, expected, "{faults:#?}");
    }
}
