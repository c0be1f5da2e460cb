//! How providers and models do, as the contract has it.
use copydesk_proto::llm_router::v1 as pb;
use prost_types::Duration;

use super::routing::tier;
use super::timestamp;
use crate::app::{Providers, Target};
use crate::domain::{BreakerState, Outcome, Pace};

/// The providers as the contract has them.
pub fn providers(providers: &Providers) -> pb::ListProvidersResponse {
    let targets = providers.catalog.targets();
    let groups = targets.chunk_by(|a, b| a.provider_name == b.provider_name);
    pb::ListProvidersResponse {
        providers: groups.filter_map(provider).collect(),
        current_tier: tier(providers.tier).into(),
        catalogue_version: providers.catalog.version(),
        refused_configuration: providers.refused.to_vec(),
    }
}

fn provider(models: &[std::sync::Arc<Target>]) -> Option<pb::Provider> {
    let first = models.first()?;
    let health = &first.provider_health;
    let check = health.check();
    Some(pb::Provider {
        name: first.provider_name.to_string(),
        kind: first.kind.clone(),
        offline: first.offline,
        in_flight: health.gate.under_way(),
        queued: health.gate.waiting(),
        models: models.iter().map(|target| model(target)).collect(),
        check_outcome: check.map(|check| check.outcome.as_str().to_owned()).unwrap_or_default(),
        check_time: check.map(|check| timestamp(check.time_ms)),
        retry_budget_left: health.retries_left(),
    })
}

fn model(target: &Target) -> pb::ModelHealth {
    let standing = target.health.standing(&target.breaker_rules);
    let (breaker, retry_in) = match standing.breaker {
        BreakerState::Closed => (pb::BreakerState::Closed, None),
        BreakerState::Open(left) => (pb::BreakerState::Open, Some(left)),
        BreakerState::HalfOpen => (pb::BreakerState::HalfOpen, None),
    };
    let read = |pace: &Pace| pb::ModelHealth {
        model: target.name.to_string(),
        breaker: breaker.into(),
        breaker_retry_in: retry_in.map(duration),
        calls: pace.calls,
        failures: pace.failures,
        error_rate: pace.error_rate,
        latency_us: pace.whole.average_us(),
        latency_p95_us: pace.whole.p95().map_or(0, micros),
        first_token_us: pace.first_token.average_us(),
        last_outcome: pace.last.map(Outcome::as_str).unwrap_or_default().to_owned(),
        rate_limited_for: standing.limited.map(duration),
    };
    target.health.read(read)
}

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn duration(duration: std::time::Duration) -> Duration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    Duration { seconds, nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0) }
}
