//! Models and decisions, as the contract has them.
use copydesk_proto::llm_router::v1 as pb;

use super::{Faults, MAX_WORD};
use crate::app::{Catalog, Target};
use crate::domain::{Candidate, Decision, Routing, Strategy, Tier, Verdict};

/// Reads how to choose.
pub(super) fn routing(routing: pb::Routing, catalog: &Catalog, faults: &mut Faults<'_>) -> Routing {
    let strategy = pb::Strategy::try_from(routing.strategy).unwrap_or_else(|_| {
        faults.push("routing.strategy", "is not a known strategy");
        pb::Strategy::Unspecified
    });
    let restart = pb::AfterFirstToken::try_from(routing.after_first_token).unwrap_or_else(|_| {
        faults.push("routing.after_first_token", "is not a known choice");
        pb::AfterFirstToken::Unspecified
    });
    let hedging = pb::Hedging::try_from(routing.hedging).unwrap_or_else(|_| {
        faults.push("routing.hedging", "is not a known choice");
        pb::Hedging::Unspecified
    });
    let cache = pb::CacheMode::try_from(routing.cache).unwrap_or_else(|_| {
        faults.push("routing.cache", "is not a known mode");
        pb::CacheMode::Unspecified
    });
    faults.check(routing.max_cost_nanos >= 0, "routing.max_cost_nanos", "must be 0 or more");
    let chain = Some(routing.chain).filter(|chain| !chain.is_empty());
    if let Some(chain) = chain.as_deref().filter(|chain| !catalog.has_chain(chain)) {
        let shown: String = chain.chars().take(MAX_WORD).collect();
        faults.push("routing.chain", format!("{shown:?} is not a configured chain"));
    }
    Routing {
        strategy: match strategy {
            pb::Strategy::Unspecified => None,
            pb::Strategy::Task => Some(Strategy::Task),
            pb::Strategy::Cost => Some(Strategy::Cost),
            pb::Strategy::Latency => Some(Strategy::Latency),
            pb::Strategy::Weighted => Some(Strategy::Weighted),
            pb::Strategy::Unified => Some(Strategy::Unified),
        },
        chain,
        max_cost: Some(routing.max_cost_nanos).filter(|nanos| *nanos > 0),
        restart: restart == pb::AfterFirstToken::Restart,
        hedging: match hedging {
            pb::Hedging::Unspecified => None,
            pb::Hedging::Off => Some(false),
            pb::Hedging::On => Some(true),
        },
        bypass_cache: cache == pb::CacheMode::Bypass,
        no_offline: routing.no_offline,
    }
}

/// The tier as the contract has it.
pub(super) fn tier(tier: Option<Tier>) -> pb::Tier {
    match tier {
        None => pb::Tier::Unspecified,
        Some(Tier::Primary) => pb::Tier::Primary,
        Some(Tier::Alternate) => pb::Tier::Alternate,
        Some(Tier::Fallback) => pb::Tier::Fallback,
        Some(Tier::Offline) => pb::Tier::Offline,
    }
}

/// A decision as the contract has it.
pub fn decision(decision: Decision) -> pb::Decision {
    let strategy = match decision.strategy {
        Strategy::Task => pb::Strategy::Task,
        Strategy::Cost => pb::Strategy::Cost,
        Strategy::Latency => pb::Strategy::Latency,
        Strategy::Weighted => pb::Strategy::Weighted,
        Strategy::Unified => pb::Strategy::Unified,
    };
    let mut position = 0;
    let mut next = |suitable: bool| {
        position += u32::from(suitable);
        if suitable { position } else { 0 }
    };
    let candidates = decision.candidates.into_iter();
    pb::Decision {
        strategy: strategy.into(),
        chain: decision.chain,
        candidates: candidates
            .map(|c| {
                let place = next(c.verdict == Verdict::Suitable);
                candidate(c, place)
            })
            .collect(),
        price_version: decision.price_version,
        catalogue_version: decision.catalogue_version,
        estimated_input_tokens: decision.estimated_input_tokens,
    }
}

fn candidate(candidate: Candidate, position: u32) -> pb::Candidate {
    let (verdict, words) = match candidate.verdict {
        Verdict::Suitable => (pb::Verdict::Suitable, ""),
        Verdict::NotInChain => (pb::Verdict::NotInChain, "not in the chain"),
        Verdict::LacksCapability => (pb::Verdict::LacksCapability, "needs "),
        Verdict::TooSmall => (pb::Verdict::TooSmall, "too small for prompt and answer"),
        Verdict::OverBudget => (pb::Verdict::OverBudget, "its worst case costs more than is left"),
        Verdict::BreakerOpen => (pb::Verdict::BreakerOpen, "its circuit breaker is open"),
        Verdict::RateLimited => {
            (pb::Verdict::RateLimited, "its provider asked us to wait, or its window is full")
        }
        Verdict::OfflineForbidden => {
            (pb::Verdict::OfflineForbidden, "the request forbids the offline writer")
        }
    };
    pb::Candidate {
        model: candidate.model.to_string(),
        verdict: verdict.into(),
        position,
        tier: tier(candidate.tier).into(),
        worst_cost_nanos: candidate.worst_cost_nanos,
        latency_us: candidate.latency_us,
        error_rate: candidate.error_rate,
        score: candidate.score,
        reason: format!("{words}{}", candidate.lacks.names().join(", ")),
    }
}

/// A model as the contract has it.
pub fn model(target: &Target) -> pb::Model {
    pb::Model {
        name: target.name.to_string(),
        kind: target.kind.clone(),
        input_nanos_per_million: target.price.input,
        output_nanos_per_million: target.price.output,
        offline: target.offline,
        cached_input_nanos_per_million: target.price.cached_input,
        context_tokens: target.context_tokens,
        max_output_tokens: target.max_output_tokens,
        capabilities: target.capabilities.names().into_iter().map(str::to_owned).collect(),
        embedding_dimensions: target.embedding_dimensions,
    }
}
