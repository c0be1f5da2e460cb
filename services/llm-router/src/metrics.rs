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
/// Soft limits of budgets that were passed, by `subject` and `period`.
pub const BUDGET_ALERTS: &str = "copydesk.llm.budget.alerts";

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

/// Circuit breakers that opened.
pub const BREAKER_OPENED: &str = "copydesk.llm.breaker.opened";
/// Calls made because another one was slow, by the slow one's model.
pub const HEDGES: &str = "copydesk.llm.hedges";
/// Time to the first token of streams, in seconds.
pub const FIRST_TOKEN: &str = "copydesk.llm.first_token.duration";

/// The instruments.
#[derive(Clone)]
pub struct Metrics {
    opened: Counter<u64>,
    hedges: Counter<u64>,
    first_token: Histogram<f64>,
    calls: Counter<u64>,
    tokens: Counter<u64>,
    cost: Counter<u64>,
    duration: Histogram<f64>,
    cache: Counter<u64>,
    budget_alerts: Counter<u64>,
}

impl Metrics {
    /// Makes the instruments.
    pub fn new(meter: &Meter) -> Self {
        Self {
            budget_alerts: meter
                .u64_counter(BUDGET_ALERTS)
                .with_description("soft limits of budgets that were passed")
                .build(),
            opened: meter
                .u64_counter(BREAKER_OPENED)
                .with_description("circuit breakers that opened")
                .build(),
            hedges: meter.u64_counter(HEDGES).with_description("calls made because another was slow").build(),
            first_token: meter
                .f64_histogram(FIRST_TOKEN)
                .with_description("time to the first token of streams")
                .with_unit("s")
                .build(),
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

    /// A model's breaker opened.
    pub fn breaker_opened(&self, model: &str) {
        self.opened.add(1, &[KeyValue::new("gen_ai.request.model", model.to_owned())]);
    }

    /// A second model is asked because this one is slow.
    pub fn hedged(&self, model: &str) {
        self.hedges.add(1, &[KeyValue::new("gen_ai.request.model", model.to_owned())]);
    }

    /// Counts a soft limit that was passed.
    pub fn budget_alert(&self, subject: &'static str, period: &'static str) {
        let labels = [KeyValue::new("copydesk.subject", subject), KeyValue::new("copydesk.period", period)];
        self.budget_alerts.add(1, &labels);
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
        if attempt.first_token_us > 0 {
            self.first_token.record(attempt.first_token_us as f64 / 1e6, &labels);
        }
    }
}
