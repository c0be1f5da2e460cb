//! A BERT-type sentence model from a local folder, on the processor, in plain Rust. Nothing is fetched.
//!
//! The folder is one that sentence-transformers reads: `config.json`, `tokenizer.json` (WordPiece) and
//! `model.safetensors`; where they are there, `1_Pooling/config.json` (mean or first token; mean without it),
//! `sentence_bert_config.json` (the longest text) and the prompts of `config_sentence_transformers.json`.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::bert::{Bert, Shape, WordPiece, normalize};
use crate::config::EmbedderConfig;
use crate::ports::{EmbedError, Embedder, Purpose};

/// What a model's folder must hold.
pub(super) const FILES: [&str; 3] = ["config.json", "tokenizer.json", "model.safetensors"];

/// Tokens that are worked on at once: enough that the weights are read from memory for many tokens, and few enough that
/// their vectors stay in the caches.
const GROUP: usize = 256;

/// A loaded model.
pub(super) struct LocalEmbedder {
    id: String,
    model: Arc<Model>,
    /// One group of passages per processor: more at once would only take more memory.
    documents: Arc<Semaphore>,
    /// Queries have turns of their own: they do not wait for passages.
    queries: Arc<Semaphore>,
}

struct Model {
    bert: Bert,
    tokens: WordPiece,
    /// The most tokens of a text, those around it included.
    longest: usize,
    first_token: bool,
    prefixes: Prefixes,
}

struct Prefixes {
    document: String,
    query: String,
}

impl Prefixes {
    fn of(&self, purpose: Purpose) -> &str {
        match purpose {
            Purpose::Document => &self.document,
            Purpose::Query => &self.query,
        }
    }
}

#[derive(Deserialize)]
struct Pooling {
    #[serde(default)]
    pooling_mode_cls_token: bool,
    #[serde(default)]
    pooling_mode_mean_tokens: bool,
}

#[derive(Deserialize)]
struct Sentence {
    max_seq_length: Option<usize>,
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Deserialize)]
struct Prompts {
    #[serde(default)]
    prompts: std::collections::HashMap<String, String>,
}

impl LocalEmbedder {
    /// Loads a model. Its id is `local/`, the folder's name in lower case and eight digits of a hash of all that its
    /// vectors depend on: another model in the same folder is another embedder.
    pub(super) fn open(config: &EmbedderConfig) -> Result<Self, EmbedError> {
        let folder = Folder { dir: &config.model_dir };
        let [shape, tokenizer, weights] = FILES.map(|file| folder.read(file));
        let (shape, tokenizer, weights) = (shape?, tokenizer?, weights?);
        let mut hash = blake3::Hasher::new();
        for bytes in [&shape, &tokenizer, &weights] {
            hash.update(blake3::hash(bytes).as_bytes());
        }
        let shape = Shape::read(&shape).map_err(|error| fault("config.json", &error))?;
        let tokens = WordPiece::read(&tokenizer).map_err(|error| fault("tokenizer.json", &error))?;
        let first_token = folder.first_token()?;
        let longest = folder.longest(&shape)?;
        let prefixes = folder.prefixes(config)?;
        let settings = format!("{first_token} {longest} {:?} {:?}", prefixes.document, prefixes.query);
        hash.update(settings.as_bytes());
        let bert = Bert::read(shape, &weights).map_err(|error| fault("model.safetensors", &error))?;
        let model = Arc::new(Model { bert, tokens, longest, first_token, prefixes });
        let turns = || Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let digits = hash.finalize().to_hex();
        let id = format!("local/{}-{}", folder.name(), &digits[..8]);
        Ok(Self { id, model, documents: turns(), queries: turns() })
    }
}

fn fault(file: &str, error: &dyn std::fmt::Display) -> EmbedError {
    EmbedError::fault(format!("{file} cannot be used: {error}"))
}

struct Folder<'a> {
    dir: &'a Path,
}

