//! Whether a model may answer at all.
use copydesk_types::NanoDollars;

use super::{Ask, ModelFacts, ModelState};
use crate::domain::{Capabilities, Verdict};

/// What was found of one model.
#[derive(Clone, Copy)]
pub(super) struct Judgement {
    /// The first reason against it, or none.
    pub(super) verdict: Verdict,
    /// What it cannot do.
    pub(super) lacks: Capabilities,
    /// What the call costs at most.
    pub(super) worst_cost: NanoDollars,
}

/// Judges one model. What cannot change while the call lasts comes before what may be different in a minute.
pub(super) fn judge(
    ask: &Ask<'_>,
    model: &ModelFacts,
    state: ModelState,
    index: usize,
    place: Option<u32>,
) -> Judgement {
    let worst_cost = ask.worst_cost(model);
    let missing = model.capabilities.missing(ask.needs);
    // The offline writer has nobody who could be down or busy, and a model asked for by name is tried in any weather.
    let sheltered = model.offline || ask.pinned == Some(index);
    let verdict = if place.is_none() {
        Verdict::NotInChain
    } else if model.offline && ask.no_offline {
        Verdict::OfflineForbidden
    } else if !missing.is_empty() {
        Verdict::LacksCapability
    } else if !fits(ask, model) {
        Verdict::TooSmall
    } else if !affordable(ask, worst_cost) {
        Verdict::OverBudget
    } else if state.breaker_open && !sheltered {
        Verdict::BreakerOpen
    } else if state.limited && !sheltered {
        Verdict::RateLimited
    } else {
        Verdict::Suitable
    };
    let lacks = if verdict == Verdict::LacksCapability { missing } else { Capabilities::NONE };
    Judgement { verdict, lacks, worst_cost }
}

/// Whether prompt and answer have room in the context window, where it is known.
fn fits(ask: &Ask<'_>, model: &ModelFacts) -> bool {
    let needed = ask.input_tokens.saturating_add(ask.output_tokens(model).into());
    model.context_tokens == 0 || needed <= u64::from(model.context_tokens)
}

/// What costs nothing is affordable even when a budget is overdrawn.
fn affordable(ask: &Ask<'_>, cost: NanoDollars) -> bool {
    let within = |limit: Option<i64>| limit.is_none_or(|limit| cost.0 <= limit);
    cost.0 == 0 || (within(ask.budget_left.map(|left| left.0)) && within(ask.max_cost))
}
