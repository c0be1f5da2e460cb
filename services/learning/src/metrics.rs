//! The instruments of the archive: names in one place, few labels.

use copydesk_types::TenantId;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Gauge, Meter};

use crate::domain::feedback::FeedbackKind;
use crate::domain::outcome::OutcomeState;

const FEEDBACK: &str = "copydesk.learning.feedback";
const LESSONS: &str = "copydesk.learning.lessons";
const OUTCOMES: &str = "copydesk.learning.outcomes";
const ACCURACY: &str = "copydesk.learning.agent_accuracy";
const ACCURACY_DRAFTS: &str = "copydesk.learning.agent_accuracy.drafts";

/// What the archive counts.
#[derive(Debug, Clone)]
pub struct Metrics {
    feedback: Counter<u64>,
    lessons: Counter<u64>,
    outcomes: Counter<u64>,
    accuracy: Gauge<f64>,
    accuracy_drafts: Gauge<u64>,
}

impl Metrics {
    /// Makes the instruments.
    pub fn new(meter: &Meter) -> Self {
        Self {
            feedback: meter.u64_counter(FEEDBACK).with_description("verdicts by kind").build(),
            lessons: meter
                .u64_counter(LESSONS)
                .with_description("lessons made or strengthened by a verdict")
                .build(),
            outcomes: meter.u64_counter(OUTCOMES).with_description("ends of runs by state").build(),
            accuracy: meter
                .f64_gauge(ACCURACY)
                .with_description("share of decided drafts on which reviewer and person agree, 0 to 1")
                .build(),
            accuracy_drafts: meter
                .u64_gauge(ACCURACY_DRAFTS)
                .with_description("decided drafts that the accuracy is measured on")
                .build(),
        }
    }

    pub(crate) fn feedback(&self, kind: FeedbackKind, lessons: usize) {
        let kind = [KeyValue::new("kind", kind.label())];
        self.feedback.add(1, &kind);
        self.lessons.add(lessons as u64, &kind);
    }

    pub(crate) fn outcome(&self, state: OutcomeState, degraded: bool) {
        let state = match state {
            OutcomeState::Succeeded => "succeeded",
            OutcomeState::Failed => "failed",
            OutcomeState::Cancelled => "cancelled",
        };
        self.outcomes.add(1, &[KeyValue::new("state", state), KeyValue::new("degraded", degraded)]);
    }

    pub(crate) fn accuracy(&self, tenant: TenantId, share: f64, drafts: usize) {
        // One series per tenant: the figure of one tenant says nothing of another's reviewer.
        let tenant = [KeyValue::new("tenant", tenant.to_string())];
        self.accuracy.record(share, &tenant);
        self.accuracy_drafts.record(drafts as u64, &tenant);
    }
}
