//! How a log line looks: for people or as JSON, either way with the ids of its trace and span.
use std::fmt;
use std::io::Write;
use std::sync::OnceLock;

use opentelemetry::trace::TraceContextExt;
use serde_json::{Map, Value};
use tracing::dispatcher::WeakDispatch;
use tracing::field::{Field, Visit};
use tracing::{Dispatch, Event, Level, Subscriber};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// What a line looks like.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    /// One JSON object a line, for collectors.
    Json,
    /// Time, level, text and fields, for people.
    Pretty { colours: bool },
}

/// Writes events as lines. A layer of our own, because only a layer is told the dispatcher that knows the trace.
pub(crate) struct Lines<W> {
    style: Style,
    writer: W,
    dispatch: OnceLock<WeakDispatch>,
}

impl<W> Lines<W> {
    pub(crate) fn new(style: Style, writer: W) -> Self {
        Self { style, writer, dispatch: OnceLock::new() }
    }

    /// The ids of the span in which the event happened.
    fn ids<S>(&self, context: &Context<'_, S>, event: &Event<'_>) -> Option<(String, String)>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let span = context.event_span(event)?;
        let dispatch = self.dispatch.get()?.upgrade()?;
        let found = get_otel_context(&span.id(), &dispatch)?;
        let span = found.span();
        let ids = span.span_context();
        ids.is_valid().then(|| (ids.trace_id().to_string(), ids.span_id().to_string()))
    }
}

impl<S, W> Layer<S> for Lines<W>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + 'static,
{
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        let _ = self.dispatch.set(dispatch.downgrade());
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Map::new();
        event.record(&mut Fields(&mut fields));
        let ids = self.ids(&context, event);
        let line = match self.style {
            Style::Json => json(event, fields, ids),
            Style::Pretty { colours } => pretty(event, fields, ids, colours),
        };
        // One write, so that lines of several threads do not mix. A log that cannot be written has nowhere to say so.
        let _ = self.writer.make_writer().write_all(line.as_bytes());
    }
}

fn json(event: &Event<'_>, fields: Map<String, Value>, ids: Option<(String, String)>) -> String {
    let mut line = Map::new();
    line.insert("timestamp".to_owned(), now().into());
    line.insert("level".to_owned(), event.metadata().level().as_str().into());
    line.insert("target".to_owned(), event.metadata().target().into());
    line.extend(fields);
    if let Some((trace, span)) = ids {
        line.insert("trace_id".to_owned(), trace.into());
        line.insert("span_id".to_owned(), span.into());
    }
    format!("{}\n", Value::Object(line))
}

fn pretty(
    event: &Event<'_>,
    mut fields: Map<String, Value>,
    ids: Option<(String, String)>,
    colours: bool,
) -> String {
    let text = fields.remove("message").map(|text| plain(&text)).unwrap_or_default();
    let mut line = format!("{} {} {text}", now(), level(event.metadata().level(), colours));
    for (name, value) in &fields {
        line.push_str(&format!(" {name}={}", plain(value)));
    }
    if let Some((trace, _)) = ids {
        line.push_str(&format!(" trace={trace}"));
    }
    line.push('\n');
    line
}

fn now() -> String {
    let mut text = String::new();
    let _ = SystemTime.format_time(&mut Writer::new(&mut text));
    text
}

fn level(level: &Level, colours: bool) -> String {
    let colour = match *level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        _ => 34,
    };
    if colours { format!("\x1b[{colour}m{level:>5}\x1b[0m") } else { format!("{level:>5}") }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name().to_owned(), format!("{value:?}").into());
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().to_owned(), value.into());
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::SubscriberExt;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().expect("lock").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Page {
        type Writer = Page;
        fn make_writer(&'a self) -> Page {
            self.clone()
        }
    }

    #[test]
    fn both_forms_name_the_trace() {
        let (json, pretty) = (Page::default(), Page::default());
        let provider = SdkTracerProvider::builder().build();
        let subscriber = tracing_subscriber::registry()
            .with(tracing_opentelemetry::layer().with_tracer(provider.tracer("test")))
            .with(Lines::new(Style::Json, json.clone()))
            .with(Lines::new(Style::Pretty { colours: false }, pretty.clone()));
        let trace = tracing::subscriber::with_default(subscriber, || {
            tracing::info_span!("outer").in_scope(|| {
                tracing::warn!(calls = 3, peer = "retrieval", "line \"one\"\nstill it");
                copydesk_rpc::current_trace_id().expect("a trace")
            })
        });
        let read = |page: &Page| String::from_utf8(page.0.lock().expect("lock").clone()).expect("text");
        let line: Value = serde_json::from_str(&read(&json)).expect("one JSON line");
        assert_eq!(line["trace_id"], trace.as_str());
        assert_eq!(
            (&line["calls"], &line["peer"], &line["level"]),
            (&3.into(), &"retrieval".into(), &"WARN".into())
        );
        assert_eq!(line["message"], "line \"one\"\nstill it");
        let shown = read(&pretty);
        assert!(
            shown.contains("WARN line")
                && shown.contains("calls=3")
                && shown.contains(&format!("trace={trace}")),
            "{shown}"
        );
    }
}
