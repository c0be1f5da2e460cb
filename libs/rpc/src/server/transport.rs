//! HTTP/2 (and HTTP/1.1 for what comes in front of it) on a listener, with limits, and a drain that ends.
//!
//! Served by hyper directly: tonic's own server answers `grpc-timeout` itself, with the wrong code, and its drain never
//! returns while a stream lives.
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::ServiceBuilder;

use crate::HttpService;

const MAX_CONNECTIONS: usize = 16_384;
const MIN_CONNECTIONS: usize = 64;
/// Open files that are left for databases, peers and logs.
const OWN_FILES: usize = 256;
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_STREAMS: u32 = 1_024;
/// A burst of cancelled calls must not look like an attack: the default of 20 kills the connection of a busy peer.
const MAX_PENDING_RESETS: usize = 1_024;
const MAX_HEADER_BYTES: u32 = 32 << 10;
const CONNECTION_WINDOW: u32 = 64 << 20;
const STREAM_WINDOW: u32 = 1 << 20;
/// What an HTTP/2 client sends first (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a new connection may take to say what it speaks.
const FIRST_WORDS: Duration = Duration::from_secs(10);
const PREFACE_PAUSE: Duration = Duration::from_millis(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener is served.
#[derive(Debug, Clone, Copy)]
pub struct TransportOptions {
    /// The most connections at a time; more wait in the backlog.
    pub max_connections: usize,
    /// After shutdown begins, calls in flight get this long before they are cut.
    pub drain: Duration,
}

impl Default for TransportOptions {
    /// As many connections as the process may have open files, less what it needs itself; ten seconds to drain.
    fn default() -> Self {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
        Self { max_connections: most_connections(open_files(&limits)), drain: Duration::from_secs(10) }
    }
}

/// The soft limit of open files in the text of `/proc/self/limits`; `None` when there is none.
fn open_files(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn most_connections(open_files: Option<usize>) -> usize {
    open_files.map_or(MAX_CONNECTIONS, |files| {
        files.saturating_sub(OWN_FILES).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
    })
}

/// Serves until `shutdown` is cancelled, then drains: no new connections, GOAWAY, calls in flight to their end or to the
/// limit. Returns when every connection is closed.
pub async fn listen(
    listener: TcpListener,
    service: HttpService,
    options: TransportOptions,
    shutdown: CancellationToken,
) {
    let service = TowerToHyperService::new(
        ServiceBuilder::new()
            .map_request(|request: http::Request<hyper::body::Incoming>| request.map(Body::new))
            .service(service),
    );
    let builder = Arc::new(builder());
    let permits = Arc::new(Semaphore::new(options.max_connections));
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &permits) => accepted,
        };
        let Some((stream, permit)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let (builder, service, watcher) = (builder.clone(), service.clone(), graceful.watcher());
        let closing = shutdown.clone();
        connections.spawn(async move {
            // Nothing below limits a client that never says which HTTP it speaks, and such clients hold permits.
            let speaks = tokio::time::timeout(FIRST_WORDS, speaks(&stream));
            let spoke = tokio::select! {
                () = closing.cancelled() => false,
                spoke = speaks => spoke.unwrap_or(false),
            };
            if !spoke {
                return;
            }
            let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "connection ended");
            }
            drop(permit);
        });
    }
    drop(listener);
    if tokio::time::timeout(options.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!(open = connections.len(), "drain limit reached, closing connections");
    }
    connections.shutdown().await;
}

/// Waits until the client has sent enough to tell HTTP/2 from HTTP/1; false when it went away before.
async fn speaks(stream: &TcpStream) -> bool {
    let mut head = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut head).await {
            Ok(0) | Err(_) => return false,
            Ok(n) if n == PREFACE.len() || head[..n] != PREFACE[..n] => return true,
            // A part of the preface; what is there already would be seen again at once.
            Ok(_) => tokio::time::sleep(PREFACE_PAUSE).await,
        }
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = permits.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Without it a small frame waits for the peer's delayed acknowledgement: 40 ms on every first token.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "no TCP_NODELAY");
            }
            Some((stream, permit))
        }
        Err(error) => {
            // Out of file descriptors, most likely: a pause, or this loop would eat a core.
            tracing::warn!(%error, "cannot accept connections");
            None
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW);
    builder
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tonic::service::Routes;
    use tower::util::BoxCloneSyncService;

    #[test]
    fn connections_leave_room_among_the_open_files() {
        let table = |soft: &str| {
            format!(
                "Limit                     Soft Limit           Hard Limit           Units     \n\
                 Max cpu time              7                    unlimited            seconds   \n\
                 Max open files            {soft}                 524288               files     \n\
                 Max file locks            9                    unlimited            locks     \n"
            )
        };
        for (text, files, connections) in [
            (table("1024"), Some(1024), 768),
            (table("1048576"), Some(1_048_576), 16_384),
            (table("300"), Some(300), 64),
            (table("0"), Some(0), 64),
            (table("unlimited"), None, 16_384),
            ("Max open files".to_owned(), None, 16_384),
            (String::new(), None, 16_384),
        ] {
            let read = open_files(&text);
            assert_eq!((read, most_connections(read)), (files, connections), "{text}");
        }
    }

    /// The clock stands still but for timers, so that ten seconds take none.
    #[tokio::test(start_paused = true)]
    async fn a_connection_that_never_says_what_it_speaks_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("port");
        let address = listener.local_addr().expect("address");
        let (service, stop) =
            (BoxCloneSyncService::new(Routes::default().prepare()), CancellationToken::new());
        let served = tokio::spawn(listen(listener, service, TransportOptions::default(), stop.clone()));
        for words in [&b""[..], b"PRI * HT"] {
            let mut client = TcpStream::connect(address).await.expect("connected");
            client.write_all(words).await.expect("written");
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest).await;
            assert!(rest.is_empty(), "{rest:?}");
        }
        stop.cancel();
        served.await.expect("it ends");
    }
}
