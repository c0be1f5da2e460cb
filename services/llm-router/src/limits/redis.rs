//! The limits in Redis, shared by all replicas. One script takes a place, so that nobody comes in between; everything
//! expires by itself. Redis' own time counts, version 5 or newer.
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use copydesk_types::Secret;
use redis::{FromRedisValue, Pipeline, pipe};

use super::{Ask, BadUrl, News, Patience, PlaceId, SharedLimits, Taken, Unreachable};
use crate::adapters::Redis;
use crate::ports::Clock;

/// The most news in one question.
const BATCH: usize = 128;
/// The most tokens of one call: sums must be exact in a script's numbers.
const MOST_TOKENS: u64 = 1 << 40;

/// Counts places in Redis.
pub struct RedisLimits {
    server: Redis,
    hashes: OnceLock<Hashes>,
    clock: Option<Arc<dyn Clock>>,
}

/// By which the server knows the scripts.
struct Hashes {
    take: String,
    correct: String,
    give_back: String,
    renew: String,
}

/// Where a provider's places are. The braces keep them together in a cluster's eyes.
struct Keys {
    calls: String,
    sizes: String,
    held: String,
    line: String,
    looks: String,
}

impl Keys {
    fn of(provider: &str) -> Self {
        let key = |name: &str| format!("{{copydesk:llm:limits:{provider}}}:{name}");
        Self {
            calls: key("calls"),
            sizes: key("tokens"),
            held: key("held"),
            line: key("line"),
            looks: key("looks"),
        }
    }

    fn all(&self) -> [&String; 5] {
        [&self.calls, &self.sizes, &self.held, &self.line, &self.looks]
    }
}

impl RedisLimits {
    /// Limits at this address. It connects when it is first asked.
    ///
    /// # Errors
    /// The address is wrong.
    pub fn new(url: &Secret, patience: Patience) -> Result<Self, BadUrl> {
        let meaning = "the shared limits do not answer; each replica keeps to the limits by itself";
        let server = Redis::new(url, patience, meaning)?;
        Ok(Self { server, hashes: OnceLock::new(), clock: None })
    }

    /// The same with this clock's time instead of the server's, for tests.
    #[must_use]
    pub fn timed_by(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..self }
    }

    /// In microseconds; empty: the server's own.
    fn now(&self) -> String {
        self.clock.as_ref().map(|clock| format!("{}000", clock.now_ms())).unwrap_or_default()
    }

    async fn ask<T, Q>(&self, question: Q) -> Result<T, Unreachable>
    where
        T: FromRedisValue,
        Q: Fn(&Hashes) -> Pipeline + Send + Sync,
    {
        if let Some(hashes) = self.hashes.get() {
            match self.server.ask(&question(hashes)).await {
                // The server was started anew.
                Err(failure) if failure.is_unknown_script() => {}
                answer => return answer.map_err(|_| Unreachable),
            }
        }
        let hashes = self.load().await?;
        self.server.ask(&question(hashes)).await.map_err(|_| Unreachable)
    }

    /// Tells the server the scripts.
    async fn load(&self) -> Result<&Hashes, Unreachable> {
        let mut question = pipe();
        question.cmd("SCRIPT").arg("LOAD").arg(include_str!("scripts/take.lua"));
        question.cmd("SCRIPT").arg("LOAD").arg(include_str!("scripts/correct.lua"));
        question.cmd("SCRIPT").arg("LOAD").arg(include_str!("scripts/give_back.lua"));
        question.cmd("SCRIPT").arg("LOAD").arg(include_str!("scripts/renew.lua"));
        let (take, correct, give_back, renew) = self.server.ask(&question).await.map_err(|_| Unreachable)?;
        Ok(self.hashes.get_or_init(|| Hashes { take, correct, give_back, renew }))
    }
}

#[async_trait]
impl SharedLimits for RedisLimits {
    async fn take(&self, provider: &str, place: PlaceId, ask: &Ask) -> Result<Taken, Unreachable> {
        let (keys, now) = (Keys::of(provider), self.now());
        let question = |hashes: &Hashes| {
            let mut question = pipe();
            let take =
                question.cmd("EVALSHA").arg(&hashes.take).arg(5).arg(&keys.all()).arg(place.to_string());
            take.arg(ask.rates.requests).arg(ask.rates.tokens).arg(ask.concurrency);
            take.arg(ask.tokens.min(MOST_TOKENS)).arg(micros(ask.lease)).arg(&now);
            take.arg(ask.waits.map_or(0, micros));
            question
        };
        let ((taken, wait, crowded),): ((bool, u64, bool),) = self.ask(question).await?;
        let wait = Duration::from_micros(wait);
        Ok(if taken { Taken::Yes } else { Taken::No { wait, crowded } })
    }

    async fn settle(&self, provider: &str, news: &[News]) -> Result<(), Unreachable> {
        let keys = Keys::of(provider);
        for batch in news.chunks(BATCH) {
            let question = |hashes: &Hashes| {
                let mut question = pipe();
                batch.iter().for_each(|news| tell(&mut question, *news, &keys, hashes));
                question
            };
            self.ask::<(), _>(question).await?;
        }
        Ok(())
    }

    async fn renew(&self, provider: &str, places: &[PlaceId], lease: Duration) -> Result<(), Unreachable> {
        let (keys, now) = (Keys::of(provider), self.now());
        for batch in places.chunks(BATCH) {
            let question = |hashes: &Hashes| {
                let mut question = pipe();
                let renew = question.cmd("EVALSHA").arg(&hashes.renew).arg(1).arg(&keys.held);
                renew.arg(micros(lease)).arg(&now);
                for place in batch {
                    renew.arg(place.to_string());
                }
                renew.ignore();
                question
            };
            self.ask::<(), _>(question).await?;
        }
        Ok(())
    }
}

fn tell(question: &mut Pipeline, news: News, keys: &Keys, hashes: &Hashes) {
    match news {
        News::Corrected(place, tokens) => {
            let correct = question.cmd("EVALSHA").arg(&hashes.correct).arg(1).arg(&keys.sizes);
            correct.arg(place.to_string()).arg(tokens.min(MOST_TOKENS)).ignore();
        }
        News::Released(place) => {
            question.cmd("ZREM").arg(&keys.held).arg(place.to_string()).ignore();
        }
        News::GivenBack(place) => {
            let give_back = question.cmd("EVALSHA").arg(&hashes.give_back).arg(5);
            give_back.arg(&keys.all()).arg(place.to_string()).ignore();
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
