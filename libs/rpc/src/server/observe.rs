//! One span and one measurement for every call, to the last byte of its body.
use http::{Request, Response};
use tonic::body::Body;
use tracing::Instrument;

use super::middleware::{Middleware, Next};
use crate::body::{Guards, guard};
use crate::metrics::Side;
use crate::{AccessTable, RpcMetrics, trace};

/// The method of a call that no rule names: what a stranger writes into a path must not become a label or a span name.
const OTHER: &str = "_OTHER";

#[derive(Clone)]
pub(super) struct Observe {
    pub(super) access: AccessTable,
    pub(super) metrics: RpcMetrics,
    pub(super) trust_trace: bool,
}

impl Middleware for Observe {
    async fn handle(self, mut request: Request<Body>, next: impl Next) -> Response<Body> {
        if super::is_open(request.uri().path()) {
            return next.run(request).await;
        }
        let rule = self.access.get(request.uri().path());
        let method = rule.map_or(OTHER, |rule| rule.path.trim_start_matches('/')).to_owned();
        let span = tracing::info_span!(
            parent: None,
            "rpc.server",
            otel.name = %method,
            otel.kind = "server",
            otel.status_code = tracing::field::Empty,
            rpc.system.name = "grpc",
            rpc.method = %method,
            rpc.response.status_code = tracing::field::Empty,
        );
        if self.trust_trace {
            trace::adopt(&span, request.headers());
        }
        request.headers_mut().remove("traceparent");
        request.headers_mut().remove("tracestate");
        let record = self.metrics.begin(Side::Server, &method, span.clone());
        let response = next.run(request).instrument(record.span().clone()).await;
        guard(response, Guards { record: Some(record), ..Guards::default() })
    }
}
