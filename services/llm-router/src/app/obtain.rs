//! Nothing is paid for twice: an answer that is there is given again, and one that is on its way is waited for.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use copydesk_types::TenantId;
use tokio::time::{Instant, sleep};

use super::Desk;
use super::flights::{Boarded, Deadline, replay};
use crate::domain::{Answer, CacheKey, CacheKind, Order, StoredAnswer};
use crate::error::Error;
use crate::ports::{Claim, EventSink, StreamEvent};

/// How long a claimed request id is another replica's without a sign of life.
const CLAIM: Duration = Duration::from_secs(15);

/// How often the sign of life is given.
const RENEWAL: Duration = Duration::from_secs(5);

/// The shortest and the longest wait before another replica's answer is looked for again.
const LOOK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));

/// Who calls, and by when the answer must be there.
#[derive(Debug, Clone)]
pub struct Visit {
    /// Whose data it is.
    pub tenant: TenantId,
    /// When the call came.
    pub arrived: Instant,
    /// When the answer must be there.
    pub deadline: Deadline,
}

impl Visit {
    /// A call that comes now and ends at `deadline`; `None`: when its caller goes.
    pub fn now(tenant: TenantId, deadline: Option<Instant>) -> Self {
        Self { tenant, arrived: Instant::now(), deadline: Deadline::at(deadline) }
    }
}

/// How the answer is made when it is not there: whole, or handed to a sink as it is written.
pub(super) type Make<Fut> = fn(Arc<Desk>, Arc<Order>, Making) -> Fut;

/// What an answer is made with.
pub(super) struct Making {
    pub(super) visit: Visit,
    /// Who hears the answer as it is written.
    pub(super) sink: Arc<dyn EventSink>,
}

/// Hears nothing.
pub(super) struct Deaf;

#[async_trait::async_trait]
impl EventSink for Deaf {
    async fn event(&self, _event: StreamEvent) -> Result<(), crate::ports::Gone> {
        Ok(())
    }
}

