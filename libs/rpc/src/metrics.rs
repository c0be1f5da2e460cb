//! The figures that every call leaves behind, and the span that shows it.
//!
//! Names follow the OpenTelemetry RPC conventions (schema 1.42); the status attribute is one constant because the
//! convention has renamed it since.
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Histogram, Meter, UpDownCounter};
use tonic::Code;
use tracing::Span;

/// Text form of the gRPC code, for example `DEADLINE_EXCEEDED`.
pub const STATUS_ATTRIBUTE: &str = "rpc.response.status_code";
const METHOD_ATTRIBUTE: &str = "rpc.method";
/// Seconds; the convention's boundaries.
const BOUNDARIES: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// The instruments of one service.
#[derive(Clone)]
pub struct RpcMetrics {
    server_duration: Histogram<f64>,
    client_duration: Histogram<f64>,
    in_flight: UpDownCounter<i64>,
}

/// Which side of a call is measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Server,
    Client,
}

impl RpcMetrics {
    /// Makes the instruments.
    pub fn new(meter: &Meter) -> Self {
        let duration = |name: &'static str, words: &'static str| {
            let builder = meter.f64_histogram(name).with_unit("s").with_description(words);
            builder.with_boundaries(BOUNDARIES.to_vec()).build()
        };
        Self {
            server_duration: duration(
                "rpc.server.call.duration",
                "Time from a call's first byte in to its last byte out.",
            ),
            client_duration: duration(
                "rpc.client.call.duration",
                "Time from a call's first byte out to its last byte in.",
            ),
            in_flight: meter
                .i64_up_down_counter("rpc.server.in_flight")
                .with_description("Calls being served now, streams included.")
                .build(),
        }
    }

    pub(crate) fn begin(&self, side: Side, method: &str, span: Span) -> CallRecord {
        if side == Side::Server {
            self.in_flight.add(1, &[]);
        }
        CallRecord {
            metrics: self.clone(),
            side,
            method: method.to_owned(),
            span,
            began: Instant::now(),
            ended: false,
        }
    }
}

/// One call under observation. It ends once, with a code; one that is dropped before was cancelled.
pub(crate) struct CallRecord {
    metrics: RpcMetrics,
    side: Side,
    method: String,
    span: Span,
    began: Instant,
    ended: bool,
}

impl CallRecord {
    pub(crate) fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        // A span ends when it was last entered: without this a stream's would end at its first byte.
        self.span.in_scope(|| ());
        let status = code_name(code);
        self.span.record(STATUS_ATTRIBUTE, status);
        if is_fault(self.side, code) {
            self.span.record("otel.status_code", "ERROR");
        }
        let attributes =
            [KeyValue::new(METHOD_ATTRIBUTE, self.method.clone()), KeyValue::new(STATUS_ATTRIBUTE, status)];
        let seconds = self.began.elapsed().as_secs_f64();
        match self.side {
            Side::Client => self.metrics.client_duration.record(seconds, &attributes),
            Side::Server => {
                self.metrics.server_duration.record(seconds, &attributes);
                self.metrics.in_flight.add(-1, &[]);
            }
        }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }
}

impl Drop for CallRecord {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

fn is_fault(side: Side, code: Code) -> bool {
    match side {
        Side::Client => code != Code::Ok,
        Side::Server => matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        ),
    }
}

/// The code as the conventions and every other language write it.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
