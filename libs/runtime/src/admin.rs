//! The admin port: metrics and health over HTTP/1.1, for Prometheus, probes and people.
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::{Encoder, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::Health;

/// Out of file descriptors, most likely: without a pause the loop would eat a core.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const HEADER_LIMIT: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Admin {
    registry: prometheus::Registry,
    health: Health,
}

/// Serves `/metrics`, `/health/live` and `/health/ready` until `stop`.
pub async fn serve(
    listener: TcpListener,
    registry: prometheus::Registry,
    health: Health,
    stop: CancellationToken,
) {
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(|| async { "alive\n" }))
        .route("/health/ready", get(ready))
        .with_state(Admin { registry, health });
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_LIMIT)
            .serve_connection(TokioIo::new(stream), service);
        let stop = stop.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                ended = connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "admin connection ended");
                    }
                }
            }
        });
    }
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = Vec::new();
    let encoder = TextEncoder::new();
    match encoder.encode(&admin.registry.gather(), &mut text) {
        Ok(()) => ([(CONTENT_TYPE, encoder.format_type().to_owned())], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

async fn ready(State(admin): State<Admin>) -> Response {
    match admin.health.check().await {
        Ok(()) => "ready\n".into_response(),
        Err(faults) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", faults.join("\n"))).into_response()
        }
    }
}
