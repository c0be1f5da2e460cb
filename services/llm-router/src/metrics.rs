//! What the router measures. Labels are model and outcome: their number is that of the configured models.
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::domain::{Attempt, CacheKind};

/// Calls to models.
pub const CALLS: &str = "copydesk.llm.calls";
/// Tokens, by `direction`: `input` or `output`.
pub const TOKENS: &str = "copydesk.llm.tokens";
/// Cost in nano-dollars.
pub const COST: &str = "copydesk.llm.cost";
/// How long calls to models took, in seconds.
pub const DURATION: &str = "copydesk.llm.call.duration";

/// Look-ups in the cache by `copydesk.kind`, `answer` or `embedding`, and `copydesk.result`: `hit`, `miss`, or `error`
/// for what could not be looked up or written.
pub const CACHE: &str = "copydesk.llm.cache";

/// How a look-up in the cache ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheResult {
    /// It was there.
    Hit,
    /// It was not.
    Miss,
    /// The cache did not answer.
    Error,
}

/// The instruments.
#[derive(Clone)]
pub struct Metrics {
    calls: Counter<u64>,
    tokens: Counter<u64>,
    cost: Counter<u64>,
    duration: Histogram<f64>,
    cache: Counter<u64>,
}

impl Metrics {
    /// Makes the instruments.
    pub fn new(meter: &Meter) -> Self {
        Self {
            calls: meter.u64_counter(CALLS).with_description("calls to models").build(),
            tokens: meter.u64_counter(TOKENS).with_description("tokens read and written").build(),
            cost: meter.u64_counter(COST).with_description("cost of model calls").with_unit("n$").build(),
            duration: meter
                .f64_histogram(DURATION)
                .with_description("duration of model calls")
                .with_unit("s")
                .build(),
            cache: meter.u64_counter(CACHE).with_description("look-ups in the cache").build(),
        }
    }

    /// Counts one look-up in the cache.
    pub fn cache(&self, kind: CacheKind, result: CacheResult) {
        let result = match result {
            CacheResult::Hit => "hit",
            CacheResult::Miss => "miss",
            CacheResult::Error => "error",
        };
        let labels =
            [KeyValue::new("copydesk.kind", kind.as_str()), KeyValue::new("copydesk.result", result)];
        self.cache.add(1, &labels);
    }

    /// Counts one finished call to a model.
    pub fn count(&self, attempt: &Attempt) {
        let model = KeyValue::new("gen_ai.request.model", attempt.model.clone());
        let outcome = KeyValue::new("copydesk.outcome", attempt.outcome.as_str());
        let direction = |name: &'static str| KeyValue::new("copydesk.direction", name);
        let labels = [model.clone(), outcome];
        self.calls.add(1, &labels);
        self.tokens.add(attempt.usage.input, &[model.clone(), direction("input")]);
        self.tokens.add(attempt.usage.output, &[model.clone(), direction("output")]);
        self.cost.add(u64::try_from(attempt.cost.0).unwrap_or(0), &[model]);
        self.duration.record(attempt.latency_us as f64 / 1e6, &labels);
    }
}
