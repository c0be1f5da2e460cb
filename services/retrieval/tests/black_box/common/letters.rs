//! Embedders that tests lead: their vectors count letters, their calls are counted, and they stop or fail when told.

#![allow(clippy::unwrap_used, reason = "a failed set-up must stop the test")]

use std::sync::{Arc, Mutex};

use copydesk_retrieval::embedders::{Embedders, Entry};
use copydesk_retrieval::ports::{EmbedError, Embedder, Purpose};
use tokio::sync::Semaphore;

/// Texts of the same letters have the same vector. Two models of the same width and another shift have vectors that
/// look alike and mean other things.
pub struct Model {
    id: String,
    width: usize,
    shift: usize,
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
        Arc::new(Self {
            id: id.into(),
            width,
            shift,
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

#[async_trait::async_trait]
impl Embedder for Model {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimensions(&self) -> usize {
        self.width
    }

    async fn embed(&self, texts: Vec<String>, purpose: Purpose) -> Result<Vec<Vec<f32>>, EmbedError> {
        self.gate.acquire().await.unwrap().forget();
        if let Some(fault) = self.fault.lock().unwrap().clone().or(self.failures.lock().unwrap().pop()) {
            return Err(fault);
        }
        let vectors = texts.iter().map(|text| self.vector(text)).collect();
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
