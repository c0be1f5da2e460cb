//! Embedders that tests lead: their vectors count letters, their calls are counted, and they stop or fail when told.

#![allow(clippy::unwrap_used, reason = "a failed set-up must stop the test")]

use std::sync::{Arc, Mutex};

use copydesk_retrieval::domain::token_weights::TokenWeights;
use copydesk_retrieval::embedders::{Embedders, Entry};
use copydesk_retrieval::ports::{EmbedError, Embedded, Embedder, Purpose};
use tokio::sync::Semaphore;

/// Texts of the same letters have the same vector. Two models of the same width and another shift have vectors that
/// look alike and mean other things.
pub struct Model {
    id: String,
    width: usize,
    shift: usize,
    weighs: bool,
    seen: Mutex<Vec<(Purpose, String)>>,
    fault: Mutex<Option<EmbedError>>,
    /// Failures that come before the next answers.
    failures: Mutex<Vec<EmbedError>>,
    gate: Semaphore,
}

/// More calls than any test makes.
const OPEN: usize = 1_000_000;

impl Model {
    pub fn new(id: &str, width: usize, shift: usize) -> Arc<Self> {
        Self::with(id, width, shift, false)
    }

    /// One that weighs tokens too: every word is one, and counts by its length.
    pub fn weighing(id: &str, width: usize, shift: usize) -> Arc<Self> {
        Self::with(id, width, shift, true)
    }

    fn with(id: &str, width: usize, shift: usize, weighs: bool) -> Arc<Self> {
        Arc::new(Self {
            id: id.into(),
            width,
            shift,
            weighs,
            seen: Mutex::default(),
            fault: Mutex::default(),
            failures: Mutex::default(),
            gate: Semaphore::new(OPEN),
        })
    }

    /// Texts of documents that it was asked for since the last time this was called, in order.
    pub fn documents(&self) -> Vec<String> {
        let seen = std::mem::take(&mut *self.seen.lock().unwrap());
        seen.into_iter().filter(|(purpose, _)| *purpose == Purpose::Document).map(|(_, text)| text).collect()
    }

    /// Fails every call, or none.
    pub fn break_with(&self, fault: Option<EmbedError>) {
        *self.fault.lock().unwrap() = fault;
    }

    /// Fails the next calls with these, the last one first.
    pub fn fail_next(&self, failures: Vec<EmbedError>) {
        *self.failures.lock().unwrap() = failures;
    }

    /// Lets only so many calls through from now on.
    pub fn hold(&self, calls: usize) {
        self.gate.forget_permits(self.gate.available_permits());
        self.gate.add_permits(calls);
    }

    /// Lets all calls through.
    pub fn open(&self) {
        self.gate.add_permits(OPEN);
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let mut counts = vec![0.01; self.width];
        for letter in text.bytes().filter(u8::is_ascii_lowercase) {
            counts[(usize::from(letter - b'a') + self.shift) % self.width] += 1.0;
        }
        counts
    }
}

/// A word's token.
pub fn token(word: &str) -> u32 {
    word.bytes().fold(7, |sum: u32, letter| sum.wrapping_mul(31).wrapping_add(letter.into()) % 250_002)
}

/// What the words of a text count: an eighth for each of their letters.
pub fn weights(text: &str) -> TokenWeights {
    let words = text.split(|sign: char| !sign.is_alphanumeric()).filter(|word| !word.is_empty());
    TokenWeights::of(words.map(|word| (token(&word.to_lowercase()), word.len() as f32 / 8.0)))
}

#[async_trait::async_trait]
impl Embedder for Model {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.width
    }

    fn weighs_tokens(&self) -> bool {
        self.weighs
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Embedded>, EmbedError> {
        self.gate.acquire().await.unwrap().forget();
        if let Some(fault) = self.fault.lock().unwrap().clone().or(self.failures.lock().unwrap().pop()) {
            return Err(fault);
        }
        let embedded = |text: &String| Embedded {
            vector: self.vector(text),
            weights: self.weighs.then(|| weights(text)),
        };
        let vectors = texts.iter().map(embedded).collect();
        self.seen.lock().unwrap().extend(texts.into_iter().map(|text| (purpose, text)));
        Ok(vectors)
    }
}

/// These models under the last part of their ids; the first is the default.
pub fn embedders(models: &[Arc<Model>]) -> Embedders {
    let name = |model: &Arc<Model>| model.id.rsplit('/').next().unwrap_or_default().to_owned();
    let entry = |model: &Arc<Model>| Entry { name: name(model), kind: "local", embedder: model.clone() };
    Embedders::new(models.iter().map(entry).collect(), models.first().map(name).as_deref())
}
