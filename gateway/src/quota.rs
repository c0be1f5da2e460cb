//! Rate limits: one token bucket per key and class of method.
use std::num::NonZeroU32;
use std::time::Duration;

use copydesk_rpc::{Kind, MethodAccess, RateClass, ServiceError};
use governor::RateLimiter;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tokio_util::sync::CancellationToken;

/// The least wait that a refused caller is told.
const LEAST_WAIT: Duration = Duration::from_millis(1);

use crate::config::RateLimits;

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The buckets of all keys.
pub(crate) struct Quota<C: Clock = DefaultClock> {
    clock: C,
    classes: [Class<C>; 5],
    refused: Counter<u64>,
}

struct Class<C: Clock> {
    class: RateClass,
    name: &'static str,
    per_minute: u32,
    buckets: RateLimiter<String, DefaultKeyedStateStore<String>, C, NoOpMiddleware<C::Instant>>,
}

impl Quota {
    pub(crate) fn new(limits: &RateLimits, meter: &Meter) -> Self {
        Self::with_clock(limits, meter, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Quota<C> {
    fn with_clock(limits: &RateLimits, meter: &Meter, clock: C) -> Self {
        let class = |class, name, per_minute: u32| {
            let quota = governor::Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
            let buckets = RateLimiter::new(quota, DefaultKeyedStateStore::default(), clock.clone());
            Class { class, name, per_minute, buckets }
        };
        let refused = meter
            .u64_counter("copydesk.gateway.rate_limited")
            .with_description("Calls refused by a rate limit.");
        Self {
            classes: [
                class(RateClass::Read, "read", limits.read),
                class(RateClass::Write, "write", limits.write),
                class(RateClass::Generate, "generate", limits.generate),
                class(RateClass::Ingest, "ingest", limits.ingest),
                class(RateClass::Admin, "admin", limits.admin),
            ],
            refused: refused.build(),
            clock,
        }
    }

    /// Takes the call's cost from the key's bucket.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with RetryInfo and QuotaFailure when the bucket does not hold it.
    pub(crate) fn charge(&self, key: &str, access: &MethodAccess) -> Result<(), ServiceError> {
        let Some(class) = self.classes.iter().find(|class| class.class == access.rate_class) else {
            return Ok(());
        };
        let Class { name, per_minute, buckets, .. } = class;
        let cost = NonZeroU32::new(access.cost).unwrap_or(NonZeroU32::MIN);
        let wait = match buckets.check_key_n(&key.to_owned(), cost) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(later)) => {
                // Some time has passed since it was refused: "at once" would still be a refusal.
                Some(later.wait_time_from(self.clock.now()).max(LEAST_WAIT))
            }
            // The call costs more than the bucket holds at its fullest: waiting does not help.
            Err(_) => None,
        };
        self.refused.add(1, &[KeyValue::new("class", *name)]);
        let message = format!("the key's limit of {per_minute} {name} calls a minute is used up");
        let error = ServiceError::new(Kind::ResourceExhausted, "RATE_LIMITED", message)
            .with_quota(key, format!("{per_minute} {name} calls a minute"));
        Err(match wait {
            Some(wait) => error.with_retry_after(wait),
            None => error,
        })
    }

    /// Forgets full buckets from time to time, so that memory follows the keys in use.
    pub(crate) async fn sweep(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(SWEEP_EVERY) => {}
            }
            self.forget_idle();
        }
    }

    fn forget_idle(&self) {
        for class in &self.classes {
            class.buckets.retain_recent();
            class.buckets.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use copydesk_rpc::Visibility;
    use governor::clock::FakeRelativeClock;

    fn rule(rate_class: RateClass, cost: u32) -> MethodAccess {
        MethodAccess {
            path: "/copydesk.test.v1.TestService/Test".to_owned(),
            visibility: Visibility::Public,
            scope: "test:write".to_owned(),
            rate_class,
            cost,
            retry_safe: false,
            default_deadline: Some(Duration::from_secs(1)),
            max_deadline: Some(Duration::from_secs(1)),
            idle_timeout: None,
            client_streaming: false,
            server_streaming: false,
        }
    }

    fn quota(clock: &FakeRelativeClock) -> Quota<FakeRelativeClock> {
        let limits = RateLimits { generate: 10, read: 60, ..RateLimits::default() };
        Quota::with_clock(&limits, &opentelemetry::global::meter("test"), clock.clone())
    }

    #[test]
    fn the_named_wait_is_exactly_long_enough() {
        let clock = FakeRelativeClock::default();
        let quota = quota(&clock);
        let call = rule(RateClass::Generate, 1);
        for _ in 0..10 {
            quota.charge("key_a", &call).expect("within the limit");
        }
        for _ in 0..20 {
            let error = quota.charge("key_a", &call).expect_err("the eleventh");
            assert_eq!((error.kind(), error.reason()), (Kind::ResourceExhausted, "RATE_LIMITED"));
            let wait = error.retry_after().expect("a time to come back");
            assert_eq!(wait, Duration::from_secs(6), "ten a minute");
            clock.advance(wait - Duration::from_millis(1));
            let error = quota.charge("key_a", &call).expect_err("a millisecond early");
            assert_eq!(error.retry_after(), Some(Duration::from_millis(1)), "refusals cost nothing");
            clock.advance(Duration::from_millis(1));
            quota.charge("key_a", &call).expect("on time");
        }
    }

    #[test]
    fn cost_counts_and_what_never_fits_names_no_time() {
        let clock = FakeRelativeClock::default();
        let quota = quota(&clock);
        quota.charge("key_a", &rule(RateClass::Generate, 8)).expect("eight of ten");
        let error = quota.charge("key_a", &rule(RateClass::Generate, 4)).expect_err("twelve of ten");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(12)), "two more must drip in");
        quota.charge("key_a", &rule(RateClass::Generate, 2)).expect("the refused one took nothing");
        let error = quota.charge("key_b", &rule(RateClass::Generate, 11)).expect_err("never fits");
        assert_eq!((error.reason(), error.retry_after()), ("RATE_LIMITED", None));
    }

    #[test]
    fn keys_and_classes_have_buckets_of_their_own() {
        let clock = FakeRelativeClock::default();
        let quota = quota(&clock);
        quota.charge("key_a", &rule(RateClass::Generate, 10)).expect("all of it");
        quota.charge("key_a", &rule(RateClass::Generate, 1)).expect_err("used up");
        quota.charge("key_b", &rule(RateClass::Generate, 10)).expect("another key");
        for class in [RateClass::Read, RateClass::Write, RateClass::Ingest, RateClass::Admin] {
            quota.charge("key_a", &rule(class, 10)).expect("another class");
        }
    }

    #[test]
    fn only_full_buckets_are_forgotten() {
        let clock = FakeRelativeClock::default();
        let quota = quota(&clock);
        let call = rule(RateClass::Generate, 10);
        quota.charge("key_a", &call).expect("all of it");
        quota.forget_idle();
        quota.charge("key_a", &call).expect_err("still remembered");
        clock.advance(Duration::from_secs(120));
        quota.forget_idle();
        assert_eq!(quota.classes.iter().map(|class| class.buckets.len()).sum::<usize>(), 0);
        quota.charge("key_a", &call).expect("full again");
    }
}
