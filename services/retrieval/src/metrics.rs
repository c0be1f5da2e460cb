//! Names and instruments of this service's own metrics, in one place; calls are counted by the stack.

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

/// Searches answered, by `mode`, `degraded` and `cached`.
pub const SEARCHES: &str = "copydesk.retrieval.searches";
/// Documents of uploads that a worker has finished, by `outcome`.
pub const DOCUMENTS: &str = "copydesk.retrieval.documents";
/// Questions to the web, by `kind` and `outcome`.
pub const WEB: &str = "copydesk.retrieval.web";
/// Child chunks written.
pub const CHUNKS: &str = "copydesk.retrieval.chunks";

/// The instruments.
#[derive(Debug, Clone)]
pub struct Metrics {
    searches: Counter<u64>,
    documents: Counter<u64>,
    chunks: Counter<u64>,
    web: Counter<u64>,
}

impl Metrics {
    /// Makes the instruments on a meter.
    pub fn new(meter: &Meter) -> Self {
        Self {
            searches: meter.u64_counter(SEARCHES).build(),
            documents: meter.u64_counter(DOCUMENTS).build(),
            chunks: meter.u64_counter(CHUNKS).build(),
            web: meter.u64_counter(WEB).build(),
        }
    }

    /// A search was answered.
    pub fn searched(&self, mode: &'static str, degraded: bool, cached: bool) {
        let labels = [
            KeyValue::new("mode", mode),
            KeyValue::new("degraded", degraded),
            KeyValue::new("cached", cached),
        ];
        self.searches.add(1, &labels);
    }

    /// The web was asked.
    pub fn asked_web(&self, kind: &'static str, outcome: &'static str) {
        self.web.add(1, &[KeyValue::new("kind", kind), KeyValue::new("outcome", outcome)]);
    }

    /// A document was finished, with so many chunks written.
    pub fn finished_document(&self, outcome: &'static str, chunks: u64) {
        self.documents.add(1, &[KeyValue::new("outcome", outcome)]);
        self.chunks.add(chunks, &[]);
    }
}
