//! Spans and metrics really leave by OTLP over gRPC, and an absent collector holds nothing up. One test in a process:
//! a process has one subscriber.
// A test's helper may stop the test.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::print_stdout)]
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use copydesk_runtime::telemetry::{LogFormat, TelemetryConfig, start};
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

/// Stands in for a collector: keeps the names that arrive.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<String>>>,
    metrics: Arc<Mutex<Vec<String>>>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let spans =
            request.into_inner().resource_spans.into_iter().flat_map(|r| r.scope_spans).flat_map(|s| s.spans);
        self.spans.lock().expect("lock").extend(spans.map(|span| span.name));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Collector {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        let scopes = request.into_inner().resource_metrics.into_iter().flat_map(|r| r.scope_metrics);
        self.metrics.lock().expect("lock").extend(scopes.flat_map(|s| s.metrics).map(|m| m.name));
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_and_metrics_reach_a_collector_and_prometheus() {
    let collector = Collector::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let address = listener.local_addr().expect("address");
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(collector.clone()))
        .add_service(MetricsServiceServer::new(collector.clone()))
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
    tokio::spawn(server);

    let config = TelemetryConfig {
        otlp_endpoint: Some(format!("http://{address}")),
        sample_ratio: 1.0,
        log_format: LogFormat::Off,
        keep_spans: 10,
        ..TelemetryConfig::default()
    };
    let telemetry = start(&config, "test").expect("telemetry");
    let spans = telemetry.spans().cloned().expect("kept spans");
    let meter = telemetry.meter("test");
    meter.u64_counter("copydesk.test.calls").build().add(3, &[]);
    let trace_id = tracing::info_span!(target: "copydesk_test", "copydesk.test.span")
        .in_scope(|| copydesk_rpc::current_trace_id().expect("a trace"));
    let shown = prometheus_text(&telemetry.registry());
    assert!(shown.contains("copydesk_test_calls_total") && shown.contains(" 3"), "{shown}");
    telemetry.shutdown().await;

    assert_eq!(*collector.spans.lock().expect("lock"), ["copydesk.test.span"]);
    assert!(collector.metrics.lock().expect("lock").iter().any(|name| name == "copydesk.test.calls"));
    assert_eq!(spans.trace(&trace_id).len(), 1, "and it is kept in memory as well");
}

fn prometheus_text(registry: &prometheus::Registry) -> String {
    prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("text")
}

/// A process of its own would be needed for another subscriber; the exporter's end is what must not wait.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_without_a_collector_ends_within_its_limit() {
    use opentelemetry::trace::{Tracer, TracerProvider};
    use opentelemetry_otlp::{SpanExporter, WithExportConfig};
    // Bound and not listening: the port is ours, and connecting to it is refused.
    let socket = tokio::net::TcpSocket::new_v4().expect("socket");
    socket.bind("127.0.0.1:0".parse().expect("address")).expect("port");
    let address = socket.local_addr().expect("address");
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(format!("http://{address}"))
        .build()
        .expect("exporter");
    let provider =
        opentelemetry_sdk::trace::SdkTracerProvider::builder().with_batch_exporter(exporter).build();
    provider.tracer("test").start("span");
    let began = Instant::now();
    let ended = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(Duration::from_secs(1)));
    let _ = ended.await.expect("joined");
    assert!(began.elapsed() < Duration::from_secs(4), "took {:?}", began.elapsed());
}