impl Desk {
    /// The answer to a call: the stored one, a cached one, one on its way, or a new one by `make`. What `sink` hears is
    /// the same in every case.
    pub(super) async fn obtain<Fut>(
        self: &Arc<Self>,
        visit: Visit,
        order: Arc<Order>,
        sink: Arc<dyn EventSink>,
        make: Make<Fut>,
    ) -> Result<Answer, Error>
    where
        Fut: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        if order.request_id.is_none() {
            return Arc::clone(self).by_words(visit, order, sink, make).await;
        }
        let key = (visit.tenant, order.request_id.clone().unwrap_or_default());
        let (desk, whose, task) = (Arc::clone(self), visit.clone(), Arc::clone(&order));
        let boarded = self.by_id.board(key, &order.fingerprint, &visit.deadline, |flight| {
            let visit = Visit { deadline: flight.deadline.clone(), ..whose };
            async move { desk.once(visit, task, flight, make).await }
        })?;
        match boarded {
            Boarded::First(ride) => ride.follow(sink.as_ref()).await,
            Boarded::Joined(ride) => Ok(ride.follow(sink.as_ref()).await?.replayed()),
        }
    }

    /// The answer under a request id, made at most once over all replicas.
    async fn once<Fut>(
        self: Arc<Self>,
        visit: Visit,
        order: Arc<Order>,
        flight: Arc<super::flights::Flight>,
        make: Make<Fut>,
    ) -> Result<Answer, Error>
    where
        Fut: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let request_id = order.request_id.clone().unwrap_or_default();
        let tenant = visit.tenant;
        if !self.store.claims_needed() {
            let kept = self.store.answer(tenant, &request_id, self.clock.now_ms()).await?;
            if let Some(kept) = kept {
                return replay(same_body(kept, &order)?.replayed(), flight.as_ref()).await;
            }
            let sink: Arc<dyn EventSink> = flight;
            return self.by_words(visit, order, sink, make).await;
        }
        if let Some(answer) = self.claim(tenant, &request_id, &order, &flight.deadline).await? {
            return replay(answer.replayed(), flight.as_ref()).await;
        }
        let mut claimed =
            Claimed { desk: Arc::clone(&self), tenant, request_id: request_id.clone(), open: true };
        let sink: Arc<dyn EventSink> = flight;
        let making = Arc::clone(&self).by_words(visit, order, sink, make);
        let result = tokio::select! {
            result = making => result,
            lost = claimed.keep() => Err(lost),
        };
        // Storing the answer has closed the claim.
        claimed.open = result.is_err();
        result
    }

    /// Claims a request id, or waits for the answer of whoever has it.
    async fn claim(
        &self,
        tenant: TenantId,
        request_id: &str,
        order: &Order,
        deadline: &Deadline,
    ) -> Result<Option<Answer>, Error> {
        let mut wait = LOOK.0;
        loop {
            match self
                .store
                .claim(tenant, request_id, &order.fingerprint, self.ledger.replica().run(), CLAIM)
                .await?
            {
                Claim::Mine => return Ok(None),
                Claim::Answered(kept) => return same_body(*kept, order).map(Some),
                Claim::Taken { fingerprint } if fingerprint != order.fingerprint => {
                    return Err(Error::RequestIdTaken { request_id: request_id.to_owned() });
                }
                Claim::Taken { .. } => {}
            }
            if deadline.left().is_some_and(|left| left <= wait) {
                return Err(Error::StillRunning);
            }
            sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            wait = (wait * 2).min(LOOK.1);
        }
    }

    /// The answer to these words: from the cache, from a call that says the same at this moment, or made.
    async fn by_words<Fut>(
        self: Arc<Self>,
        visit: Visit,
        order: Arc<Order>,
        sink: Arc<dyn EventSink>,
        make: Make<Fut>,
    ) -> Result<Answer, Error>
    where
        Fut: Future<Output = Result<Answer, Error>> + Send + 'static,
    {
        let Some(words) = order.words.clone().filter(|_| !self.cache_ttl().is_zero()) else {
            return make(Arc::clone(&self), order, Making { visit, sink }).await;
        };
        let key = CacheKey::new(visit.tenant, CacheKind::Answer, &[words.as_bytes()]);
        if let Some(answer) = self.cached(&key).await {
            let answer = self.keep_again(visit.tenant, &order, answer.from_cache()).await?;
            return replay(answer, sink.as_ref()).await;
        }
        let (desk, whose, task) = (Arc::clone(&self), visit.clone(), Arc::clone(&order));
        let boarded =
            self.by_words.board((visit.tenant, words), "", &visit.deadline, |flight| async move {
                let visit = Visit { deadline: flight.deadline.clone(), ..whose };
                let making = Making { visit, sink: flight };
                let answer = make(Arc::clone(&desk), task, making).await?;
                desk.cache_answer(&key, &answer).await;
                Ok(answer)
            })?;
        match boarded {
            Boarded::First(ride) => ride.follow(sink.as_ref()).await,
            Boarded::Joined(ride) => match ride.follow(sink.as_ref()).await {
                Ok(answer) => self.keep_again(visit.tenant, &order, answer.from_cache()).await,
                // The words are the same, whose money they cost is not.
                Err(Error::BudgetExhausted { .. }) if ride.is_silent() => {
                    make(Arc::clone(&self), order, Making { visit, sink }).await
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn cached(&self, key: &CacheKey) -> Option<Answer> {
        let bytes = self.cache.get(key).await?;
        serde_json::from_slice(&bytes).ok()
    }

    async fn cache_answer(&self, key: &CacheKey, answer: &Answer) {
        // What a fallback or the offline writer gave is for this moment, not for the next hour.
        if answer.completion.degraded_reason.is_some() {
            return;
        }
        if let Ok(bytes) = serde_json::to_vec(answer) {
            self.cache.put(*key, Bytes::from(bytes), self.cache_ttl()).await;
        }
    }

    /// An answer that cost nothing is kept under the call's own id too, so that a repeat gets the same words.
    async fn keep_again(&self, tenant: TenantId, order: &Order, answer: Answer) -> Result<Answer, Error> {
        match self.stored(order, &answer) {
            None => Ok(answer),
            Some(stored) => match self.ledger.keep(tenant, &[], &stored).await? {
                Some(earlier) => same_body(earlier, order).map(Answer::replayed),
                None => Ok(answer),
            },
        }
    }

    /// The answer as it is kept for repeats; `None` for a call without an id.
    pub(super) fn stored(&self, order: &Order, answer: &Answer) -> Option<StoredAnswer> {
        let now = self.clock.now_ms();
        let retention = self.catalog().config().answer_retention();
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        order.request_id.clone().map(|request_id| StoredAnswer {
            request_id,
            fingerprint: order.fingerprint.clone(),
            answer: answer.clone(),
            created_ms: now,
            expires_ms: now.saturating_add(retention),
        })
    }
}

/// A request id that is this replica's until its answer is stored. Dropping it gives the id free.
struct Claimed {
    desk: Arc<Desk>,
    tenant: TenantId,
    request_id: String,
    /// False once its answer is stored.
    open: bool,
}

impl Claimed {
    /// Gives signs of life for ever; returns when the claim was lost.
    async fn keep(&self) -> Error {
        loop {
            sleep(RENEWAL).await;
            let (store, owner) = (&self.desk.store, self.desk.ledger.replica().run());
            match store.renew_claim(self.tenant, &self.request_id, owner, CLAIM).await {
                Ok(true) => {}
                Ok(false) => return Error::Vanished,
                // The database may be back before the claim is over; if not, the next round says so.
                Err(error) => {
                    let cause = &error as &dyn std::error::Error;
                    tracing::warn!(error = cause, "a claimed request id could not be renewed");
                }
            }
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if !self.open {
            return;
        }
        let (desk, tenant, id) = (Arc::clone(&self.desk), self.tenant, std::mem::take(&mut self.request_id));
        // Bounded by the store's own limits; should it fail, or the runtime be gone, the claim ends by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            let _ = desk.store.release_claim(tenant, &id, desk.ledger.replica().run()).await;
        });
    }
}

pub(super) fn same_body(kept: StoredAnswer, order: &Order) -> Result<Answer, Error> {
    if kept.fingerprint == order.fingerprint {
        Ok(kept.answer)
    } else {
        Err(Error::RequestIdTaken { request_id: kept.request_id })
    }
}
