//! Models that tests script: an embedder that counts letters, a reranker that does as it is told.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose, Ranking, RerankError, Reranker};

/// Counts letters: texts of the same letters are near. Fails on demand and counts its calls.
#[derive(Default)]
pub struct LetterEmbedder {
    pub broken: AtomicBool,
    pub calls: AtomicUsize,
}

#[async_trait::async_trait]
impl Embedder for LetterEmbedder {
    fn id(&self) -> &str {
        "test/letters"
    }

    fn dimensions(&self) -> usize {
        26
    }

    async fn embed(&self, texts: Vec<String>, _: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if self.broken.load(Ordering::SeqCst) {
            return Err(EmbedError::fault("out of order"));
        }
        let vector = |text: String| {
            let mut counts = vec![0.0f32; 26];
            let letters = text.bytes().map(|b| b.to_ascii_lowercase()).filter(u8::is_ascii_lowercase);
            letters.for_each(|b| counts[usize::from(b - b'a')] += 1.0);
            counts.into()
        };
        Ok(texts.into_iter().map(vector).collect())
    }
}

/// What a scripted reranker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Script {
    /// Puts the shortest text first.
    ShortestFirst,
    /// Scores only the last text.
    OnlyTheLast,
    /// Names a text that it was not given.
    OutOfRange,
    /// Gives an error.
    Fails,
    /// Never answers.
    Hangs,
}

/// Does as it is told, and keeps how many texts it saw last.
pub struct ScriptedReranker {
    pub script: Mutex<Script>,
    pub saw: AtomicUsize,
}

impl ScriptedReranker {
    pub fn new(script: Script) -> Self {
        Self { script: Mutex::new(script), saw: AtomicUsize::new(0) }
    }

    pub fn tell(&self, script: Script) {
        *self.script.lock().unwrap() = script;
    }
}

#[async_trait::async_trait]
impl Reranker for ScriptedReranker {
    async fn rerank(&self, model: &str, _: &str, texts: Vec<String>) -> Result<Ranking, RerankError> {
        self.saw.store(texts.len(), Ordering::SeqCst);
        let script = *self.script.lock().unwrap();
        let scores = match script {
            Script::ShortestFirst => {
                texts.iter().enumerate().map(|(at, text)| (at, 1.0 / text.len() as f64)).collect()
            }
            Script::OnlyTheLast => vec![(texts.len() - 1, 0.5)],
            Script::OutOfRange => vec![(texts.len(), 1.0)],
            Script::Fails => return Err(RerankError { reason: "out of paper".into() }),
            Script::Hangs => std::future::pending().await,
        };
        Ok(Ranking { model: format!("scripted/{model}"), scores })
    }
}
