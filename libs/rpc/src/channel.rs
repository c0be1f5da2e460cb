//! One client type for a peer in this process and a peer on another host.
//!
//! A generated client is made over a [`Channel`] as it is: `SearchServiceClient::new(channel.clone())`. Every answer is
//! a response: broken connections, refused ones and passed deadlines arrive as a status with details, alike in both
//! topologies. The channel never retries.
use std::convert::Infallible;
use std::error::Error as StdError;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::transport::Endpoint;
use tonic::{Code, Status};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;
use tracing::Instrument;

use crate::body::{Guards, deadline_exceeded, guard, header_code};
use crate::metrics::Side;
use crate::{CallContext, Kind, RpcMetrics, ServiceError, trace};

/// The shape of everything between a client and a handler.
pub type HttpService = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(5);
/// Room for as many unread streams as a service serves without stalling the connection's other calls.
const CONNECTION_WINDOW: u32 = 64 << 20;
const STREAM_WINDOW: u32 = 256 << 10;
/// The same as a server takes; the library's default of 16 KiB would break answers that our servers may give.
const MAX_HEADER_BYTES: u32 = 32 << 10;
/// What the library adds itself, pseudo headers included.
const HEADER_RESERVE: usize = 1 << 10;
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// The way to one peer.
#[derive(Clone)]
pub struct Channel {
    peer: Arc<str>,
    target: Target,
    metrics: RpcMetrics,
}

#[derive(Clone)]
enum Target {
    Local(HttpService),
    Remote(tonic::transport::Channel),
}

impl Channel {
    /// A peer in this process: `service` is what [`crate::server::stack`] made, so deadlines, identity, access and limits hold.
    pub fn local(peer: &str, service: HttpService, metrics: RpcMetrics) -> Self {
        Self { peer: peer.into(), target: Target::Local(service), metrics }
    }

    /// A peer at `uri` (`http://host:port`), connected at the first call and again after a loss.
    pub fn remote(peer: &str, uri: Uri, metrics: RpcMetrics) -> Self {
        let endpoint = Endpoint::from(uri)
            .tcp_nodelay(true)
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .http2_max_header_list_size(MAX_HEADER_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW);
        Self { peer: peer.into(), target: Target::Remote(endpoint.connect_lazy()), metrics }
    }

    async fn send(self, context: CallContext, mut request: Request<Body>) -> Response<Body> {
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let span = tracing::info_span!(
            "rpc.client",
            otel.name = %method,
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            rpc.system.name = "grpc",
            rpc.method = %method,
            rpc.response.status_code = tracing::field::Empty,
            server.address = %self.peer,
        );
        let mut record = self.metrics.begin(Side::Client, &method, span.clone());
        let answer = async {
            let deadline = prepare(&mut request, &context)?;
            trace::inject(&span, request.headers_mut());
            let call = self.target.call(request);
            let response = match deadline {
                Some(at) => tokio::time::timeout_at(at, call).await.map_err(|_| deadline_exceeded())??,
                None => call.await?,
            };
            Ok::<_, Status>((response, deadline))
        };
        match answer.instrument(span.clone()).await {
            Ok((response, deadline)) => {
                let response = read_plain(response);
                let guards = Guards {
                    deadline,
                    record: Some(record),
                    classify: Some(classify_status),
                    ..Guards::default()
                };
                guard(response, guards)
            }
            Err(status) => {
                record.end(status.code());
                status.into_http()
            }
        }
    }
}

impl Target {
    async fn call(self, request: Request<Body>) -> Result<Response<Body>, Status> {
        match self {
            Target::Local(service) => service.oneshot(request).await.map_err(|never| match never {}),
            Target::Remote(channel) => channel.oneshot(request).await.map_err(|error| classify(&error)),
        }
    }
}

