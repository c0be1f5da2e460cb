//! Logs, traces and metrics of the process.
//!
//! Without an OTLP endpoint there is no exporter, and nothing is sent or queued. With one, an absent collector costs
//! dropped spans and one line in the log, never a call.
use std::io::IsTerminal;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Meter, MeterProvider};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::{Level, Subscriber};
use tracing_subscriber::filter::{FilterExt, LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::export::SayOnce;
use crate::logs::{Lines, Style};
use crate::spans::SpanStore;

const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
const METRICS_EVERY: Duration = Duration::from_secs(15);
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(1);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Pretty,
    /// One JSON object a line.
    Json,
    /// None at all.
    Off,
}

/// `telemetry` in the configuration.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelemetryConfig {
    /// Log levels, as `tracing`'s filter reads them, for example `info,copydesk_rpc=debug`.
    pub log_filter: String,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Where spans and metrics go by OTLP over gRPC, for example `http://localhost:4317`. Absent: nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp_endpoint: Option<String>,
    /// The share of new traces that are recorded, 0 to 1, when there is an endpoint.
    pub sample_ratio: f64,
    /// Spans kept in memory for `demo`; 0 keeps none.
    pub keep_spans: usize,
}

impl Default for TelemetryConfig {
    fn default() -> Self {
        Self {
            log_filter: "info".to_owned(),
            log_format: LogFormat::Pretty,
            otlp_endpoint: None,
            sample_ratio: 0.1,
            keep_spans: 0,
        }
    }
}

impl TelemetryConfig {
    /// Every fault, as `key: what is wrong`.
    pub fn validate(&self) -> Vec<String> {
        let mut faults = Vec::new();
        if let Err(error) = self.log_filter.parse::<EnvFilter>() {
            faults.push(format!("log_filter: {error}"));
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            faults.push("sample_ratio: must be 0 to 1".to_owned());
        }
        if self.otlp_endpoint.as_deref().is_some_and(|e| e.parse::<http::Uri>().is_err()) {
            faults.push("otlp_endpoint: is no URL".to_owned());
        }
        faults
    }
}

/// Why telemetry cannot start.
#[derive(Debug, thiserror::Error)]
#[error("telemetry cannot start: {0}")]
pub struct TelemetryError(String);

/// The running telemetry of the process.
pub struct Telemetry {
    meters: SdkMeterProvider,
    tracers: SdkTracerProvider,
    registry: prometheus::Registry,
    spans: Option<SpanStore>,
}

/// Starts telemetry for the process. To be called once, inside the runtime.
///
/// # Errors
/// When an exporter cannot be made or a subscriber is set already.
pub fn start(config: &TelemetryConfig, service: &str) -> Result<Telemetry, TelemetryError> {
    let failed = |error: &dyn std::fmt::Display| TelemetryError(error.to_string());
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.namespace", "copydesk"))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let spans = (config.keep_spans > 0).then(|| SpanStore::new(config.keep_spans));

    let registry = prometheus::Registry::new();
    let reader = opentelemetry_prometheus::exporter()
        .with_registry(registry.clone())
        .build()
        .map_err(|e| failed(&e))?;
    let mut meters = SdkMeterProvider::builder().with_resource(resource.clone()).with_reader(reader);
    let mut tracers = SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler(config));
    if let Some(spans) = &spans {
        tracers = tracers.with_span_processor(spans.clone());
    }
    if let Some(endpoint) = &config.otlp_endpoint {
        let exporter =
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT);
        tracers = tracers.with_batch_exporter(SayOnce::new(exporter.build().map_err(|e| failed(&e))?));
        let exporter =
            MetricExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(EXPORT_TIMEOUT);
        let exporter = exporter.build().map_err(|e| failed(&e))?;
        meters = meters.with_reader(PeriodicReader::builder(exporter).with_interval(METRICS_EVERY).build());
    }
    let (meters, tracers) = (meters.build(), tracers.build());
    subscribe(config, &tracers)?;
    Ok(Telemetry { meters, tracers, registry, spans })
}

/// Whether spans go anywhere, be it only some of them.
fn is_recorded(config: &TelemetryConfig) -> bool {
    config.keep_spans > 0 || config.otlp_endpoint.is_some()
}

/// Whether a span is made. Where none is recorded, those around calls suffice: they bring the ids of the trace into the
/// log and to the next service.
fn is_wanted(target: &str, recorded: bool) -> bool {
    target.starts_with(if recorded { "copydesk" } else { "copydesk_rpc" })
}

fn sampler(config: &TelemetryConfig) -> Sampler {
    let ratio = match (config.keep_spans, &config.otlp_endpoint) {
        (1.., _) => 1.0,
        (0, Some(_)) => config.sample_ratio,
        // Spans still have ids, for the logs; nothing is recorded.
        (0, None) => 0.0,
    };
    Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(ratio)))
}

fn subscribe(config: &TelemetryConfig, tracers: &SdkTracerProvider) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|e| TelemetryError(e.to_string()))?;
    // The exporter's own calls must not be traced: each export would make the next one. Said with its highest level,
    // or every trace event of the transport would come here to be refused, thousands for one call.
    let recorded = is_recorded(config);
    let ours = filter_fn(move |meta| {
        *meta.level() <= Level::INFO && (meta.is_event() || is_wanted(meta.target(), recorded))
    })
    .with_max_level_hint(LevelFilter::INFO);
    let traces = tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("copydesk"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        // Nobody here asks OpenTelemetry for its current context, and setting it costs something at every poll.
        .with_context_activation(false)
        .with_filter(ours);
    // Without a highest level of its own it would take that of the other filter away.
    let wanted = filter_fn(move |meta| meta.is_event() || is_wanted(meta.target(), recorded))
        .with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(wanted);
    tracing_subscriber::registry()
        .with(traces)
        .with(log_layer(config.log_format).map(|layer| layer.with_filter(filter)))
        .try_init()
        .map_err(|e| TelemetryError(e.to_string()))
}

fn log_layer<S>(format: LogFormat) -> Option<Box<dyn Layer<S> + Send + Sync>>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let style = match format {
        LogFormat::Off => return None,
        LogFormat::Pretty => Style::Pretty { colours: std::io::stderr().is_terminal() },
        LogFormat::Json => Style::Json,
    };
    Some(Lines::new(style, std::io::stderr).boxed())
}

impl Telemetry {
    /// Where the instruments of a service are made.
    pub fn meter(&self, service: &'static str) -> Meter {
        self.meters.meter(service)
    }

    /// The spans kept in memory, when they are.
    pub fn spans(&self) -> Option<&SpanStore> {
        self.spans.as_ref()
    }

    /// What `/metrics` shows.
    pub fn registry(&self) -> prometheus::Registry {
        self.registry.clone()
    }

    /// Sends what is queued and ends, within about a second. The exporters block, so this leaves the runtime's threads.
    pub async fn shutdown(self) {
        let ended = tokio::task::spawn_blocking(move || {
            let traces = self.tracers.shutdown_with_timeout(SHUTDOWN_LIMIT);
            let metrics = self.meters.shutdown_with_timeout(SHUTDOWN_LIMIT);
            traces.and(metrics)
        });
        if let Ok(Err(error)) = ended.await {
            tracing::debug!(%error, "telemetry was not sent to its end");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_every_fault() {
        let config = TelemetryConfig {
            log_filter: "copydesk=loudly=x".to_owned(),
            sample_ratio: 2.0,
            otlp_endpoint: Some("http://[".to_owned()),
            ..TelemetryConfig::default()
        };
        let faults = config.validate();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(TelemetryConfig::default().validate().is_empty());
    }
}
