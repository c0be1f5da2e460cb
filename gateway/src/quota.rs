//! Rate limits: one token bucket per key and class of method.
use std::num::NonZeroU32;
use std::time::Duration;

use copydesk_rpc::{Kind, MethodAccess, RateClass, ServiceError};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, RateLimiter};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};
use tokio_util::sync::CancellationToken;

use crate::config::RateLimits;

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The buckets of all keys.
pub(crate) struct Quota {
    classes: [(RateClass, &'static str, u32, DefaultKeyedRateLimiter<String>); 5],
    refused: Counter<u64>,
}

impl Quota {
    pub(crate) fn new(limits: &RateLimits, meter: &Meter) -> Self {
        let class = |class, name, per_minute: u32| {
            let quota = governor::Quota::per_minute(NonZeroU32::new(per_minute).unwrap_or(NonZeroU32::MIN));
            (class, name, per_minute, RateLimiter::keyed(quota))
        };
        let refused = meter.u64_counter("copydesk.gateway.rate_limited").with_description("Calls refused by a rate limit.");
        Self {
            classes: [
                class(RateClass::Read, "read", limits.read),
                class(RateClass::Write, "write", limits.write),
                class(RateClass::Generate, "generate", limits.generate),
                class(RateClass::Ingest, "ingest", limits.ingest),
                class(RateClass::Admin, "admin", limits.admin),
            ],
            refused: refused.build(),
        }
    }

    /// Takes the call's cost from the key's bucket.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED with RetryInfo and QuotaFailure when the bucket does not hold it.
    pub(crate) fn charge(&self, key: &str, access: &MethodAccess) -> Result<(), ServiceError> {
        let Some((_, name, per_minute, buckets)) = self.classes.iter().find(|(class, ..)| *class == access.rate_class) else {
            return Ok(());
        };
        let cost = NonZeroU32::new(access.cost).unwrap_or(NonZeroU32::MIN);
        let wait = match buckets.check_key_n(&key.to_owned(), cost) {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(later)) => Some(later.wait_time_from(DefaultClock::default().now())),
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
            for (.., buckets) in &self.classes {
                buckets.retain_recent();
                buckets.shrink_to_fit();
            }
        }
    }
}
