//! Calls to the server: each with a limit of time, a limit of how many are under way, and again when that may help.
//!
//! The generated clients over one lazy connection, not the crate's own wrapper: that makes its own health calls, prints,
//! repeats every call once without a wait, and tells a refused connection as an internal error.

use std::error::Error as _;
use std::sync::OnceLock;
use std::time::Duration;

use copydesk_rpc::CallContext;
use qdrant_client::qdrant::collections_client::CollectionsClient;
use qdrant_client::qdrant::points_client::PointsClient;
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Response, Status};

use crate::config::QdrantConfig;
use crate::ports::IndexError;

/// The most bytes of one answer: five thousand vectors of 4,096 values and their words.
const LARGEST_ANSWER: usize = 128 << 20;
/// The first wait between two attempts, at most.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// A connection on which nothing comes for so long is asked whether it lives.
const QUIET: Duration = Duration::from_secs(20);

type Transport = InterceptedService<Channel, Key>;

/// The clients of both services.
#[derive(Clone)]
pub(super) struct Clients {
    pub points: PointsClient<Transport>,
    pub collections: CollectionsClient<Transport>,
}

/// Puts the key into every call.
#[derive(Clone)]
pub(super) struct Key(Option<MetadataValue<Ascii>>);

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("api-key", key.clone());
        }
        Ok(request)
    }
}

/// Why a call failed, by what can be done about it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    /// Not there, busy or late: later it may go well.
    #[error("{0}: {1}")]
    Passing(&'static str, Status),
    /// The collection is not there.
    #[error("{0}: there is no such collection")]
    Missing(&'static str),
    /// The server does not know this method: it is older than the client.
    #[error("{0}: the server does not know this method")]
    Unknown(&'static str),
    /// It is there already.
    #[error("{0}: is there already")]
    Existing(&'static str),
    /// Refused, and it will be again.
    #[error("{0}: {1}")]
    Refused(&'static str, Status),
    /// What the server holds is not what we wrote.
    #[error("{0}")]
    Unfit(String),
    /// The time for it is over.
    #[error("{0} took too long")]
    Late(&'static str),
}

impl Fault {
    fn of(what: &'static str, status: Status) -> Self {
        match status.code() {
            Code::NotFound => Self::Missing(what),
            Code::Unimplemented => Self::Unknown(what),
            Code::AlreadyExists => Self::Existing(what),
            Code::Unavailable
            | Code::ResourceExhausted
            | Code::DeadlineExceeded
            | Code::Aborted
            | Code::Cancelled
            | Code::Unknown => Self::Passing(what, status),
            // The transport's own errors have a source; the server's have none.
            Code::Internal if status.source().is_some() => Self::Passing(what, status),
            _ => Self::Refused(what, status),
        }
    }
}

impl From<Fault> for IndexError {
    fn from(fault: Fault) -> Self {
        let text = fault.to_string();
        match fault {
            Fault::Passing(..) | Fault::Late(_) | Fault::Missing(_) => Self::Unavailable(text),
            Fault::Unknown(_) | Fault::Existing(_) | Fault::Refused(..) | Fault::Unfit(_) => {
                Self::Unfit(text)
            }
        }
    }
}

/// What a call does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The way to a server.
pub(super) struct Link {
    config: QdrantConfig,
    clients: OnceLock<Result<Clients, String>>,
    reads: Semaphore,
    writes: Semaphore,
}

impl Link {
    pub(super) fn new(config: QdrantConfig) -> Self {
        let reads = Semaphore::new(config.reads_at_once as usize);
        let writes = Semaphore::new(config.writes_at_once as usize);
        Self { config, clients: OnceLock::new(), reads, writes }
    }

    pub(super) fn config(&self) -> &QdrantConfig {
        &self.config
    }

    fn clients(&self) -> Result<Clients, Fault> {
        let clients = self.clients.get_or_init(|| clients(&self.config));
        clients.clone().map_err(|fault| Fault::Unfit(format!("no way to the server: {fault}")))
    }

    /// Makes a call, and again when its failure may pass, as often as is configured and as long as there is time.
    pub(super) async fn call<T, F>(
        &self,
        what: &'static str,
        access: Access,
        mut make: impl FnMut(Clients) -> F,
    ) -> Result<T, Fault>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let (places, most) = match access {
            Access::Read => (&self.reads, self.config.search_timeout_ms),
            Access::Write => (&self.writes, self.config.write_timeout_ms),
        };
        let most = Duration::from_millis(most);
        let mut attempt = 1;
        loop {
            let place = tokio::time::timeout(most, places.acquire()).await;
            let Ok(Ok(_place)) = place else { return Err(Fault::Late(what)) };
            let clients = self.clients()?;
            // In a box, as everything large on the way: a call's future is passed through many hands.
            let fault = match tokio::time::timeout(most, Box::pin(make(clients))).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => Fault::of(what, status),
                Err(_) => Fault::Late(what),
            };
            let passing = matches!(fault, Fault::Passing(..) | Fault::Late(_));
            if !passing || attempt >= self.config.attempts {
                return Err(fault);
            }
            let wait = self.wait(attempt, &fault);
            tracing::debug!(
                what,
                attempt,
                wait_ms = wait.as_millis() as u64,
                "the index server is asked again"
            );
            drop(_place);
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// A random time up to one that doubles, so that many do not come again together; no less than the server asks for.
    fn wait(&self, attempt: u32, fault: &Fault) -> Duration {
        let longest = Duration::from_millis(self.config.longest_wait_ms);
        let most = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(longest);
        let random = most.mul_f64(fastrand::f64());
        let asked = if let Fault::Passing(_, status) = fault { retry_after(status) } else { None };
        asked.map_or(random, |asked| (asked + random).min(longest))
    }
}

/// What a server that limits rates says, in seconds.
fn retry_after(status: &Status) -> Option<Duration> {
    let seconds: u64 = status.metadata().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds.min(60)))
}

fn clients(config: &QdrantConfig) -> Result<Clients, String> {
    let endpoint = Endpoint::from_shared(config.url.clone()).map_err(|error| error.to_string())?;
    let endpoint = endpoint
        .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
        .tcp_nodelay(true)
        .http2_keep_alive_interval(QUIET)
        .keep_alive_while_idle(true);
    let endpoint = if config.url.starts_with("https://") {
        let tls = ClientTlsConfig::new().with_native_roots();
        endpoint.tls_config(tls).map_err(|error| error.to_string())?
    } else {
        endpoint
    };
    let key = match &config.api_key {
        Some(key) => {
            let value = key.expose().parse::<MetadataValue<Ascii>>();
            let mut value = value.map_err(|_| "the key holds characters that no header takes".to_owned())?;
            value.set_sensitive(true);
            Some(value)
        }
        None => None,
    };
    let channel = endpoint.connect_lazy();
    let transport = || InterceptedService::new(channel.clone(), Key(key.clone()));
    Ok(Clients {
        points: PointsClient::new(transport()).max_decoding_message_size(LARGEST_ANSWER),
        collections: CollectionsClient::new(transport()),
    })
}

/// Does work of a search within four fifths of what is left of the call's deadline, so that there is time to say that it
/// failed.
pub(super) async fn in_time<T>(
    what: &'static str,
    work: impl Future<Output = Result<T, IndexError>>,
) -> Result<T, IndexError> {
    let Some(deadline) = CallContext::current().deadline() else { return work.await };
    let time = deadline.saturating_duration_since(Instant::now()) * 4 / 5;
    match tokio::time::timeout(time, work).await {
        Ok(done) => done,
        Err(_) => Err(Fault::Late(what).into()),
    }
}
