//! What the router measures. Labels are model and outcome: their number is that of the configured models.
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter};

use crate::domain::Attempt;

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

/// The instruments.
#[derive(Clone)]
pub struct Metrics {
    calls: Counter<u64>,
    tokens: Counter<u64>,
    cost: Counter<u64>,
    duration: Histogram<f64>,
    budget_alerts: Counter<u64>,
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
            budget_alerts: meter
                .u64_counter(BUDGET_ALERTS)
                .with_description("soft limits of budgets that were passed")
                .build(),
        }
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
    }
}