impl Folder<'_> {
    fn name(&self) -> String {
        self.dir.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default()
    }

    fn read(&self, file: &str) -> Result<Vec<u8>, EmbedError> {
        std::fs::read(self.dir.join(file)).map_err(|error| fault(file, &error))
    }

    /// A file that need not be there.
    fn json<T: DeserializeOwned>(&self, file: &str) -> Result<Option<T>, EmbedError> {
        if !self.dir.join(file).is_file() {
            return Ok(None);
        }
        serde_json::from_slice(&self.read(file)?).map(Some).map_err(|error| fault(file, &error))
    }

    /// Whether a text's vector is that of its first token, or else the mean of all.
    fn first_token(&self) -> Result<bool, EmbedError> {
        let modules: Vec<Module> = self.json("modules.json")?.unwrap_or_default();
        let known =
            |kind: &str| ["Transformer", "Pooling", "Normalize"].iter().any(|known| kind.ends_with(known));
        if let Some(module) = modules.iter().find(|module| !known(&module.kind)) {
            return Err(fault("modules.json", &format!("the module {} is not supported", module.kind)));
        }
        let file = "1_Pooling/config.json";
        let Some(pooling) = self.json::<Pooling>(file)? else { return Ok(false) };
        match (pooling.pooling_mode_cls_token, pooling.pooling_mode_mean_tokens) {
            (true, false) => Ok(true),
            (false, true) => Ok(false),
            _ => Err(fault(file, &"only pooling by the first token or by the mean of all is supported")),
        }
    }

    fn longest(&self, shape: &Shape) -> Result<usize, EmbedError> {
        let said: Option<Sentence> = self.json("sentence_bert_config.json")?;
        let said = said.and_then(|sentence| sentence.max_seq_length).unwrap_or(usize::MAX);
        Ok(shape.longest().min(said).max(1))
    }

    /// The settings' prefixes, else the model's own.
    fn prefixes(&self, config: &EmbedderConfig) -> Result<Prefixes, EmbedError> {
        let prompts: Prompts = self.json("config_sentence_transformers.json")?.unwrap_or_default();
        let of = |set: &Option<String>, names: &[&str]| {
            let own = names.iter().find_map(|name| prompts.prompts.get(*name));
            set.as_ref().or(own).cloned().unwrap_or_default()
        };
        Ok(Prefixes {
            document: of(&config.document_prefix, &["document", "passage"]),
            query: of(&config.query_prefix, &["query"]),
        })
    }
}

#[async_trait]
impl Embedder for LocalEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.model.bert.width()
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        let turns = match purpose {
            Purpose::Document => &self.documents,
            Purpose::Query => &self.queries,
        };
        let model = Arc::clone(&self.model);
        let groups = beside(move || Ok(model.groups(&texts, purpose))).await?;
        let mut work = JoinSet::new();
        for (at, group) in groups.into_iter().enumerate() {
            let (turns, model) = (Arc::clone(turns), Arc::clone(&self.model));
            work.spawn(async move {
                let _turn = turns.acquire().await.map_err(|error| EmbedError::fault(error.to_string()))?;
                beside(move || model.vectors(&group)).await.map(|vectors| (at, vectors))
            });
        }
        let mut done = Vec::with_capacity(work.len());
        while let Some(group) = work.join_next().await {
            done.push(group.map_err(|error| EmbedError::fault(error.to_string()))??);
        }
        done.sort_unstable_by_key(|(at, _)| *at);
        Ok(done.into_iter().flat_map(|(_, vectors)| vectors).collect())
    }

    fn max_tokens(&self) -> Option<usize> {
        let prefix = self.model.tokens.count(&self.model.prefixes.document);
        Some(self.model.longest.saturating_sub(self.model.tokens.framing() + prefix))
    }

    fn count(&self, text: &str) -> usize {
        self.model.tokens.count(text)
    }
}

/// Runs work beside the runtime's own threads.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbedError> + Send + 'static,
) -> Result<T, EmbedError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| EmbedError::fault(error.to_string()))?
}

impl Model {
    /// The tokens of the texts, in groups that are worked on at once.
    fn groups(&self, texts: &[String], purpose: Purpose) -> Vec<Vec<Vec<u32>>> {
        let prefix = self.prefixes.of(purpose);
        let mut groups: Vec<Vec<Vec<u32>>> = Vec::new();
        let mut room = 0;
        for text in texts {
            let tokens = if prefix.is_empty() {
                self.tokens.encode(text, self.longest)
            } else {
                self.tokens.encode(&format!("{prefix}{text}"), self.longest)
            };
            if groups.is_empty() || tokens.len() > room {
                room = GROUP;
                groups.push(Vec::new());
            }
            room = room.saturating_sub(tokens.len());
            if let Some(group) = groups.last_mut() {
                group.push(tokens);
            }
        }
        groups
    }

    fn vectors(&self, group: &[Vec<u32>]) -> Result<Vec<Vec<f32>>, EmbedError> {
        let texts: Vec<&[u32]> = group.iter().map(Vec::as_slice).collect();
        let hidden = self.bert.encode(&texts).map_err(|error| EmbedError::fault(error.to_string()))?;
        let width = self.bert.width();
        let mut rest = hidden.as_slice();
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let (rows, after) = rest.split_at(text.len() * width);
            rest = after;
            vectors.push(self.pooled(rows));
        }
        Ok(vectors)
    }

    /// One vector of length 1 for a text. The mean needs no division: only its direction counts.
    fn pooled(&self, rows: &[f32]) -> Vec<f32> {
        let width = self.bert.width();
        let rows = if self.first_token { &rows[..width] } else { rows };
        let mut vector = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            for (sum, value) in vector.iter_mut().zip(row) {
                *sum += value;
            }
        }
        normalize(&mut vector);
        vector
    }
}
