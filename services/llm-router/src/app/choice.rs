//! Which models a call is given to: the facts of the moment for the pure decision, and its chain as something to go down.
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use copydesk_types::{NanoDollars, TenantId};

use super::course::{Size, Stop};
use super::{Catalog, Desk, Target};
use crate::domain::{
    Ask, Attribution, BreakerState, Capabilities, Decision, ModelState, Order, Prompt, Routing, Strategy, Tier,
    decide, estimate_tokens,
};
use crate::error::Error;

/// The most candidates that an answer carries; ExplainRoute gives all.
const SHOWN: usize = 16;

/// What is chosen for.
pub(super) struct Wanted<'a> {
    pub(super) needs: Capabilities,
    pub(super) task: copydesk_proto::llm_router::v1::Task,
    pub(super) model: Option<&'a str>,
    pub(super) routing: &'a Routing,
    pub(super) input_tokens: u64,
    pub(super) max_output_tokens: u32,
}

impl<'a> Wanted<'a> {
    /// Text.
    pub(super) fn text(order: &'a Order) -> Self {
        Self {
            needs: order.prompt.needs(),
            task: order.prompt.task,
            model: order.model.as_deref(),
            routing: &order.routing,
            input_tokens: order.prompt.estimated_tokens(),
            max_output_tokens: order.prompt.max_output_tokens,
        }
    }
}

impl Desk {
    /// Chooses; calls nobody.
    pub(super) async fn choose(
        &self,
        catalog: &Catalog,
        tenant: TenantId,
        attribution: &Attribution,
        wanted: &Wanted<'_>,
    ) -> Decision {
        let budget_left = self.budgets.left(tenant, attribution).await;
        decide_now(catalog, wanted, budget_left, fastrand::u64(..))
    }
}

/// The decision at this moment.
fn decide_now(catalog: &Catalog, wanted: &Wanted<'_>, budget_left: Option<NanoDollars>, seed: u64) -> Decision {
    let task = catalog.task(wanted.task);
    let tokens = wanted.input_tokens.saturating_add(u64::from(wanted.max_output_tokens));
    let states: Vec<ModelState> = catalog.targets().iter().map(|target| state(target, tokens)).collect();
    let chain = wanted.routing.chain.as_deref().or(task.chain.as_deref());
    let ask = Ask {
        needs: wanted.needs,
        preference: &task.preference,
        chain: chain.and_then(|name| catalog.chain(name).map(|models| (name, models))),
        pinned: wanted.model.and_then(|name| catalog.position(name)),
        strategy: wanted.routing.strategy.unwrap_or(task.strategy),
        weights: catalog.weights(),
        input_tokens: wanted.input_tokens,
        max_output_tokens: wanted.max_output_tokens,
        budget_left,
        max_cost: wanted.routing.max_cost,
        no_offline: wanted.routing.no_offline,
        seed,
        price_version: catalog.price_version(),
        catalogue_version: catalog.version(),
    };
    decide(catalog.facts(), &states, &ask)
}

fn state(target: &Target, tokens: u64) -> ModelState {
    let standing = target.health.standing(&target.breaker_rules);
    let gate = &target.provider_health.gate;
    // A call may queue for a while: only what lasts longer is a reason to leave the model out.
    let longest = gate.queue_limit();
    let waits = |wait: Option<Duration>| wait.is_some_and(|wait| wait > longest);
    ModelState {
        breaker_open: !standing.admits && standing.breaker != BreakerState::Closed,
        limited: waits(standing.limited) || waits(gate.window_wait(tokens)),
        latency_us: standing.latency_us,
        error_rate: standing.error_rate,
    }
}

/// The decision's chain.
pub(super) fn stops(catalog: &Catalog, decision: &Decision, pinned: bool) -> Vec<Stop> {
    let stop = |candidate: &crate::domain::Candidate| Stop {
        target: Arc::clone(&catalog.targets()[candidate.index]),
        tier: candidate.tier.unwrap_or(Tier::Fallback),
        hedge: false,
        pinned,
        lost: Arc::new(AtomicBool::new(false)),
    };
    decision.chain().map(stop).collect()
}

/// Why nobody may be asked, when the chain is empty or only the offline writer is left for want of money.
pub(super) fn obstacle(decision: &Decision, stops: &[Stop]) -> Option<Error> {
    use crate::domain::Verdict;
    let out = |verdict: Verdict| decision.candidates.iter().any(|c| c.verdict == verdict);
    let only_offline = stops.iter().all(|stop| stop.target.offline);
    if only_offline && out(Verdict::OverBudget) {
        return Some(Error::Unaffordable);
    }
    if !stops.is_empty() {
        return None;
    }
    let names = |verdict: Verdict| -> Vec<String> {
        decision.candidates.iter().filter(|c| c.verdict == verdict).map(|c| c.model.to_string()).collect()
    };
    let (dark, limited) = (names(Verdict::BreakerOpen), names(Verdict::RateLimited));
    if !dark.is_empty() || !limited.is_empty() {
        return Some(Error::NobodyNow { dark, limited });
    }
    if out(Verdict::TooSmall) {
        return Some(Error::TooLong { input_tokens: decision.estimated_input_tokens });
    }
    let lacking = decision.candidates.iter().filter(|c| c.verdict == Verdict::LacksCapability);
    let lacking = lacking.map(|c| format!("{} lacks {}", c.model, c.lacks.names().join(", "))).collect();
    Some(Error::NobodyAble { lacking })
}

/// The decision as an answer carries it.
pub(super) fn shown(mut decision: Decision) -> Decision {
    decision.candidates.truncate(SHOWN);
    decision
}

/// How large a call of this prompt to this model may become.
pub(super) fn size(prompt: &Prompt, target: &Target, more_bytes: usize) -> Size {
    Size {
        input: prompt.estimated_tokens() + estimate_tokens(more_bytes),
        output: u64::from(target.clamp(prompt.max_output_tokens)),
    }
}

/// The strategy's name, for spans.
pub(super) fn strategy_name(strategy: Strategy) -> &'static str {
    match strategy {
        Strategy::Task => "task",
        Strategy::Cost => "cost",
        Strategy::Latency => "latency",
        Strategy::Weighted => "weighted",
        Strategy::Unified => "unified",
    }
}
