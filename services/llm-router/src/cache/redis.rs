//! The cache in Redis, shared by all replicas.
//!
//! One connection carries all calls. Whoever finds none opens one; a server that fails or is slow is then left alone
//! for a while, in which calls are misses without waiting. Redis' own reconnecting connection makes calls wait for its
//! retries, so it is not used. It is one server, not a cluster: a batch would span its slots.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use copydesk_types::{Secret, TenantId};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, FromRedisValue, Pipeline, RedisError, pipe};
use tokio::time::{Instant, timeout};

use super::watch::Watch;
use super::{Cache, Unreachable, kept};
use crate::domain::CacheKey;
use crate::metrics::Metrics;

/// How long a server is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// The longest wait for one question, connecting included.
    pub limit: Duration,
    /// How long a server that failed is left alone.
    pub rest: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { limit: Duration::from_millis(50), rest: Duration::from_secs(3) }
    }
}

/// The most keys in one question.
const BATCH_KEYS: usize = 128;
/// From here on a batch of writes is sent, in bytes.
const BATCH_BYTES: usize = 1 << 20;
/// The keys that Redis looks at in one step of a scan.
const SCAN_KEYS: u32 = 1_000;

/// Keeps values in Redis.
pub struct RedisCache {
    client: Client,
    link: Mutex<Link>,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<()>,
    patience: Patience,
    watch: Watch,
}

enum Link {
    Closed,
    Open(MultiplexedConnection),
    Resting(Instant),
}

/// The address is not one that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be redis://[user:password@]host[:port][/database]")]
pub struct BadUrl;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("it failed a moment ago")]
    Resting,
    #[error("no answer in time")]
    TooSlow,
    #[error("no connection: {}", words(.0))]
    Connect(RedisError),
    #[error("{}", words(.0))]
    Command(RedisError),
}

/// An error without the server's own text, which may quote what it was given.
fn words(error: &RedisError) -> String {
    match error.code() {
        Some(code) => format!("{}, {code}", error.category()),
        None => error.category().to_owned(),
    }
}

impl Failure {
    /// Whether the connection is of no use any more. An error that the server itself sends is an answer in time.
    fn breaks_link(&self) -> bool {
        match self {
            Failure::Resting => false,
            Failure::TooSlow | Failure::Connect(_) => true,
            Failure::Command(error) => error.is_io_error() || error.is_unrecoverable_error(),
        }
    }
}

/// Reads an address. TLS is not built in.
pub(super) fn parse(url: &Secret) -> Result<Client, BadUrl> {
    if !url.expose().starts_with("redis://") {
        return Err(BadUrl);
    }
    Client::open(url.expose()).map_err(|_| BadUrl)
}

impl RedisCache {
    /// A cache at this address. It connects when it is first asked.
    ///
    /// # Errors
    /// The address is wrong.
    pub fn new(url: &Secret, patience: Patience, metrics: Metrics) -> Result<Self, BadUrl> {
        let (link, connecting) = (Mutex::new(Link::Closed), tokio::sync::Mutex::new(()));
        Ok(Self { client: parse(url)?, link, connecting, patience, watch: Watch::new(metrics) })
    }

    async fn ask<T: FromRedisValue>(&self, question: &Pipeline) -> Result<T, Failure> {
        let asked = timeout(self.patience.limit, async {
            let mut connection = self.connection().await?;
            question.query_async(&mut connection).await.map_err(Failure::Command)
        });
        let answer = asked.await.unwrap_or(Err(Failure::TooSlow));
        if let Err(failure) = &answer {
            if failure.breaks_link() {
                *self.link() = Link::Resting(Instant::now() + self.patience.rest);
            }
            // What a rest has for a cause was told when it began.
            if !matches!(failure, Failure::Resting) {
                self.watch.warn(&failure.to_string());
            }
        }
        answer
    }

    async fn connection(&self) -> Result<MultiplexedConnection, Failure> {
        if let Some(open) = self.open()? {
            return Ok(open);
        }
        let _one = self.connecting.lock().await;
        if let Some(open) = self.open()? {
            return Ok(open);
        }
        // `ask` limits the time of everything.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let opened = self.client.get_multiplexed_async_connection_with_config(&config).await;
        let opened = opened.map_err(Failure::Connect)?;
        *self.link() = Link::Open(opened.clone());
        Ok(opened)
    }

    /// The connection, if one is open.
    fn open(&self) -> Result<Option<MultiplexedConnection>, Failure> {
        match &*self.link() {
            Link::Open(connection) => Ok(Some(connection.clone())),
            Link::Resting(until) if Instant::now() < *until => Err(Failure::Resting),
            Link::Resting(_) | Link::Closed => Ok(None),
        }
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get_many(&self, keys: &[CacheKey]) -> Vec<Option<Bytes>> {
        let mut all = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH_KEYS) {
            let names: Vec<String> = batch.iter().map(CacheKey::to_string).collect();
            match self.ask::<(Vec<Option<Bytes>>,)>(pipe().cmd("MGET").arg(names)).await {
                Ok((found,)) if found.len() == batch.len() => {
                    self.watch.looked_up(batch, &found);
                    all.extend(found);
                }
                Ok(_) | Err(_) => {
                    self.watch.failed(batch);
                    all.resize(all.len() + batch.len(), None);
                }
            }
        }
        all
    }

    async fn put_many(&self, entries: Vec<(CacheKey, Bytes)>, ttl: Duration) {
        let mut rest = entries.into_iter().filter(|(_, value)| kept(value, ttl)).peekable();
        let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        while rest.peek().is_some() {
            let (mut question, mut keys, mut bytes) = (pipe(), Vec::new(), 0);
            while bytes < BATCH_BYTES && keys.len() < BATCH_KEYS {
                let Some((key, value)) = rest.next() else { break };
                question.cmd("SET").arg(key.to_string()).arg(&value[..]).arg("PX").arg(ttl_ms).ignore();
                bytes += value.len();
                keys.push(key);
            }
            if self.ask::<()>(&question).await.is_err() {
                self.watch.failed(&keys);
            }
        }
    }

    async fn forget_tenant(&self, tenant: TenantId) -> Result<(), Unreachable> {
        let pattern = format!("{}*", CacheKey::prefix(tenant));
        let mut cursor = 0_u64;
        loop {
            let mut step = pipe();
            step.cmd("SCAN").arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCAN_KEYS);
            let ((next, names),): ((u64, Vec<String>),) = self.ask(&step).await.map_err(|_| Unreachable)?;
            if !names.is_empty() {
                self.ask::<()>(pipe().cmd("UNLINK").arg(names).ignore()).await.map_err(|_| Unreachable)?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}
