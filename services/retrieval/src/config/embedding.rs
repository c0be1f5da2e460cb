//! What an operator may set about embedders.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Config;
use crate::embedders;

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
    /// The library that runs local models of `runtime = "onnxruntime"`, one for the process: a path, or a name that the
    /// system's loader finds. Empty: what `ORT_DYLIB_PATH` says, else the loader's `libonnxruntime`.
    pub onnxruntime: PathBuf,
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

/// What computes a local model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EmbedderRuntime {
    /// This program, from `model.safetensors`, in 32 bits.
    #[default]
    Rust,
    /// onnxruntime, from an ONNX graph, also in 8 bits; in builds with the cargo feature `ort`.
    Onnxruntime,
}

/// Which of a text's token vectors are its vector.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnnxPooling {
    /// What the graph makes of them itself, else what the model's folder says, else the mean.
    #[default]
    Auto,
    /// The first.
    Cls,
    /// The mean of all.
    Mean,
}

/// Whether a local model's learned weights of tokens are used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenWeighing {
    /// When the model has them: its graph gives them, or `sparse_linear.safetensors` stands in its folder.
    #[default]
    Auto,
    /// Never: the embedder gives vectors only.
    Off,
}

/// How onnxruntime runs a local model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OnnxConfig {
    /// The graph's file in the model's folder.
    pub graph: String,
    /// The output that is read. Empty: `sentence_embedding`, `dense_vecs`, `token_embeddings` or `last_hidden_state`,
    /// whichever the graph has first.
    pub output: String,
    /// How a text's vector is made.
    pub pooling: OnnxPooling,
    /// The output with the weight of each token, of three sides, the last of one. Empty: `sparse_vecs`,
    /// `sparse_embeddings`, `sparse_weights`, `token_weights` or `lexical_weights`, whichever the graph has first, if it has
    /// one.
    pub weights: String,
    /// Threads of one run, 0 to 1,024. 0: as many as processors.
    pub threads: u32,
}

impl Default for OnnxConfig {
    fn default() -> Self {
        Self {
            graph: "model.onnx".to_owned(),
            output: String::new(),
            pooling: OnnxPooling::default(),
            weights: String::new(),
            threads: 0,
        }
    }
}

/// One embedder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EmbedderConfig {
    /// Where it runs.
    pub kind: EmbedderKind,
    /// For `local`: a folder with `config.json`, `tokenizer.json` and `model.safetensors` of a BERT-type sentence model;
    /// for onnxruntime, with a graph in place of the last.
    pub model_dir: PathBuf,
    /// For `local`: what computes it.
    pub runtime: EmbedderRuntime,
    /// For `local` by onnxruntime: how.
    pub onnx: OnnxConfig,
    /// For `local`: whether it also says what each token of a text counts, as BGE-M3 does, for a leg of searches of its own.
    /// Part of the embedder's id.
    pub token_weights: TokenWeighing,
    /// For `router`: a model of the llm-router that gives vectors, `<provider>/<model>`.
    pub model: String,
    /// For `router`: the dimensions that its vectors have or are to have, 1 to 16,384. For `local`: those that the model
    /// must have, or 0.
    pub dimensions: u32,
    /// For `router`: texts of one call, 1 to 2,048.
    pub batch: u32,
    /// For `router`: the most tokens of a text, in tokens of the model. 0: unknown. For `local` by onnxruntime, whose
    /// memory grows with the square of it: 0 for 2,048 or what the model reads, if that is less.
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
            runtime: EmbedderRuntime::default(),
            onnx: OnnxConfig::default(),
            token_weights: TokenWeighing::default(),
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
        Self {
            query_timeout_ms: 3_000,
            cached_queries: 4_096,
            batch: 32,
            attempts: 7,
            kept_vectors: 100_000,
            onnxruntime: PathBuf::new(),
        }
    }
}

impl Config {
    /// Every fault of the settings of embedders.
    pub(super) fn embedder_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let mut check = |good: bool, fault: String| {
            if !good {
                faults.push(fault);
            }
        };
        let embedding = &self.embedding;
        let timeout = (10..=60_000).contains(&embedding.query_timeout_ms);
        check(timeout, "embedding.query_timeout_ms: must be 10 to 60,000".into());
        check(
            embedding.cached_queries <= 1_000_000,
            "embedding.cached_queries: must be 0 to 1,000,000".into(),
        );
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
                EmbedderKind::Local if embedder.runtime == EmbedderRuntime::Onnxruntime => {
                    format!("onnxruntime, {}", embedder.model_dir.join(&embedder.onnx.graph).display())
                }
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
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
