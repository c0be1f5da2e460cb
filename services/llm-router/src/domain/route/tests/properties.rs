use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::super::Strategy;
use super::*;

/// One model and its state, from few values, so that equal ones are frequent.
fn any_model() -> impl Generator<Value = (ModelFacts, ModelState)> {
    let prices = (0..4_i64, 0..4_i64).prop_map(|(input, output)| Price {
        input: input * 700_000,
        cached_input: 0,
        output: output * 900_000,
    });
    let sizes =
        (prop::sample::select(vec![0_u32, 120, 160, 4_000]), prop::sample::select(vec![0_u32, 20, 90]));
    let able = prop::sample::select(vec![Capabilities::CHAT, Capabilities::CHAT | Capabilities::TOOLS]);
    let facts = (0..4_u16, prices, sizes, able, prop::bool::weighted(0.1), 0..3_u8);
    let state = (prop::bool::weighted(0.2), prop::bool::weighted(0.2), 0..5_u64, 0..=4_u8);
    (facts, state).prop_map(|((provider, price, (context, most), capabilities, offline, weight), state)| {
        let facts = ModelFacts {
            price,
            context_tokens: context,
            max_output_tokens: most,
            capabilities,
            offline,
            weight: weight.into(),
            ..model("named later", provider)
        };
        let (breaker_open, limited, latency_us, errors) = state;
        (facts, ModelState { breaker_open, limited, latency_us, error_rate: f64::from(errors) / 4.0 })
    })
}

/// Owned parts of an [`Ask`].
#[derive(Debug, Clone)]
struct Wish {
    tools: bool,
    preference: Vec<u32>,
    chain: Option<Vec<usize>>,
    pinned: Option<usize>,
    strategy: Strategy,
    budget: Option<i64>,
    no_offline: bool,
    seed: u64,
}

impl Wish {
    fn ask(&self) -> Ask<'_> {
        Ask {
            needs: if self.tools { Capabilities::TOOLS } else { Capabilities::CHAT },
            preference: &self.preference,
            chain: self.chain.as_deref().map(|members| ("c", members)),
            pinned: self.pinned,
            strategy: self.strategy,
            budget_left: self.budget.map(NanoDollars),
            no_offline: self.no_offline,
            seed: self.seed,
            ..ask()
        }
    }

    /// The same wish of a catalogue without one model.
    fn without(&self, gone: usize) -> Self {
        let moved = |index: usize| (index != gone).then_some(if index > gone { index - 1 } else { index });
        let mut preference = self.preference.clone();
        if gone < preference.len() {
            preference.remove(gone);
        }
        let chain = self.chain.as_ref().map(|members| members.iter().copied().filter_map(moved).collect());
        // A name that nobody has stays one.
        let pinned = self.pinned.map(|index| moved(index).unwrap_or(usize::MAX));
        Self { preference, chain, pinned, ..self.clone() }
    }
}

fn any_wish(models: usize) -> impl Generator<Value = Wish> {
    let preference = prop_oneof![
        Just(Vec::new()),
        prop::collection::vec(prop::sample::select(vec![u32::MAX, u32::MAX, 0, 1, 2]), models),
    ];
    let chain = prop::option::weighted(0.3, prop::collection::vec(0..models, 0..=models));
    let pinned = prop::option::weighted(0.1, 0..models);
    let strategies =
        vec![Strategy::Task, Strategy::Cost, Strategy::Latency, Strategy::Weighted, Strategy::Unified];
    let strategy = prop::sample::select(strategies);
    let rest = (any::<bool>(), prop::option::of(-10..600_i64), any::<bool>(), any::<u64>());
    (preference, chain, pinned, strategy, rest).prop_map(
        |(preference, chain, pinned, strategy, (tools, budget, no_offline, seed))| Wish {
            tools,
            preference,
            chain,
            pinned,
            strategy,
            budget,
            no_offline,
            seed,
        },
    )
}

fn any_case() -> impl Generator<Value = (Vec<ModelFacts>, Vec<ModelState>, Wish)> {
    prop::collection::vec(any_model(), 1..24).prop_flat_map(|pairs| {
        let (mut models, states): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        for (index, model) in models.iter_mut().enumerate() {
            model.name = format!("m{index}").into();
        }
        let wish = any_wish(models.len());
        (Just(models), Just(states), wish)
    })
}

