//! Which models may answer a call, and in which order: [`decide`]. First every model is judged (`filter`), then those
//! that are suitable are ordered (`rank`). Not here: how a model does just now and what is left of a budget; they come in
//! as numbers.
use std::sync::Arc;

use copydesk_types::{NanoDollars, Price};

use super::Capabilities;
use super::decision::{Candidate, Decision, Strategy, Tier, Verdict, Weights};

mod filter;
mod rank;
#[cfg(test)]
mod tests;

use filter::Judgement;

/// What is known of a model as long as a configuration lasts.
#[derive(Debug, Clone)]
pub struct ModelFacts {
    /// `<provider>/<model>`.
    pub name: Arc<str>,
    /// Its provider: models of one provider have the same number.
    pub provider: u16,
    /// Its prices.
    pub price: Price,
    /// Its context window in tokens; 0 when unknown.
    pub context_tokens: u32,
    /// The most tokens that it writes; 0 when unknown.
    pub max_output_tokens: u32,
    /// What it can do.
    pub capabilities: Capabilities,
    /// True for the offline writer.
    pub offline: bool,
    /// Its share under [`Strategy::Weighted`]; 0 counts as 1.
    pub weight: f64,
}

/// How a model does just now.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ModelState {
    /// True while it must be left alone.
    pub breaker_open: bool,
    /// True while its provider asks us to wait, or its window is full for longer than a call may queue.
    pub limited: bool,
    /// The moving average of its latency in microseconds; 0 before the first call.
    pub latency_us: u64,
    /// The moving average of its failures, 0 to 1.
    pub error_rate: f64,
}

/// What a call needs of its models. Models are meant by their place in the catalogue.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What a model must be able to do.
    pub needs: Capabilities,
    /// For each model its place in the task's preference, `u32::MAX` when it is not preferred; empty: none is.
    pub preference: &'a [u32],
    /// The chain's name and the only models that may answer, in its order; `None`: all.
    pub chain: Option<(&'a str, &'a [usize])>,
    /// The only model that may answer, whatever the chain says.
    pub pinned: Option<usize>,
    /// By what to order.
    pub strategy: Strategy,
    /// What [`Strategy::Unified`] weighs.
    pub weights: &'a Weights,
    /// Estimated tokens of the prompt.
    pub input_tokens: u64,
    /// The most tokens of the answer; a model that writes fewer is asked for fewer.
    pub max_output_tokens: u32,
    /// What is left of the tightest budget; `None`: no budget.
    pub budget_left: Option<NanoDollars>,
    /// The most that the call may cost, in nano-dollars; `None`: no limit of its own.
    pub max_cost: Option<i64>,
    /// True: the offline writer must not answer.
    pub no_offline: bool,
    /// What [`Strategy::Weighted`] draws with.
    pub seed: u64,
    /// The version of the price table.
    pub price_version: &'a str,
    /// The number of the configuration.
    pub catalogue_version: u64,
}

impl Ask<'_> {
    /// What the call costs at most with this model: the prompt, and the longest answer that it can give.
    fn worst_cost(&self, model: &ModelFacts) -> NanoDollars {
        model.price.cost(self.input_tokens, 0, self.output_tokens(model).into())
    }

    /// The most tokens that this model is asked for.
    fn output_tokens(&self, model: &ModelFacts) -> u32 {
        match model.max_output_tokens {
            0 => self.max_output_tokens,
            most => self.max_output_tokens.min(most),
        }
    }

    fn preferred(&self, index: usize) -> Option<u32> {
        self.preference.get(index).copied().filter(|place| *place != u32::MAX)
    }
}

/// Chooses: the suitable models in the order in which they are tried, then the others in the order of the catalogue,
/// each with its reason. `states` are of the same models in the same order; one that is missing counts as never called.
/// The same arguments give the same decision.
pub fn decide(models: &[ModelFacts], states: &[ModelState], ask: &Ask<'_>) -> Decision {
    let places = places(models.len(), ask);
    let state = |index: usize| states.get(index).copied().unwrap_or_default();
    let judgements: Vec<Judgement> = models
        .iter()
        .enumerate()
        .map(|(index, model)| filter::judge(ask, model, state(index), index, places[index]))
        .collect();
    let ranked = rank::order(models, &state, ask, &places, &judgements);
    let first = ranked.iter().find(|one| !models[one.index].offline).map(|one| models[one.index].provider);
    let tiers = ranked.iter().scan(true, |unclaimed, one| Some(tier(&models[one.index], first, unclaimed)));
    let candidate = |index: usize, tier: Option<Tier>, score: f64| Candidate {
        index,
        model: Arc::clone(&models[index].name),
        verdict: judgements[index].verdict,
        tier,
        worst_cost_nanos: judgements[index].worst_cost.0,
        latency_us: state(index).latency_us,
        error_rate: state(index).error_rate,
        score,
        lacks: judgements[index].lacks,
    };
    let mut candidates = Vec::with_capacity(models.len());
    candidates
        .extend(ranked.iter().zip(tiers).map(|(one, tier)| candidate(one.index, Some(tier), one.score)));
    let out = judgements.iter().enumerate().filter(|(_, one)| one.verdict != Verdict::Suitable);
    candidates.extend(out.map(|(index, _)| candidate(index, None, 0.0)));
    Decision {
        strategy: ask.strategy,
        chain: chain(ask).map(|(name, _)| name.to_owned()).unwrap_or_default(),
        candidates,
        price_version: ask.price_version.to_owned(),
        catalogue_version: ask.catalogue_version,
        estimated_input_tokens: ask.input_tokens,
    }
}

/// The chain that counts: a model that was asked for by name stands above any.
fn chain<'a>(ask: &Ask<'a>) -> Option<(&'a str, &'a [usize])> {
    ask.chain.filter(|_| ask.pinned.is_none())
}

/// For each model its place in the order of the chain or the catalogue; `None`: it is not asked for at all.
fn places(models: usize, ask: &Ask<'_>) -> Vec<Option<u32>> {
    let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
    if let Some(pinned) = ask.pinned {
        return (0..models).map(|index| (index == pinned).then_some(0)).collect();
    }
    let Some((_, members)) = ask.chain else { return (0..models).map(|index| Some(number(index))).collect() };
    let mut places = vec![None; models];
    for (place, member) in members.iter().enumerate() {
        if let Some(slot) = places.get_mut(*member) {
            slot.get_or_insert(number(place));
        }
    }
    places
}

/// The first model that needs a network is the first choice; `first` is its provider.
fn tier(model: &ModelFacts, first: Option<u16>, unclaimed: &mut bool) -> Tier {
    if model.offline {
        Tier::Offline
    } else if std::mem::take(unclaimed) {
        Tier::Primary
    } else if Some(model.provider) == first {
        Tier::Alternate
    } else {
        Tier::Fallback
    }
}
