//! The instruments of this service, in base units. Prometheus adds unit and kind: `generations_total`,
//! `generation_duration_seconds`.
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Histogram, Meter};

use crate::domain::run::Run;
use crate::ports::Depth;

/// Ended runs, by `content_type` and `status`.
pub const GENERATIONS: &str = "generations";
/// Time from a run's creation to its end, by `content_type` and `status`.
pub const GENERATION_DURATION: &str = "generation_duration";
/// Attempts of steps, by `agent` and `outcome` (`done`, `retry`, `failed`, `fenced`).
pub const STEPS: &str = "orchestrator_steps";
/// Time of one attempt of a step, by `agent`.
pub const STEP_DURATION: &str = "orchestrator_step_duration";
/// Steps and outcomes that wait or run, by `state` (`ready`, `running`, `outbox`).
pub const QUEUE: &str = "orchestrator_queue_depth";
/// Attempts to tell the archive how a run ended, by `result` (`told`, `postponed`, `given_up`).
pub const OUTCOMES: &str = "orchestrator_outcomes";

/// The instruments.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    generations: Counter<u64>,
    generation_duration: Histogram<f64>,
    steps: Counter<u64>,
    step_duration: Histogram<f64>,
    queue: Gauge<u64>,
    outcomes: Counter<u64>,
}

impl Metrics {
    pub(crate) fn new(meter: &Meter) -> Self {
        Self {
            generations: meter.u64_counter(GENERATIONS).with_description("ended runs").build(),
            generation_duration: meter.f64_histogram(GENERATION_DURATION).with_unit("s").build(),
            steps: meter.u64_counter(STEPS).with_description("attempts of steps").build(),
            step_duration: meter.f64_histogram(STEP_DURATION).with_unit("s").build(),
            queue: meter.u64_gauge(QUEUE).with_description("steps and outcomes that wait or run").build(),
            outcomes: meter.u64_counter(OUTCOMES).with_description("outcomes told to the archive").build(),
        }
    }

    /// A run has ended.
    pub(crate) fn ended(&self, run: &Run) {
        let labels = [
            KeyValue::new("content_type", run.spec.content_type.as_str()),
            KeyValue::new("status", run.state.as_str()),
        ];
        self.generations.add(1, &labels);
        let ms = run.finished_ms.unwrap_or(run.created_ms) - run.created_ms;
        self.generation_duration.record(ms.max(0) as f64 / 1_000.0, &labels);
    }

    /// An attempt of a step has ended.
    pub(crate) fn step(&self, agent: &'static str, outcome: &'static str, seconds: f64) {
        self.steps.add(1, &[KeyValue::new("agent", agent), KeyValue::new("outcome", outcome)]);
        self.step_duration.record(seconds, &[KeyValue::new("agent", agent)]);
    }

    /// What came of telling an outcome.
    pub(crate) fn outcome(&self, result: &'static str) {
        self.outcomes.add(1, &[KeyValue::new("result", result)]);
    }

    /// How much work there is.
    pub(crate) fn depth(&self, depth: Depth) {
        for (state, value) in [("ready", depth.ready), ("running", depth.running), ("outbox", depth.outbox)] {
            self.queue.record(value, &[KeyValue::new("state", state)]);
        }
    }
}
