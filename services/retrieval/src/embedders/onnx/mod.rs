//! A sentence model from a local folder, run by onnxruntime on the processor. Nothing is fetched.
//!
//! The folder is as for the model in plain Rust (`local.rs`), with an ONNX graph in place of the weights; the graph may
//! have been made smaller and faster by 8-bit weights. onnxruntime runs a session for one caller at a time, and weights can
//! be large: so a model has one session, whose threads share each run, and callers take turns.

mod batches;
mod graph;
mod library;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ort::session::Session;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};

use self::batches::{Batch, batches};
use self::graph::Graph;
use super::folder::{CONFIG, Folder, Prefixes, TOKENIZER, fault};
use super::tokens::Tokens;
use super::{beside, checked_width};
use crate::config::EmbedderConfig;
use crate::ports::{EmbedError, Embedded, Embedder, Purpose};

/// The most tokens of a text where the settings do not say: attention takes memory by their square, 0.3 GB for each layer of
/// a large model.
const LONGEST: usize = 2_048;

/// A loaded model.
pub(super) struct OnnxEmbedder {
    id: String,
    dimensions: usize,
    model: Arc<Model>,
    session: Arc<Mutex<Session>>,
    /// Of those who embed passages only one at a time waits for the session, so a query waits for one run at most.
    passages: Semaphore,
}

struct Model {
    graph: Graph,
    tokens: Tokens,
    /// The most tokens of a text, those around it included.
    longest: usize,
    prefixes: Prefixes,
}

/// What `config.json` says that the graph does not.
#[derive(Deserialize)]
struct Shape {
    #[serde(default)]
    model_type: String,
    max_position_embeddings: usize,
    hidden_size: Option<usize>,
    #[serde(default)]
    pad_token_id: u32,
}

impl Shape {
    /// The most tokens of a text. Models of RoBERTa's kind count positions from the one after that of their padding.
    fn longest(&self) -> usize {
        let after_padding =
            ["roberta", "xlm-roberta", "camembert", "mpnet"].contains(&self.model_type.as_str());
        let first = if after_padding { self.pad_token_id as usize + 1 } else { 0 };
        self.max_position_embeddings.saturating_sub(first)
    }
}

impl OnnxEmbedder {
    /// Loads a model, and the library with the first. Its id is `onnx/`, the names of the folder and the graph in lower case
    /// and eight digits of a hash of all that its vectors depend on.
    pub(super) fn open(config: &EmbedderConfig, library: &Path) -> Result<Self, EmbedError> {
        // A library that is not what it says makes its binding panic; a faulty setting must not.
        catch_unwind(AssertUnwindSafe(|| Self::load(config, library)))
            .unwrap_or_else(|_| Err(EmbedError::fault("onnxruntime's library does not behave as one")))
    }

    fn load(config: &EmbedderConfig, library: &Path) -> Result<Self, EmbedError> {
        let folder = Folder { dir: &config.model_dir };
        let (shape, tokenizer) = (folder.read(CONFIG)?, folder.read(TOKENIZER)?);
        let mut hash = blake3::Hasher::new();
        for bytes in [&shape, &tokenizer] {
            hash.update(blake3::hash(bytes).as_bytes());
        }
        let shape: Shape = serde_json::from_slice(&shape).map_err(|error| fault(CONFIG, &error))?;
        let tokens = Tokens::read(&tokenizer).map_err(|error| fault(TOKENIZER, &error))?;
        let wanted = if config.max_tokens == 0 { LONGEST } else { config.max_tokens as usize };
        let longest = folder.longest(shape.longest())?.min(wanted).max(tokens.framing() + 1);
        let prefixes = folder.prefixes(config)?;
        let environment = library::environment(library)?;
        let (mut session, graph) =
            Graph::open(&environment, &folder, config, (shape.hidden_size, shape.pad_token_id), &mut hash)?;
        let dimensions = try_out(&mut session, &graph, &tokens, longest)?;
        if shape.hidden_size.is_some_and(|width| width != dimensions) {
            let width = shape.hidden_size.unwrap_or_default();
            let reason = format!("its vectors have {dimensions} dimensions, and {CONFIG} says {width}");
            return Err(fault(&config.onnx.graph, &reason));
        }
        let dimensions = checked_width(dimensions, config)?;
        let settings = format!("{} {longest} {:?} {:?}", graph.settings(), prefixes.document, prefixes.query);
        hash.update(settings.as_bytes());
        let digits = hash.finalize().to_hex();
        let stem = Path::new(&config.onnx.graph).file_stem();
        let stem = stem.map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default();
        Ok(Self {
            id: format!("onnx/{}-{stem}-{}", folder.name(), &digits[..8]),
            dimensions,
            model: Arc::new(Model { graph, tokens, longest, prefixes }),
            session: Arc::new(Mutex::new(session)),
            passages: Semaphore::new(1),
        })
    }
}

/// The dimensions of the vectors that come out. A graph that cannot do what it is for must say so at the start.
fn try_out(
    session: &mut Session,
    graph: &Graph,
    tokens: &Tokens,
    longest: usize,
) -> Result<usize, EmbedError> {
    let texts = ["one", "two words"].map(|text| tokens.encode("", text, longest));
    let texts = texts.into_iter().collect::<Result<Vec<_>, _>>()?;
    let mut widths = Vec::new();
    for batch in batches(texts, graph.one_by_one) {
        widths.extend(graph.embedded(session, &batch.texts, tokens)?.iter().map(|own| own.vector.len()));
    }
    Ok(widths[0])
}

#[async_trait]
impl Embedder for OnnxEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn weighs_tokens(&self) -> bool {
        self.model.graph.weighs_tokens()
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        let mut all = vec![Embedded::from(Vec::new()); texts.len()];
        let model = Arc::clone(&self.model);
        for batch in beside(move || model.batches(&texts, purpose)).await? {
            let closed = |error: tokio::sync::AcquireError| EmbedError::fault(error.to_string());
            let _turn = match purpose {
                Purpose::Document => Some(self.passages.acquire().await.map_err(closed)?),
                Purpose::Query => None,
            };
            let mut session = Arc::clone(&self.session).lock_owned().await;
            let model = Arc::clone(&self.model);
            let Batch { places, texts } = batch;
            let found = beside(move || model.graph.embedded(&mut session, &texts, &model.tokens)).await?;
            for (place, embedded) in places.into_iter().zip(found) {
                if embedded.vector.len() != self.dimensions {
                    return Err(EmbedError::fault("a vector has other dimensions than the first one had"));
                }
                all[place] = embedded;
            }
        }
        Ok(all)
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
    fn batches(&self, texts: &[String], purpose: Purpose) -> Result<Vec<Batch>, EmbedError> {
        let prefix = self.prefixes.of(purpose);
        let texts = texts.iter().map(|text| self.tokens.encode(prefix, text, self.longest));
        Ok(batches(texts.collect::<Result<_, _>>()?, self.graph.one_by_one))
    }
}
