use super::*;

fn two_and_writer() -> Vec<ModelFacts> {
    vec![model("a", 0), model("b", 1), writer()]
}

#[test]
fn without_any_wish_the_order_of_the_catalogue_and_the_writer_last() {
    let models = vec![writer(), model("a1", 0), model("b", 1), model("a2", 0)];
    let decision = decide(&models, &[], &ask());
    assert_eq!(order(&decision), ["a1", "b", "a2", "offline/extractive"]);
    let tiers: Vec<_> = decision.chain().map(|one| one.tier.unwrap()).collect();
    assert_eq!(tiers, [Tier::Primary, Tier::Fallback, Tier::Alternate, Tier::Offline]);
    assert_eq!(decision.chain().map(|one| one.index).collect::<Vec<_>>(), [1, 2, 3, 0]);
    assert_eq!((decision.price_version.as_str(), decision.catalogue_version), ("v", 1));
    assert_eq!((decision.chain.as_str(), decision.estimated_input_tokens), ("", 100));
    assert!(decide(&[], &[], &ask()).candidates.is_empty());
}

#[test]
fn a_chain_is_the_only_models_in_its_order() {
    let models = two_and_writer();
    let decision = decide(&models, &[], &Ask { chain: Some(("short", &[1, 0, 1, 7])), ..ask() });
    assert_eq!(order(&decision), ["b", "a"]);
    assert_eq!(verdict(&decision, "offline/extractive"), Verdict::NotInChain);
    assert_eq!(decision.chain, "short");
    let decision = decide(&models, &[], &Ask { chain: Some(("odd", &[2, 0])), ..ask() });
    assert_eq!(order(&decision), ["offline/extractive", "a"], "a chain places the writer");
    let tiers: Vec<_> = decision.chain().map(|one| one.tier.unwrap()).collect();
    assert_eq!(tiers, [Tier::Offline, Tier::Primary]);
    let by_cost = Ask { chain: Some(("odd", &[2, 1, 0])), strategy: Strategy::Cost, ..ask() };
    assert_eq!(order(&decide(&models, &[], &by_cost)), ["b", "a", "offline/extractive"], "but not by cost");
}

#[test]
fn a_pinned_model_is_alone_and_tried_in_any_weather() {
    let models = two_and_writer();
    let ill = ModelState { breaker_open: true, limited: true, ..ModelState::default() };
    let pinned = Ask { pinned: Some(1), chain: Some(("c", &[0])), ..ask() };
    let decision = decide(&models, &[ill; 3], &pinned);
    assert_eq!(order(&decision), ["b"]);
    assert_eq!(decision.chain, "", "the model's name stands above the chain");
    assert_eq!(verdict(&decision, "a"), Verdict::NotInChain);
    for (ask, verdict_of_b) in [
        (Ask { needs: Capabilities::TOOLS, ..pinned }, Verdict::LacksCapability),
        (Ask { max_cost: Some(149), ..pinned }, Verdict::OverBudget),
        (Ask { budget_left: Some(NanoDollars(149)), ..pinned }, Verdict::OverBudget),
    ] {
        assert_eq!(verdict(&decide(&models, &[], &ask), "b"), verdict_of_b);
    }
    let decision = decide(&models, &[], &Ask { pinned: Some(2), ..ask() });
    assert_eq!(decision.candidates[0].tier, Some(Tier::Offline));
    assert!(order(&decide(&models, &[], &Ask { pinned: Some(9), ..ask() })).is_empty());
}

#[test]
fn the_first_reason_that_applies_is_the_one_that_is_given() {
    let bad = ModelFacts { context_tokens: 10, ..model("a", 0) };
    let ill = [ModelState { breaker_open: true, limited: true, ..ModelState::default() }];
    let mut ask = Ask {
        chain: Some(("c", &[])),
        needs: Capabilities::CHAT | Capabilities::TOOLS | Capabilities::IMAGES,
        max_cost: Some(1),
        ..ask()
    };
    let mut judged = |change: &dyn Fn(&mut Ask<'_>), models: &[ModelFacts], ill: &[ModelState]| {
        change(&mut ask);
        decide(models, ill, &ask).candidates[0].clone()
    };
    let models = [bad.clone()];
    assert_eq!(judged(&|_| {}, &models, &ill).verdict, Verdict::NotInChain);
    let lacking = judged(&|ask| ask.chain = None, &models, &ill);
    assert_eq!((lacking.verdict, lacking.lacks.names()), (Verdict::LacksCapability, vec!["tools", "images"]));
    let small = judged(&|ask| ask.needs = Capabilities::CHAT, &models, &ill);
    assert_eq!((small.verdict, small.lacks.is_empty()), (Verdict::TooSmall, true));
    let models = [ModelFacts { context_tokens: 150, ..bad }];
    assert_eq!(judged(&|_| {}, &models, &ill).verdict, Verdict::OverBudget);
    assert_eq!(judged(&|ask| ask.max_cost = Some(150), &models, &ill).verdict, Verdict::BreakerOpen);
    let busy = [ModelState { limited: true, ..ModelState::default() }];
    assert_eq!(judged(&|_| {}, &models, &busy).verdict, Verdict::RateLimited);
    assert_eq!(judged(&|_| {}, &models, &[]).verdict, Verdict::Suitable);
}