/// The rules once more, each for itself.
fn suitable(index: usize, model: &ModelFacts, state: &ModelState, ask: &Ask<'_>) -> bool {
    let asked_for = match (ask.pinned, ask.chain) {
        (Some(pinned), _) => pinned == index,
        (None, Some((_, members))) => members.contains(&index),
        (None, None) => true,
    };
    let written = if model.max_output_tokens == 0 { 50 } else { model.max_output_tokens.min(50) };
    let cost = model.price.cost(100, 0, written.into()).0;
    asked_for
        && !(model.offline && ask.no_offline)
        && model.capabilities.has(ask.needs)
        && (model.context_tokens == 0 || 100 + written <= model.context_tokens)
        && (cost == 0 || ask.budget_left.is_none_or(|left| cost <= left.0))
        && (model.offline || ask.pinned.is_some() || !(state.breaker_open || state.limited))
}

proptest! {
    #[test]
    fn the_chain_is_a_permutation_of_the_suitable((models, states, wish) in any_case()) {
        let ask = wish.ask();
        let decision = decide(&models, &states, &ask);
        let mut chain: Vec<usize> = decision.chain().map(|one| one.index).collect();
        chain.sort_unstable();
        let expected: Vec<usize> =
            (0..models.len()).filter(|i| suitable(*i, &models[*i], &states[*i], &ask)).collect();
        prop_assert_eq!(chain, expected);
        let mut all: Vec<usize> = decision.candidates.iter().map(|one| one.index).collect();
        let out = &all[decision.chain().count()..];
        prop_assert!(out.is_sorted(), "the others keep the order of the catalogue");
        all.sort_unstable();
        prop_assert!(all.into_iter().eq(0..models.len()), "every model is explained once");
    }

    #[test]
    fn the_same_question_has_the_same_answer((models, states, wish) in any_case()) {
        prop_assert_eq!(decide(&models, &states, &wish.ask()), decide(&models, &states, &wish.ask()));
    }

    #[test]
    fn what_is_left_out_does_not_move_the_others((models, states, wish) in any_case()) {
        let before = decide(&models, &states, &wish.ask());
        let Some(gone) = before.candidates.iter().find(|one| one.verdict != Verdict::Suitable) else {
            return Ok(());
        };
        let (mut models, mut states) = (models, states);
        models.remove(gone.index);
        states.remove(gone.index);
        let after = decide(&models, &states, &wish.without(gone.index).ask());
        prop_assert_eq!(order(&before), order(&after));
    }

    #[test]
    fn each_strategy_sorts_by_its_score((models, states, wish) in any_case()) {
        let decision = decide(&models, &states, &wish.ask());
        let chain: Vec<_> = decision.chain().collect();
        if wish.strategy == Strategy::Task {
            return Ok(());
        }
        let online = chain.iter().take_while(|one| !models[one.index].offline).count();
        let (online, writers) = chain.split_at(online);
        prop_assert!(writers.iter().all(|one| models[one.index].offline), "the writer is last");
        prop_assert!(online.is_sorted_by_key(|one| one.score));
        match wish.strategy {
            Strategy::Cost => prop_assert!(online.is_sorted_by_key(|one| one.worst_cost_nanos)),
            Strategy::Latency => prop_assert!(online.is_sorted_by_key(|one| one.latency_us)),
            Strategy::Unified => prop_assert!(online.iter().all(|one| (0.0..=1.0).contains(&one.score))),
            Strategy::Task | Strategy::Weighted => {}
        }
    }

    #[test]
    fn tiers_say_how_far_the_first_choice_is((models, states, wish) in any_case()) {
        let decision = decide(&models, &states, &wish.ask());
        let online: Vec<_> = decision.chain().filter(|one| !models[one.index].offline).collect();
        for (place, one) in online.iter().enumerate() {
            let home = models[one.index].provider == models[online[0].index].provider;
            let expected = if place == 0 { Tier::Primary } else if home { Tier::Alternate } else { Tier::Fallback };
            prop_assert_eq!(one.tier, Some(expected));
        }
        let mut writers = decision.chain().filter(|one| models[one.index].offline);
        prop_assert!(writers.all(|one| one.tier == Some(Tier::Offline)));
    }
}
