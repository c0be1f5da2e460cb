//! What an operator may set. Read by the program that runs the service; the service only takes it by value.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::packing::Sizes;
use crate::domain::source::ContentType;
use crate::domain::upload::UploadLimits;
use crate::embedders;

/// Settings of the retrieval service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// What an upload may hold.
    pub limits: Limits,
    /// How documents are cut.
    pub chunks: Chunks,
    /// Passages that a search returns when the caller does not say how many.
    pub top_k: TopK,
    /// How many knowledge bases keep their search index in memory, 1 or more. The one that was not searched for the
    /// longest time is dropped first and built again from the database when it is searched.
    pub indexes_in_memory: usize,
    /// The models of the dense leg, by name. None: searches are lexical.
    pub embedders: BTreeMap<String, EmbedderConfig>,
    /// The embedder that a new knowledge base gets when it names none; `none` for lexical only. Empty: the only one
    /// that is configured, if it is the only one.
    pub default_embedder: String,
    /// How embedders are called.
    pub embedding: Embedding,
}

/// How embedders are called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Embedding {
    /// How long a search waits for the vector of its query before it answers by words alone, in milliseconds, 10 to
    /// 60,000; never longer than half of what is left of its deadline.
    pub query_timeout_ms: u64,
    /// Queries whose vectors are kept in memory, 0 to 1,000,000.
    pub cached_queries: u64,
    /// Texts of a document that are embedded at once, 1 to 1,024.
    pub batch: u32,
    /// How often an embedder that does not answer is asked in all, 1 to 20, with growing waits of 0.5 to 30 seconds in
    /// between; then the document fails.
    pub attempts: u32,
    /// Vectors that are kept of documents whose work was interrupted, 0 to 10,000,000; the oldest go first.
    pub kept_vectors: u32,
}

/// Where an embedder runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderKind {
    /// In this process, from a folder.
    #[default]
    Local,
    /// Behind the llm-router.
    Router,
}

impl EmbedderKind {
    /// The word in the configuration and in answers.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Router => "router",
        }
    }
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
    /// Uploads of all tenants that may be under way at once, 1 to 10,000.
    pub max_uploads: u32,
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

/// One embedder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EmbedderConfig {
    /// Where it runs.
    pub kind: EmbedderKind,
    /// For `local`: a folder with `config.json`, `tokenizer.json` and `model.safetensors` of a BERT-type sentence model.
    pub model_dir: PathBuf,
    /// For `router`: a model of the llm-router that gives vectors, `<provider>/<model>`.
    pub model: String,
    /// For `router`: the dimensions that its vectors have or are to have, 1 to 16,384.
    pub dimensions: u32,
    /// For `router`: texts of one call, 1 to 2,048.
    pub batch: u32,
    /// For `router`: the most tokens of a text, in tokens of the model. 0: unknown.
    pub max_tokens: u32,
    /// Words before every query. Absent: those that the model's folder names, if it does. Part of the embedder's id.
    pub query_prefix: Option<String>,
    /// Words before every passage, as above.
    pub document_prefix: Option<String>,
}

impl Default for EmbedderConfig {
    fn default() -> Self {
        Self {
            kind: EmbedderKind::default(),
            model_dir: PathBuf::new(),
            model: String::new(),
            dimensions: 0,
            batch: 64,
            max_tokens: 0,
            query_prefix: None,
            document_prefix: None,
        }
    }
}