#[test]
fn a_long_prompt_goes_to_a_model_with_a_larger_window() {
    let models = vec![
        ModelFacts { context_tokens: 8_192, ..model("small", 0) },
        ModelFacts { context_tokens: 200_000, ..model("large", 1) },
        ModelFacts { context_tokens: 0, ..model("unknown", 1) },
    ];
    assert_eq!(order(&decide(&models, &[], &ask())), ["small", "large", "unknown"]);
    let long = Ask { input_tokens: 8_143, ..ask() };
    let decision = decide(&models, &[], &long);
    assert_eq!(order(&decision), ["large", "unknown"], "8,143 and 50 are one too many");
    assert_eq!(decision.candidates[0].tier, Some(Tier::Primary));
    assert_eq!(verdict(&decision, "small"), Verdict::TooSmall);
    let huge = Ask { input_tokens: u64::MAX, ..ask() };
    assert_eq!(order(&decide(&models, &[], &huge)), ["unknown"]);
}

#[test]
fn a_model_that_writes_less_is_asked_for_less() {
    let models = vec![ModelFacts { max_output_tokens: 20, context_tokens: 120, ..model("terse", 0) }];
    let decision = decide(&models, &[], &ask());
    assert_eq!(decision.candidates[0].verdict, Verdict::Suitable);
    assert_eq!(decision.candidates[0].worst_cost_nanos, 120, "100 tokens in and 20, not 50, out");
}

#[test]
fn what_costs_nothing_is_affordable_even_when_the_budget_is_overdrawn() {
    let free = ModelFacts { price: Price::default(), ..model("free", 2) };
    let models = vec![model("a", 0), free, writer()];
    let decision = decide(&models, &[], &Ask { budget_left: Some(NanoDollars(-5)), ..ask() });
    assert_eq!(order(&decision), ["free", "offline/extractive"]);
    assert_eq!(verdict(&decision, "a"), Verdict::OverBudget);
}

#[test]
fn in_bad_weather_the_writer_is_the_chain_unless_it_is_forbidden() {
    let models = two_and_writer();
    let open = ModelState { breaker_open: true, ..ModelState::default() };
    let busy = ModelState { limited: true, ..ModelState::default() };
    let states = [open, busy, open];
    let decision = decide(&models, &states, &ask());
    assert_eq!(order(&decision), ["offline/extractive"]);
    assert_eq!(decision.candidates[0].tier, Some(Tier::Offline));
    let decision = decide(&models, &states, &Ask { no_offline: true, ..ask() });
    assert!(order(&decision).is_empty());
    assert_eq!(verdict(&decision, "a"), Verdict::BreakerOpen);
    assert_eq!(verdict(&decision, "b"), Verdict::RateLimited);
    assert_eq!(verdict(&decision, "offline/extractive"), Verdict::OfflineForbidden);
    assert_eq!(decision.candidates.iter().map(|one| one.tier).collect::<Vec<_>>(), [None; 3]);
}

#[test]
fn the_task_prefers_and_the_others_follow() {
    const NOT: u32 = u32::MAX;
    let models = vec![model("a", 0), model("b", 1), model("c", 1), writer()];
    let decision = decide(&models, &[], &Ask { preference: &[NOT, 1, 0, NOT], ..ask() });
    assert_eq!(order(&decision), ["c", "b", "a", "offline/extractive"]);
    assert_eq!(decision.chain().map(|one| one.score).collect::<Vec<_>>(), [0.0, 1.0, 2.0, 5.0]);
    let decision = decide(&models, &[], &Ask { preference: &[NOT, NOT, 1, 0], ..ask() });
    assert_eq!(order(&decision), ["offline/extractive", "c", "a", "b"], "somebody wants the writer first");
    let both = Ask { preference: &[NOT, NOT, 0, NOT], chain: Some(("c", &[1, 0, 2])), ..ask() };
    assert_eq!(order(&decide(&models, &[], &both)), ["c", "b", "a"]);
}

