//! Sending spans to a collector that may not be there: the first failure is said once, the first success after it too.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// An exporter that tells the log when the collector goes and when it comes back, and nothing in between.
#[derive(Debug)]
pub(crate) struct SayOnce<E> {
    inner: E,
    gone: AtomicBool,
}

impl<E> SayOnce<E> {
    pub(crate) fn new(inner: E) -> Self {
        Self { inner, gone: AtomicBool::new(false) }
    }
}

impl<E: SpanExporter> SpanExporter for SayOnce<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let result = self.inner.export(batch).await;
        let was_gone = self.gone.swap(result.is_err(), Ordering::Relaxed);
        match (&result, was_gone) {
            (Err(error), false) => {
                tracing::warn!(%error, "the collector does not take spans; they are dropped until it does");
            }
            (Ok(()), true) => tracing::info!("the collector takes spans again"),
            _ => {}
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry_sdk::error::OTelSdkError;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

    /// Refuses the first `failures` batches.
    #[derive(Debug)]
    struct Scripted(Mutex<usize>);

    impl SpanExporter for Scripted {
        async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
            let mut left = self.0.lock().expect("lock");
            if *left == 0 {
                return Ok(());
            }
            *left -= 1;
            Err(OTelSdkError::InternalFailure("no collector".to_owned()))
        }
    }

    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<tracing::Level>>>);

    impl<S: tracing::Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            self.0.lock().expect("lock").push(*event.metadata().level());
        }
    }

    #[test]
    fn an_absent_collector_is_said_once_and_its_return_once() {
        let heard = Heard::default();
        let subscriber = tracing_subscriber::registry().with(heard.clone());
        tracing::subscriber::with_default(subscriber, || {
            let exporter = SayOnce::new(Scripted(Mutex::new(5)));
            let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
            for batch in 0..8 {
                let sent = runtime.block_on(exporter.export(Vec::new()));
                assert_eq!(sent.is_ok(), batch >= 5);
            }
        });
        assert_eq!(*heard.0.lock().expect("lock"), [tracing::Level::WARN, tracing::Level::INFO]);
    }
}
