//! The latest spans of this process, kept in memory: a trace can be shown without any collector.
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::Context;
use opentelemetry::trace::Status;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};

/// One finished span.
#[derive(Debug, Clone)]
pub struct SpanRecord {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 hexadecimal digits.
    pub span_id: String,
    /// The parent's id; sixteen zeros for a root.
    pub parent_id: String,
    /// The operation.
    pub name: String,
    /// `client`, `server` or `internal`.
    pub kind: String,
    /// When it began.
    pub start: SystemTime,
    /// How long it took.
    pub duration: Duration,
    /// True when it ended in an error.
    pub error: bool,
}

/// Keeps the latest spans; the oldest make room.
#[derive(Debug, Clone)]
pub struct SpanStore {
    spans: Arc<Mutex<VecDeque<SpanRecord>>>,
    capacity: usize,
}

impl SpanStore {
    /// Keeps up to `capacity` spans.
    pub fn new(capacity: usize) -> Self {
        Self { spans: Arc::default(), capacity }
    }

    /// The spans of a trace that have ended, in the order in which they began.
    pub fn trace(&self, trace_id: &str) -> Vec<SpanRecord> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = spans.iter().filter(|s| s.trace_id == trace_id).cloned().collect();
        found.sort_by_key(|span| span.start);
        found
    }
}

impl SpanProcessor for SpanStore {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        let record = SpanRecord {
            trace_id: span.span_context.trace_id().to_string(),
            span_id: span.span_context.span_id().to_string(),
            parent_id: span.parent_span_id.to_string(),
            name: span.name.into_owned(),
            kind: format!("{:?}", span.span_kind).to_lowercase(),
            start: span.start_time,
            duration: span.end_time.duration_since(span.start_time).unwrap_or_default(),
            error: matches!(span.status, Status::Error { .. }),
        };
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        if spans.len() >= self.capacity {
            spans.pop_front();
        }
        spans.push_back(record);
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