#[test]
fn the_cheapest_for_this_request_is_first() {
    let price = |input: i64, output: i64| Price { input, cached_input: 0, output };
    let models = vec![
        ModelFacts { price: price(1_000_000, 9_000_000), ..model("reader", 0) },
        ModelFacts { price: price(5_000_000, 1_000_000), ..model("talker", 1) },
        writer(),
    ];
    let cost = |input_tokens, max_output_tokens| {
        let ask = Ask { strategy: Strategy::Cost, input_tokens, max_output_tokens, ..ask() };
        decide(&models, &[], &ask)
    };
    assert_eq!(order(&cost(1_000, 10)), ["reader", "talker", "offline/extractive"]);
    let decision = cost(10, 1_000);
    assert_eq!(order(&decision), ["talker", "reader", "offline/extractive"]);
    assert_eq!(decision.candidates[0].score, 1_050.0);
}

#[test]
fn the_fastest_is_first_after_those_not_yet_measured() {
    let models = vec![model("slow", 0), model("fast", 1), model("new", 2), model("newer", 2)];
    let state = |latency_us| ModelState { latency_us, ..ModelState::default() };
    let decision = decide(&models, &[state(900), state(100)], &Ask { strategy: Strategy::Latency, ..ask() });
    assert_eq!(order(&decision), ["new", "newer", "fast", "slow"]);
    assert_eq!(decision.candidates[3].latency_us, 900);
}

#[test]
fn shares_follow_the_weights() {
    let models = vec![
        ModelFacts { weight: 3.0, ..model("three", 0) },
        ModelFacts { weight: 1.0, ..model("one", 1) },
        ModelFacts { weight: 0.0, ..model("none said", 1) },
    ];
    let mut first = [0_u32; 3];
    for seed in 0..10_000 {
        let ask = Ask { strategy: Strategy::Weighted, seed, ..ask() };
        first[decide(&models, &[], &ask).candidates[0].index] += 1;
    }
    // Of 5 shares; four standard deviations are 196 and 160.
    assert!((5_800..=6_200).contains(&first[0]), "{first:?}");
    assert!((1_840..=2_160).contains(&first[1]) && (1_840..=2_160).contains(&first[2]), "{first:?}");
}

#[test]
fn one_score_weighs_everything() {
    let dear = Price { input: 2_000_000, cached_input: 0, output: 2_000_000 };
    let models = vec![ModelFacts { price: dear, ..model("a", 0) }, model("b", 1), writer()];
    let state = |latency_us, error_rate| ModelState { latency_us, error_rate, ..ModelState::default() };
    let states = [state(100, 0.0), state(400, 0.5), state(1, 0.0)];
    let with = |weights: &Weights, preference: &[u32]| {
        let ask = Ask { strategy: Strategy::Unified, weights, preference, ..ask() };
        let decision = decide(&models, &states, &ask);
        let scores: Vec<f64> = decision.chain().map(|one| one.score).collect();
        (order(&decision).join(" "), scores)
    };
    let none = Weights { preference: 0.0, cost: 0.0, latency: 0.0, errors: 0.0 };
    let cases = [
        (Weights { cost: 1.0, ..none.clone() }, "b a offline/extractive", [0.5, 1.0]),
        (Weights { latency: 2.0, ..none.clone() }, "a b offline/extractive", [0.25, 1.0]),
        (Weights { errors: 1.0, ..none.clone() }, "a b offline/extractive", [0.0, 0.5]),
        (Weights { cost: 1.0, errors: 1.0, ..none.clone() }, "a b offline/extractive", [0.5, 0.5]),
        (none.clone(), "a b offline/extractive", [0.0, 0.0]),
    ];
    for (weights, expected, scores) in cases {
        let (order, found) = with(&weights, &[]);
        assert_eq!((order.as_str(), &found[..2]), (expected, &scores[..]), "{weights:?}");
    }
    let taste = Weights { preference: 1.0, ..none };
    assert_eq!(with(&taste, &[u32::MAX, 0, u32::MAX]).0, "b a offline/extractive");
}

#[test]
fn a_latency_that_is_not_known_counts_as_the_median() {
    let models = vec![model("slow", 0), model("new", 1), model("fast", 2), model("middle", 3)];
    let state = |latency_us| ModelState { latency_us, ..ModelState::default() };
    let weights = Weights { preference: 0.0, cost: 0.0, latency: 1.0, errors: 0.0 };
    let ask = Ask { strategy: Strategy::Unified, weights: &weights, ..ask() };
    let decision = decide(&models, &[state(900), state(0), state(90), state(450)], &ask);
    assert_eq!(order(&decision), ["fast", "new", "middle", "slow"]);
    assert_eq!(decision.candidates[1].score, 0.5);
    let nothing_known = decide(&models, &[], &ask);
    assert_eq!(order(&nothing_known), ["slow", "new", "fast", "middle"]);
}