impl Default for Embedding {
    fn default() -> Self {
        Self { query_timeout_ms: 3_000, cached_queries: 4_096, batch: 32, attempts: 7, kept_vectors: 100_000 }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            chunks: Chunks::default(),
            top_k: TopK::default(),
            indexes_in_memory: 64,
            embedders: BTreeMap::new(),
            default_embedder: String::new(),
            embedding: Embedding::default(),
        }
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
        check(self.indexes_in_memory > 0, "indexes_in_memory: must be 1 or more".into());
        faults.extend(self.embedder_faults());
        faults
    }

    fn embedder_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |good: bool, fault: String| {
            if !good {
                faults.push(fault);
            }
        };
        let embedding = &self.embedding;
        let timeout = (10..=60_000).contains(&embedding.query_timeout_ms);
        check(timeout, "embedding.query_timeout_ms: must be 10 to 60,000".into());
        check(embedding.cached_queries <= 1_000_000, "embedding.cached_queries: must be 0 to 1,000,000".into());
        check((1..=1_024).contains(&embedding.batch), "embedding.batch: must be 1 to 1,024".into());
        check((1..=20).contains(&embedding.attempts), "embedding.attempts: must be 1 to 20".into());
        check(embedding.kept_vectors <= 10_000_000, "embedding.kept_vectors: must be 0 to 10,000,000".into());
        let known = [String::new(), embedders::NONE.to_owned()].contains(&self.default_embedder)
            || self.embedders.contains_key(&self.default_embedder);
        check(known, "default_embedder: must be a name of `embedders`, or `none`".into());
        for (name, embedder) in &self.embedders {
            let good = !name.is_empty() && name != embedders::NONE && !name.contains('/');
            check(good, format!("embedders.{name}: must have a name without `/` other than `none`"));
            for fault in embedders::faults(embedder) {
                check(false, format!("embedders.{name}.{fault}"));
            }
        }
        faults
    }

    /// The name of the embedder that new knowledge bases get, if there is one.
    pub fn default_embedder(&self) -> Option<&str> {
        match self.default_embedder.as_str() {
            "" if self.embedders.len() == 1 => self.embedders.keys().next().map(String::as_str),
            "" | embedders::NONE => None,
            name => Some(name),
        }
    }

    /// Every embedder as the operator wrote it, for a look at the configuration: name, where it runs, what it is.
    pub fn embedder_lines(&self) -> Vec<(String, String)> {
        let line = |(name, embedder): (&String, &EmbedderConfig)| {
            let what = match embedder.kind {
                EmbedderKind::Local => format!("local, {}", embedder.model_dir.display()),
                EmbedderKind::Router => {
                    format!("router, {}, {} dimensions", embedder.model, embedder.dimensions)
                }
            };
            let default = if self.default_embedder() == Some(name) { "; the default" } else { "" };
            (name.clone(), format!("{what}{default}"))
        };
        self.embedders.iter().map(line).collect()
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
    fn an_only_embedder_is_the_default_unless_it_is_said_otherwise() {
        let mut config: Config = serde_json::from_str(
            r#"{"embedders": {"small": {"kind": "router", "model": "a/b", "dimensions": 3}}}"#,
        )
        .unwrap();
        assert_eq!((config.default_embedder(), config.validate()), (Some("small"), Vec::new()));
        assert_eq!(config.embedder_lines()[0].1, "router, a/b, 3 dimensions; the default");
        config.default_embedder = "none".into();
        assert_eq!((config.default_embedder(), config.validate()), (None, Vec::new()));
        config.default_embedder = String::new();
        config.embedders.insert("other".into(), config.embedders["small"].clone());
        assert_eq!(config.default_embedder(), None);
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
            },
            chunks: Chunks { child: 8, parent_ad: 4, overlap: 128, ..Chunks::default() },
            top_k: TopK { ad: 101, ..TopK::default() },
            indexes_in_memory: 0,
            embedders: BTreeMap::from([
                ("a".to_owned(), EmbedderConfig { model_dir: "/does/not/exist".into(), ..EmbedderConfig::default() }),
                (
                    "b/c".to_owned(),
                    EmbedderConfig { kind: EmbedderKind::Router, batch: 0, ..EmbedderConfig::default() },
                ),
            ]),
            default_embedder: "c".into(),
            embedding: Embedding { query_timeout_ms: 9, batch: 0, attempts: 0, ..Embedding::default() },
        };
        let faults = config.validate();
        let keys: Vec<&str> = faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        let expected = [
            "limits.max_document_bytes",
            "limits.max_documents_per_upload",
            "limits.max_uploads_per_tenant",
            "limits.max_uploads",
            "chunks.child",
            "chunks.overlap",
            "chunks.parent_ad",
            "chunks.overlap",
            "top_k.ad",
            "indexes_in_memory",
            "embedding.query_timeout_ms",
            "embedding.batch",
            "embedding.attempts",
            "default_embedder",
            "embedders.a.model_dir",
            "embedders.b/c",
            "embedders.b/c.model",
            "embedders.b/c.dimensions",
            "embedders.b/c.batch",
        ];
        assert_eq!(keys, expected, "{faults:#?}");
    }
}
