//! A BERT-type sentence model from a local folder, on the processor, in plain Rust. Nothing is fetched.
//!
//! The folder is one that sentence-transformers reads: `config.json`, `tokenizer.json` (WordPiece; with the feature `ort`
//! any kind) and `model.safetensors`; where they are there, `1_Pooling/config.json` (mean or first token; mean without it),
//! `sentence_bert_config.json` (the longest text), the prompts of `config_sentence_transformers.json` and
//! `sparse_linear.safetensors` (what each token counts, as with BGE-M3).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::folder::{CONFIG, Folder, Prefixes, TOKENIZER, fault};
use super::tokens::Tokens;
use super::{beside, checked_width, weigher};
use crate::bert::{Bert, Head, Shape, normalize};
use crate::config::EmbedderConfig;
use crate::ports::{EmbedError, Embedded, Embedder, Purpose};

/// What a model's folder must hold.
pub(super) const FILES: [&str; 3] = [CONFIG, TOKENIZER, "model.safetensors"];

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
    /// Of a model that weighs tokens.
    head: Option<Head>,
    tokens: Tokens,
    /// The most tokens of a text, those around it included.
    longest: usize,
    first_token: bool,
    prefixes: Prefixes,
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
        let shape = Shape::read(&shape).map_err(|error| fault(CONFIG, &error))?;
        let tokens = Tokens::read(&tokenizer).map_err(|error| fault(TOKENIZER, &error))?;
        let first_token = folder.first_token()?;
        let longest = folder.longest(shape.longest())?;
        let prefixes = folder.prefixes(config)?;
        let settings = format!("{first_token} {longest} {:?} {:?}", prefixes.document, prefixes.query);
        hash.update(settings.as_bytes());
        let bert = Bert::read(shape, &weights).map_err(|error| fault("model.safetensors", &error))?;
        checked_width(bert.width(), config)?;
        let head = weigher::head(&folder, config, Some(bert.width()), &mut hash)?;
        let model = Arc::new(Model { bert, head, tokens, longest, first_token, prefixes });
        let turns = || Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)));
        let digits = hash.finalize().to_hex();
        let id = format!("local/{}-{}", folder.name(), &digits[..8]);
        Ok(Self { id, model, documents: turns(), queries: turns() })
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

    fn weighs_tokens(&self) -> bool {
        self.model.head.is_some()
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        let turns = match purpose {
            Purpose::Document => &self.documents,
            Purpose::Query => &self.queries,
        };
        let model = Arc::clone(&self.model);
        let groups = beside(move || model.groups(&texts, purpose)).await?;
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

impl Model {
    /// The tokens of the texts, in groups that are worked on at once.
    fn groups(&self, texts: &[String], purpose: Purpose) -> Result<Vec<Vec<Vec<u32>>>, EmbedError> {
        let prefix = self.prefixes.of(purpose);
        let mut groups: Vec<Vec<Vec<u32>>> = Vec::new();
        let mut room = 0;
        for text in texts {
            let tokens = self.tokens.encode(prefix, text, self.longest)?;
            if groups.is_empty() || tokens.len() > room {
                room = GROUP;
                groups.push(Vec::new());
            }
            room = room.saturating_sub(tokens.len());
            if let Some(group) = groups.last_mut() {
                group.push(tokens);
            }
        }
        Ok(groups)
    }

    fn vectors(&self, group: &[Vec<u32>]) -> Result<Vec<Embedded>, EmbedError> {
        let texts: Vec<&[u32]> = group.iter().map(Vec::as_slice).collect();
        let hidden = self.bert.encode(&texts).map_err(|error| EmbedError::fault(error.to_string()))?;
        let width = self.bert.width();
        let mut rest = hidden.as_slice();
        let mut vectors = Vec::with_capacity(texts.len());
        for text in texts {
            let (rows, after) = rest.split_at(text.len() * width);
            rest = after;
            let numbers = |head: &Head| rows.chunks_exact(width).map(|row| head.of(row)).collect::<Vec<_>>();
            let numbers = self.head.as_ref().map(numbers);
            let weights = numbers.map(|own| weigher::weighed(&self.tokens, text, own)).transpose()?;
            vectors.push(Embedded { vector: self.pooled(rows), weights });
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