/// Sets what the call carries: deadline left and identity. What the request brings itself stays, unless it is later
/// than the context's deadline.
fn prepare(request: &mut Request<Body>, context: &CallContext) -> Result<Option<Instant>, Status> {
    let now = Instant::now();
    let own = timeout_of(request.headers()).map(|left| now + left);
    let deadline = match (own, context.deadline()) {
        (Some(own), Some(outer)) => Some(own.min(outer)),
        (own, outer) => own.or(outer),
    };
    if let Some(at) = deadline {
        let left = at.saturating_duration_since(now);
        if left.is_zero() {
            return Err(deadline_exceeded());
        }
        request.headers_mut().insert("grpc-timeout", timeout_value(left));
    }
    if !request.headers().contains_key(AUTHORIZATION)
        && let Some(value) = context.authorization().map_err(Status::from)?
    {
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    // Refused here, because over the wire the server's transport refuses it before our layers can say why.
    if header_bytes(request.headers()) + HEADER_RESERVE > MAX_HEADER_BYTES as usize {
        return Err(metadata_too_large());
    }
    Ok(deadline)
}

/// The size of headers as HTTP/2 counts it.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum()
}

fn metadata_too_large() -> Status {
    ServiceError::new(Kind::ResourceExhausted, "METADATA_TOO_LARGE", "the call's metadata is over 32 KiB")
        .to_status()
}

/// An answer that is HTTP and not gRPC comes from something between us and the service.
fn read_plain(response: Response<Body>) -> Response<Body> {
    if response.status().is_success() || header_code(response.headers()).is_some() {
        return response;
    }
    match response.status() {
        StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => metadata_too_large().into_http(),
        _ => lost("NOT_GRPC", "the answer is not from a gRPC service").into_http(),
    }
}

/// The `grpc-timeout` of a request. A malformed one reads as none, as the protocol asks of servers.
pub(crate) fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3_600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// A duration in at most eight digits, rounded down: a hop must not get more time than is left.
pub(crate) fn timeout_value(left: Duration) -> HeaderValue {
    let text = match left.as_micros() {
        micros @ 0..100_000_000 => format!("{micros}u"),
        micros @ 100_000_000..100_000_000_000 => format!("{}m", micros / 1_000),
        micros => format!("{}S", (micros / 1_000_000).min(99_999_999)),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("0u"))
}

/// Reads a failed call by its causes, because the library's codes do not tell a refused connection from a lost one.
fn classify(error: &(dyn StdError + 'static)) -> Status {
    let mut cause = Some(error);
    while let Some(inner) = cause {
        if inner.is::<tonic::TimeoutExpired>() {
            return deadline_exceeded();
        }
        // Refused, no such host, no route, no answer in time: nothing was sent.
        if inner.is::<tonic::ConnectError>() {
            return lost("UNREACHABLE", "the service cannot be reached");
        }
        cause = inner.source();
    }
    cut_off()
}

/// A body that breaks carries the library's own status: CANCELLED, UNKNOWN or INTERNAL by chance of timing.
fn classify_status(status: Option<Status>) -> Status {
    let Some(status) = status else { return cut_off() };
    if status.code() == Code::DeadlineExceeded {
        return status;
    }
    match status.source() {
        Some(source) => classify(source),
        None => cut_off(),
    }
}

/// The status of a stream that ended without one: the connection was closed under it, or the stream reset.
fn cut_off() -> Status {
    lost("CONNECTION_LOST", "the connection to the service was lost")
}

fn lost(reason: &'static str, message: &'static str) -> Status {
    ServiceError::new(Kind::Unavailable, reason, message).with_retry_after(RETRY_DELAY).to_status()
}

impl tower::Service<Request<Body>> for Channel {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (channel, context) = (self.clone(), CallContext::current());
        Box::pin(async move { Ok(channel.send(context, request).await) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_round_trip_and_never_grow() {
        for left in [1, 999, 99_999_999, 100_000_001, 3_600_000_000, 90_000_000_000_000u64] {
            let left = Duration::from_micros(left);
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", timeout_value(left));
            let read = timeout_of(&headers).expect("a timeout");
            assert!(read <= left && read >= left.mul_f64(0.99), "{left:?} became {read:?}");
        }
        for bad in ["", "u", "5", "123456789u", "5x", "-5S", "+5S"] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(bad));
            assert_eq!(timeout_of(&headers), None, "{bad}");
        }
    }
}
