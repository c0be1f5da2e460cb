//! Which models a call is given to: the facts of the moment for the pure decision, and its chain as something to go down.
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use copydesk_types::{NanoDollars, TenantId};

use super::course::{Size, Stop};
use super::{Catalog, Desk, Target};
use crate::domain::{
    Ask, Attribution, BreakerState, Candidate, Capabilities, Decision, ModelState, Order, Prompt, Routing,
    Tier, Verdict, decide, estimate_tokens,
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

    /// What a call may count as in a provider's window of tokens.
    fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.max_output_tokens.into())
    }
}

impl Desk {
    /// How a call would be routed now. Calls nobody.
    pub async fn explain(&self, tenant: TenantId, order: &Order) -> Decision {
        let left = self.budgets.left(tenant, &order.attribution, self.clock.now_ms()).await;
        decide_now(&self.catalog(), &Wanted::text(order), left, fastrand::u64(..))
    }

    /// The models to be asked, in this order.
    ///
    /// # Errors
    /// There is none: the money does not suffice, none can do what is needed, or none is to be asked now.
    pub(super) async fn choose(
        &self,
        catalog: &Catalog,
        tenant: TenantId,
        attribution: &Attribution,
        wanted: &Wanted<'_>,
    ) -> Result<(Decision, Vec<Stop>), Error> {
        let (now, seed) = (self.clock.now_ms(), fastrand::u64(..));
        let left = self.budgets.left(tenant, attribution, now).await;
        let decision = decide_now(catalog, wanted, left, seed);
        let stops = stops(catalog, &decision, wanted.model.is_some());
        let Some(obstacle) = obstacle(catalog, &decision, &stops, wanted) else {
            return Ok((decision, stops));
        };
        let Obstacle::Money(worst) = obstacle else { return Err(obstacle.into()) };
        // The budgets say best what is wanting; what they were asked for is given back at once.
        drop(self.budgets.reserve(tenant, attribution, now, NanoDollars(worst)).await?);
        if let Some(most) = wanted.routing.max_cost.filter(|most| worst > *most) {
            return Err(Error::OverCost { most });
        }
        let decision = decide_now(catalog, wanted, None, seed);
        let stops = self::stops(catalog, &decision, wanted.model.is_some());
        Ok((decision, stops))
    }
}

/// Why nobody is to be asked.
enum Obstacle {
    /// The cheapest worst case, in nano-dollars, is more than is left.
    Money(i64),
    /// Something else.
    Other(Error),
}

impl From<Obstacle> for Error {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Money(most) => Self::OverCost { most },
            Obstacle::Other(error) => error,
        }
    }
}

/// The decision at this moment.
pub(super) fn decide_now(
    catalog: &Catalog,
    wanted: &Wanted<'_>,
    budget_left: Option<NanoDollars>,
    seed: u64,
) -> Decision {
    let tokens = wanted.tokens();
    let states: Vec<ModelState> = catalog.targets().iter().map(|target| state(target, tokens)).collect();
    let ask = Ask {
        needs: wanted.needs,
        input_tokens: wanted.input_tokens,
        max_output_tokens: wanted.max_output_tokens,
        budget_left,
        seed,
        ..catalog.ask(wanted.task, wanted.routing, wanted.model)
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
fn stops(catalog: &Catalog, decision: &Decision, pinned: bool) -> Vec<Stop> {
    let stop = |candidate: &Candidate| Stop {
        target: Arc::clone(&catalog.targets()[candidate.index]),
        tier: candidate.tier.unwrap_or(Tier::Fallback),
        hedge: false,
        pinned,
        lost: Arc::new(AtomicBool::new(false)),
    };
    decision.chain().map(stop).collect()
}

/// Why nobody is to be asked: the chain is empty, or only the offline writer is left for want of money.
fn obstacle(catalog: &Catalog, decision: &Decision, stops: &[Stop], wanted: &Wanted<'_>) -> Option<Obstacle> {
    let of = |verdict: Verdict| decision.candidates.iter().filter(move |c| c.verdict == verdict);
    if stops.iter().all(|stop| stop.target.offline)
        && let Some(worst) = of(Verdict::OverBudget).map(|c| c.worst_cost_nanos).min()
    {
        return Some(Obstacle::Money(worst));
    }
    if !stops.is_empty() {
        return None;
    }
    let names = |verdict| -> Vec<String> { of(verdict).map(|c| c.model.to_string()).collect() };
    let (dark, limited) = (names(Verdict::BreakerOpen), names(Verdict::RateLimited));
    Some(Obstacle::Other(if !dark.is_empty() || !limited.is_empty() {
        let waits = decision
            .candidates
            .iter()
            .map(|one| wait(&catalog.targets()[one.index], one.verdict, wanted.tokens()));
        let retry_after = waits.flatten().min();
        Error::NobodyNow { dark, limited, retry_after }
    } else if of(Verdict::TooSmall).next().is_some() {
        Error::TooLong { input_tokens: decision.estimated_input_tokens }
    } else {
        let lacking = of(Verdict::LacksCapability);
        let lacking = lacking.map(|c| format!("{} lacks {}", c.model, c.lacks.names().join(", "))).collect();
        Error::NobodyAble { needs: wanted.needs.names(), lacking }
    }))
}

/// When a model that is left out for now may be asked; `None` when that is not known, or it is left out for good.
fn wait(target: &Target, verdict: Verdict, tokens: u64) -> Option<Duration> {
    let standing = target.health.standing(&target.breaker_rules);
    match (verdict, standing.breaker) {
        (Verdict::BreakerOpen, BreakerState::Open(left)) => Some(left),
        (Verdict::RateLimited, _) => standing.limited.max(target.provider_health.gate.window_wait(tokens)),
        _ => None,
    }
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
