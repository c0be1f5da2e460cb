//! The order of the models that may answer.
use std::cmp::Ordering;

use super::filter::Judgement;
use super::{Ask, ModelFacts, ModelState};
use crate::domain::{Strategy, Verdict, Weights};

/// A suitable model and what it is ordered by.
#[derive(Clone, Copy)]
pub(super) struct Ranked {
    /// Its place in the catalogue.
    pub(super) index: usize,
    /// What the strategy orders by, lower first.
    pub(super) score: f64,
    /// True for the offline writer where nobody placed it elsewhere.
    last: bool,
    /// Its place in the chain or the catalogue.
    place: u32,
}

/// The suitable models, best first. Equal ones keep the order of the chain, else of the catalogue.
pub(super) fn order(
    models: &[ModelFacts],
    state: &dyn Fn(usize) -> ModelState,
    ask: &Ask<'_>,
    places: &[Option<u32>],
    judgements: &[Judgement],
) -> Vec<Ranked> {
    let mut ranked = Vec::with_capacity(models.len());
    for (index, model) in models.iter().enumerate() {
        if let (Verdict::Suitable, Some(place)) = (judgements[index].verdict, places[index]) {
            ranked.push(Ranked { index, score: 0.0, last: model.offline && !placed(ask, index), place });
        }
    }
    match ask.strategy {
        Strategy::Task => by_preference(&mut ranked, ask),
        Strategy::Cost => score(&mut ranked, |one| judgements[one.index].worst_cost.0 as f64),
        Strategy::Latency => score(&mut ranked, |one| state(one.index).latency_us as f64),
        Strategy::Weighted => by_draw(&mut ranked, models, ask.seed),
        Strategy::Unified => {
            let parts = parts(&ranked, state, ask, judgements);
            ranked.iter_mut().zip(parts).for_each(|(one, part)| one.score = part.weighed(ask.weights));
        }
    }
    ranked.sort_unstable_by(compare);
    ranked
}

/// Whether somebody chose the place of this model. Only the order of the task knows places: by cost the offline writer
/// would always be first.
fn placed(ask: &Ask<'_>, index: usize) -> bool {
    ask.strategy == Strategy::Task && (ask.chain.is_some() || ask.preferred(index).is_some())
}

fn compare(a: &Ranked, b: &Ranked) -> Ordering {
    let by_score = || a.score.total_cmp(&b.score);
    a.last.cmp(&b.last).then_with(by_score).then(a.place.cmp(&b.place)).then(a.index.cmp(&b.index))
}

fn score(ranked: &mut [Ranked], of: impl Fn(&Ranked) -> f64) {
    ranked.iter_mut().for_each(|one| one.score = of(one));
}

/// The preferred models by their place, then the others by theirs.
fn by_preference(ranked: &mut [Ranked], ask: &Ask<'_>) {
    let beyond = span(ranked, ask);
    score(ranked, |one| match ask.preferred(one.index) {
        Some(place) => f64::from(place),
        None => beyond + f64::from(one.place),
    });
}

/// One more than the last place of a preferred model.
fn span(ranked: &[Ranked], ask: &Ask<'_>) -> f64 {
    let last = ranked.iter().filter_map(|one| ask.preferred(one.index)).max();
    last.map_or(0.0, |place| f64::from(place) + 1.0)
}

/// A random order in which a model of twice the weight is twice as often first: each waits for a time drawn from the
/// exponential distribution of its weight (Efraimidis and Spirakis, 2006, with the logarithm of their keys). The draws
/// go by the order among the suitable, so that what is left out does not change them.
fn by_draw(ranked: &mut [Ranked], models: &[ModelFacts], seed: u64) {
    let mut draws = Draws(seed);
    for one in ranked {
        let weight = models[one.index].weight;
        let weight = if weight > 0.0 && weight.is_finite() { weight } else { 1.0 };
        one.score = -draws.next().ln() / weight;
    }
}

/// The generator splitmix64: good enough for shares of calls, and the same everywhere.
struct Draws(u64);

impl Draws {
    /// Above 0, below 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        ((mixed >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }
}

/// What the unified score is made of, each 0 to 1.
struct Part {
    preference: f64,
    cost: f64,
    latency: f64,
    errors: f64,
}

impl Part {
    /// The weighed mean.
    fn weighed(&self, weights: &Weights) -> f64 {
        let pairs = [
            (weights.preference, self.preference),
            (weights.cost, self.cost),
            (weights.latency, self.latency),
            (weights.errors, self.errors),
        ];
        let all: f64 = pairs.iter().map(|(weight, _)| weight).sum();
        let sum: f64 = pairs.iter().map(|(weight, value)| weight * value).sum();
        if all > 0.0 { sum / all } else { 0.0 }
    }
}

/// Each figure in relation to the largest among the models that need a network: the offline writer costs nothing and
/// takes no time, and says nothing about the others. A latency that is not known counts as the median of the known.
fn parts(
    ranked: &[Ranked],
    state: &dyn Fn(usize) -> ModelState,
    ask: &Ask<'_>,
    judgements: &[Judgement],
) -> Vec<Part> {
    let others = || ranked.iter().filter(|one| !one.last);
    let cost = |one: &Ranked| judgements[one.index].worst_cost.0 as f64;
    let most_cost = others().map(cost).fold(0.0, f64::max);
    let mut known: Vec<u64> = others().map(|one| state(one.index).latency_us).filter(|us| *us > 0).collect();
    known.sort_unstable();
    let (median, longest) = (known.get(known.len() / 2).copied(), known.last().copied().unwrap_or(0) as f64);
    let beyond = span(ranked, ask);
    let part = |one: &Ranked| {
        let state = state(one.index);
        let latency = if state.latency_us > 0 { state.latency_us } else { median.unwrap_or(0) };
        Part {
            preference: match ask.preferred(one.index) {
                Some(place) => share(f64::from(place), beyond),
                None => share(beyond, beyond),
            },
            cost: share(cost(one), most_cost),
            latency: share(latency as f64, longest),
            errors: share(state.error_rate, 1.0),
        }
    };
    ranked.iter().map(part).collect()
}

/// A part of a whole, 0 to 1; of nothing, 0. What is no number counts as the worst.
fn share(value: f64, whole: f64) -> f64 {
    match value / whole {
        _ if whole <= 0.0 => 0.0,
        share if share.is_nan() => 1.0,
        share => share.clamp(0.0, 1.0),
    }
}
