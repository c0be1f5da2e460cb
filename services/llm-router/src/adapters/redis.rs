//! A connection to Redis that fails fast.
//!
//! One connection carries all questions. Whoever finds none opens one; a server that fails or is slow is then left alone
//! for a while, in which questions fail without waiting. Redis' own reconnecting connection makes questions wait for its
//! retries, so it is not used. It is one server, not a cluster: a batch would span its slots.
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use copydesk_types::Secret;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, Client, ErrorKind, FromRedisValue, Pipeline, RedisError, ServerErrorKind,
};
use tokio::time::{Instant, timeout};

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

/// The address is not one that can be used here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be redis://[user:password@]host[:port][/database]")]
pub struct BadUrl;

/// A connection to one server.
pub(crate) struct Redis {
    client: Client,
    link: Mutex<Link>,
    /// Held by the one who connects.
    connecting: tokio::sync::Mutex<()>,
    patience: Patience,
    /// What a failure means, for the log.
    meaning: &'static str,
    warned: Mutex<Option<Instant>>,
}

enum Link {
    Closed,
    Open(MultiplexedConnection),
    Resting(Instant),
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
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
    /// True when the server does not know a script: it is to be told.
    pub(crate) fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Command(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }

    /// Whether the connection is of no use any more. An error that the server itself sends is an answer in time.
    fn breaks_link(&self) -> bool {
        match self {
            Self::Resting => false,
            Self::TooSlow | Self::Connect(_) => true,
            Self::Command(error) => error.is_io_error() || error.is_unrecoverable_error(),
        }
    }

    /// What a rest has for a cause was told when it began.
    fn is_news(&self) -> bool {
        !matches!(self, Self::Resting) && !self.is_unknown_script()
    }
}

/// Reads an address. TLS is not built in.
fn parse(url: &Secret) -> Result<Client, BadUrl> {
    if !url.expose().starts_with("redis://") {
        return Err(BadUrl);
    }
    Client::open(url.expose()).map_err(|_| BadUrl)
}

impl Redis {
    /// A server at this address. It is connected to when it is first asked. `meaning` is what its failures mean, for the
    /// log.
    ///
    /// # Errors
    /// The address is wrong.
    pub(crate) fn new(url: &Secret, patience: Patience, meaning: &'static str) -> Result<Self, BadUrl> {
        let (link, connecting) = (Mutex::new(Link::Closed), tokio::sync::Mutex::new(()));
        Ok(Self { client: parse(url)?, link, connecting, patience, meaning, warned: Mutex::new(None) })
    }

    /// Asks. A failure is logged, at most once a minute.
    ///
    /// # Errors
    /// There is no answer in time, or it is an error.
    pub(crate) async fn ask<T: FromRedisValue>(&self, question: &Pipeline) -> Result<T, Failure> {
        let asked = timeout(self.patience.limit, async {
            let mut connection = self.connection().await?;
            question.query_async(&mut connection).await.map_err(Failure::Command)
        });
        let answer = asked.await.unwrap_or(Err(Failure::TooSlow));
        if let Err(failure) = &answer {
            if failure.breaks_link() {
                *lock(&self.link) = Link::Resting(Instant::now() + self.patience.rest);
            }
            if failure.is_news() && may_warn(&self.warned, Instant::now()) {
                tracing::warn!(why = %failure, "{}", self.meaning);
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
        *lock(&self.link) = Link::Open(opened.clone());
        Ok(opened)
    }

    /// The connection, if one is open.
    fn open(&self) -> Result<Option<MultiplexedConnection>, Failure> {
        match &*lock(&self.link) {
            Link::Open(connection) => Ok(Some(connection.clone())),
            Link::Resting(until) if Instant::now() < *until => Err(Failure::Resting),
            Link::Resting(_) | Link::Closed => Ok(None),
        }
    }
}

/// The least time between two warnings.
const QUIET: Duration = Duration::from_secs(60);

fn may_warn(warned: &Mutex<Option<Instant>>, now: Instant) -> bool {
    let mut warned = lock(warned);
    let quiet = warned.is_some_and(|at| now.duration_since(at) < QUIET);
    if !quiet {
        *warned = Some(now);
    }
    !quiet
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warns_once_a_minute() {
        let (warned, start) = (Mutex::new(None), Instant::now());
        let at = |seconds| may_warn(&warned, start + Duration::from_secs(seconds));
        assert_eq!([at(0), at(1), at(59), at(60), at(61), at(200)], [true, false, false, true, false, true]);
    }
}
